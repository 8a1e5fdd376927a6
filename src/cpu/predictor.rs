//! From observations to predictions: the network's forward pass and the mean shift, without the training.

use crate::cpu::fast::Network;
use crate::cpu::step::mean_shift::mean_shift;
use crate::model::UNet;
use crate::model::unet::init::State;
use crate::model::unet::trained::Norm;
use rayon::prelude::*;

/// A network that predicts batches of one size.
pub struct Predictor {
    network: Network,
    norm: Norm,
    cells: usize,
}

impl Predictor {
    /// Allocates for `batch` observations of `nx` × `ny` cells.
    pub fn new(net: &UNet, norm: Norm, batch: usize, nx: usize, ny: usize) -> Self {
        Self { network: Network::forward_only(net, batch, nx, ny), norm, cells: nx * ny }
    }

    /// Predictions for observations, both `[batch, nx, ny]`, with the weights and statistics of `state`.
    pub fn predict(&mut self, state: &State, observation: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; observation.len()];
        let State { params, buffers, .. } = state;
        match self.norm {
            Norm::Batch => self.network.forward(params, &mut buffers.clone(), observation, &mut output),
            Norm::Running => self.network.forward_running(params, buffers, observation, &mut output),
        }
        let mut prediction = vec![0.0; observation.len()];
        prediction
            .par_chunks_mut(self.cells)
            .zip(output.par_chunks(self.cells).zip(observation.par_chunks(self.cells)))
            .for_each(|(prediction, (output, observation))| mean_shift(output, observation, prediction));
        prediction
    }
}
