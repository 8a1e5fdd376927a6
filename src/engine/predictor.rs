//! From observations to predictions: the network's forward pass and the mean shift, without the training.

use crate::cpu::unet::norms::norm_rows;
use crate::engine::device::Device;
use crate::gpu::Gpu;
use crate::io::memory::batch::{Purpose, check_system};
use crate::model::UNet;
use crate::model::unet::init::State;
pub use crate::model::unet::trained::{Norm, Trained};
use crate::{Error, Result, cpu, gpu};
use std::sync::Arc;

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

    /// Predictions for observations, both `[batch, nx, ny]`, or for what else the network is shown of them
    /// ([`shown`](crate::cpu::heat::shown::shown)). Diffusion preserves the mean, so that of each observation is
    /// given to its prediction. The running statistics stay as they are.
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
    predictor: gpu::predictor::Predictor,
}

impl OnGpu {
    fn new(gpu: &Arc<Gpu>, trained: Trained, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let Trained { net, state, norm } = trained;
        let predictor = gpu::predictor::Predictor::new(gpu, net, norm, batch, nx, ny)?;
        let norms = match norm {
            Norm::Batch => Vec::new(),
            Norm::Running => norm_rows(net, state),
        };
        predictor.load(state, &norms);
        Ok(Self { gpu: gpu.clone(), predictor })
    }
}

impl Forward for OnGpu {
    fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        self.gpu.block_on(self.predictor.predict(observation))
    }
}

struct OnCpu {
    predictor: cpu::predictor::Predictor,
    state: State,
}

impl OnCpu {
    fn new(trained: Trained, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        let Trained { net, state, norm } = trained;
        check_system(net, nx * ny, batch, Purpose::Prediction)?;
        let predictor = cpu::predictor::Predictor::new(net, norm, batch, nx, ny);
        Ok(Self { predictor, state: state.clone() })
    }
}

impl Forward for OnCpu {
    fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        Ok(self.predictor.predict(&self.state, observation))
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
