//! From observations to predictions: the network's forward pass and the mean shift, without the training.

use crate::Result;
use crate::gpu::step::mean_shift::MeanShift;
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recorder, Recording, Tensor};
use crate::model::unet::init::State;
use crate::model::unet::trained::Norm;
use crate::model::{DType, UNet};
use std::sync::Arc;

/// A network that predicts batches of one size. It has weights of its own: those in training, and their
/// running statistics, stay as they are.
pub struct Predictor {
    gpu: Arc<Gpu>,
    network: Network,
    observation: Tensor,
    prediction: Tensor,
    forward: Recording,
}

impl Predictor {
    /// Allocates and records for `batch` observations of `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) and [`Error::BatchTooLarge`](crate::Error::BatchTooLarge) for a
    /// batch that the device's buffers cannot hold, [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::Device`](crate::Error::Device).
    pub fn new(gpu: &Arc<Gpu>, net: &UNet, norm: Norm, batch: usize, nx: usize, ny: usize) -> Result<Self> {
        Network::check_batch(gpu, net, DType::F32, batch, nx, ny)?;
        let network = Network::forward_only(gpu, net, batch, nx, ny)?;
        let field = |label| gpu.tensor(label, batch * nx * ny);
        let (observation, output, prediction) =
            (field("observation")?, field("network output")?, field("prediction")?);
        let (difference, energy) = (field("difference")?, gpu.tensor("difference energy", batch)?);

        // observation y* -> U-Net -> prediction x with the mean of y*
        let mut record = Recorder::new(gpu);
        network.pack(&mut record)?;
        match norm {
            Norm::Batch => network.forward(&mut record, &observation, &output)?,
            Norm::Running => network.forward_normed(&mut record, &observation, &output)?,
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
        Ok(Self { gpu: gpu.clone(), network, observation, prediction, forward })
    }

    /// Takes over weights and statistics. For [`Norm::Running`], `norms` are what the statistics come to: per
    /// layer `[c_out]` of (mean, rstd, scale, shift).
    pub fn load(&self, state: &State, norms: &[Vec<[f32; 4]>]) {
        self.gpu.write(&self.network.params, &state.params);
        self.gpu.write(&self.network.running, &state.buffers);
        for (layer, norms) in norms.iter().enumerate() {
            self.network.set_norms(&self.gpu, layer, norms);
        }
    }

    /// Predictions for observations, both `[batch, nx, ny]`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device is lost or has reported an error.
    pub async fn predict(&self, observation: &[f32]) -> Result<Vec<f32>> {
        self.gpu.write(&self.observation, observation);
        self.forward.submit(&self.gpu);
        self.gpu.fetch(&self.prediction).await
    }
}
