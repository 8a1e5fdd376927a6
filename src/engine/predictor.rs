//! From observations to predictions: the network's forward pass and the mean shift, without the training.

use crate::cpu::step::mean_shift::mean_shift;
use crate::cpu::unet::network::running_norms;
use crate::engine::device::Device;
use crate::engine::memory;
use crate::gpu::step::mean_shift::MeanShift;
use crate::gpu::{self, Gpu, Recorder, Recording, Tensor};
use crate::model::unet::init::State;
use crate::model::{DType, UNet};
use crate::{Error, Result, cpu};
use rayon::prelude::*;
use std::sync::Arc;

/// What the batch norm normalises with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The statistics of the batch at hand, as in training and as the reference system does always.
    Batch,
    /// The running statistics, as PyTorch does in eval mode: every field stands for itself.
    Running,
}

/// A trained network, and how it normalises.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// The architecture.
    pub net: &'a UNet,
    /// Its weights and running statistics.
    pub state: &'a State,
    /// What the batch norm normalises with.
    pub norm: Norm,
}

/// A trained network that predicts batches of one size.
pub struct Predictor {
    forward: Box<dyn Forward>,
    len: usize,
}

/// A network's forward pass and mean shift on one device, for batches of one size.
trait Forward {
    /// Predictions for observations, both `[batch, nx, ny]`.
    fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>>;
}

impl Predictor {
    /// Allocates for `batch` observations of `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`] for a size that the network cannot take, naming the nearest that it can, and for a
    /// batch that does not fit into memory or has too few values for batch statistics; [`Error::Device`].
    pub fn new(device: &Device, trained: Trained, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        check_size(trained.net, nx, ny)?;
        if trained.norm == Norm::Batch {
            trained.net.config.check_input(batch, nx, ny)?;
        }
        let forward: Box<dyn Forward> = match device {
            Device::Gpu(gpu) => Box::new(OnGpu::new(gpu, trained, batch, nx, ny)?),
            Device::Cpu => Box::new(OnCpu::new(trained, batch, nx, ny)?),
        };
        Ok(Self { forward, len: batch * nx * ny })
    }

    /// Predictions for observations, both `[batch, nx, ny]`. Diffusion preserves the mean, so that of each
    /// observation is given to its prediction. The running statistics stay as they are.
    ///
    /// # Errors
    /// [`Error::Usage`] when `observation` has another length; [`Error::Device`].
    pub fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        if observation.len() != self.len {
            let (found, wanted) = (observation.len(), self.len);
            return Err(Error::usage(format!("{found} values: the predictor was made for {wanted}")));
        }
        self.forward.predict(observation)
    }
}

struct OnGpu {
    gpu: Arc<Gpu>,
    observation: Tensor,
    prediction: Tensor,
    forward: Recording,
}

impl OnGpu {
    fn new(gpu: &Arc<Gpu>, trained: Trained, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let Trained { net, state, norm } = trained;
        gpu::unet::network::Network::check_batch(gpu, net, DType::F32, batch, nx, ny)?;
        let network = gpu::unet::network::Network::forward_only(gpu, net, batch, nx, ny)?;
        gpu.write(&network.params, &state.params);
        gpu.write(&network.running, &state.buffers);
        let field = |label| gpu.tensor(label, batch * nx * ny);
        let (observation, output, prediction) =
            (field("observation")?, field("network output")?, field("prediction")?);
        let (difference, energy) = (field("difference")?, gpu.tensor("difference energy", batch)?);

        // observation y* -> U-Net -> prediction x with the mean of y*
        let mut record = Recorder::new(gpu);
        match norm {
            Norm::Batch => network.forward(&mut record, &observation, &output)?,
            Norm::Running => {
                for (layer, conv) in net.convs.iter().enumerate() {
                    let norms = running_norms(conv, &state.params, &state.buffers);
                    let rows: Vec<_> = norms.iter().map(|n| [n.mean, n.rstd, n.scale, n.shift]).collect();
                    network.set_norms(gpu, layer, &rows);
                }
                network.forward_normed(&mut record, &observation, &output)?;
            }
        }
        let shift = MeanShift {
            output: &output,
            truth: &observation,
            prediction: &prediction,
            error: &difference,
            x_l2: &energy,
        };
        shift.record(&mut record, batch, nx * ny)?;
        let forward = record.finish();
        Ok(Self { gpu: gpu.clone(), observation, prediction, forward })
    }
}

impl Forward for OnGpu {
    fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        self.gpu.write(&self.observation, observation);
        self.forward.submit(&self.gpu);
        self.gpu.read(&self.prediction)
    }
}

struct OnCpu {
    network: cpu::unet::network::Network<f32>,
    state: State,
    norm: Norm,
    cells: usize,
}

impl OnCpu {
    fn new(trained: Trained, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let Trained { net, state, norm } = trained;
        memory::check_system(net, nx * ny, batch, memory::Purpose::Prediction)?;
        let network = cpu::unet::network::Network::forward_only(net, batch, nx, ny);
        Ok(Self { network, state: state.clone(), norm, cells: nx * ny })
    }
}

impl Forward for OnCpu {
    fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        let mut output = vec![0.0; observation.len()];
        let State { params, buffers, .. } = &self.state;
        match self.norm {
            Norm::Batch => self.network.forward(params, &mut buffers.clone(), observation, &mut output),
            Norm::Running => self.network.forward_running(params, buffers, observation, &mut output),
        }
        let mut prediction = vec![0.0; observation.len()];
        prediction
            .par_chunks_mut(self.cells)
            .zip(output.par_chunks(self.cells).zip(observation.par_chunks(self.cells)))
            .for_each(|(prediction, (output, observation))| mean_shift(output, observation, prediction));
        Ok(prediction)
    }
}

/// Predictions for `[count, nx, ny]` observations, `batch` at a time; the last batch may be smaller, and with
/// [`Norm::Batch`] its statistics are its own.
///
/// # Errors
/// Those of [`Predictor::new`], before anything is computed.
pub fn predict(
    device: &Device,
    trained: Trained,
    batch: usize,
    observations: &[f32],
    nx: usize,
    ny: usize,
) -> Result<Vec<f32>> {
    if batch == 0 {
        return Err(Error::usage("batch 0: must be at least 1"));
    }
    let cells = nx * ny;
    let new = |batch| Predictor::new(device, trained, batch, nx, ny);
    let batch = batch.min(observations.len() / cells);
    let mut whole = new(batch)?;
    let mut rest = match observations.len() / cells % batch {
        0 => None,
        rest => Some(new(rest)?),
    };
    let mut predictions = Vec::with_capacity(observations.len());
    for observations in observations.chunks(batch * cells) {
        let predictor = match &mut rest {
            Some(rest) if observations.len() < batch * cells => rest,
            _ => &mut whole,
        };
        predictions.extend(predictor.predict(observations)?);
    }
    Ok(predictions)
}

/// Refuses sides that are not powers of two or too short for the network's levels.
pub fn check_size(net: &UNet, nx: usize, ny: usize) -> Result<()> {
    crate::model::Operator::heat(nx, ny, 0.0)?;
    let least = 1 << (net.config.levels() - 1);
    if nx < least || ny < least {
        return Err(Error::usage(format!(
            "size {nx}x{ny}: this network of {} levels needs sides divisible by {least}; {}x{} would do",
            net.config.levels(),
            nx.max(least),
            ny.max(least)
        )));
    }
    Ok(())
}
