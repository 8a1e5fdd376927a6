//! The U-Net forward for a batch (SPEC 5): rayon over samples, one layer after the other.
//!
//! Only the convolutions' outputs z are kept. Normalised, pooled and upsampled activations are made again for
//! one sample at a time, just before the convolution that reads them, while they fit into the cache
//! (`source.rs`).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::{self, Moments, Norm};
use crate::cpu::nn::conv1x1::conv1x1;
use crate::cpu::nn::conv3x3::conv3x3;
use crate::cpu::unet::input::{Scratch, nine_taps};
use crate::cpu::unet::res_block::Block;
use crate::model::UNet;
use crate::model::unet::Conv;
use rayon::prelude::*;

/// A network with room for the activations and gradients of one batch.
pub struct Network<T> {
    pub(crate) net: UNet,
    pub(crate) batch: usize,
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    /// Convolution outputs without bias, per layer `[batch, c_out, nx, ny]` of its level.
    pub(crate) z: Vec<Vec<T>>,
    /// Per layer and channel.
    pub(crate) norms: Vec<Vec<Norm<T>>>,
    /// ∂L/∂activation, then in place ∂L/∂z, per layer as `z`.
    pub(crate) gradients: Vec<Vec<T>>,
    /// Of a network of residual blocks.
    pub(crate) blocks: Vec<Block<T>>,
}

impl<T: Real> Network<T> {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let mut network = Self::forward_only(net, batch, nx, ny);
        network.gradients = network.z.clone();
        network.blocks.iter_mut().for_each(Block::allocate_gradients);
        network
    }

    /// As [`Network::new`], with half the memory: [`Network::backward`] must not be called.
    pub fn forward_only(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let sizes = net.convs.iter().map(|c| batch * c.c_out * (nx >> c.level) * (ny >> c.level));
        let z: Vec<Vec<T>> = sizes.map(|len| vec![T::zero(); len]).collect();
        let norms = net.convs.iter().map(|c| vec![Norm::default(); c.c_out]).collect();
        let blocks = net.blocks.iter().map(|block| Block::new(block, batch, nx, ny)).collect();
        Self { net: net.clone(), batch, nx, ny, gradients: Vec::new(), z, norms, blocks }
    }

    /// Predictions `[batch, nx, ny]` for `input` of the same shape, with batch statistics.
    ///
    /// `running` are the flat running means and variances to update.
    pub fn forward(&mut self, params: &[T], running: &mut [T], input: &[T], output: &mut [T]) {
        for i in 0..self.net.convs.len() {
            self.gather(i, input);
            self.convolve(i, params, input);
            self.normalise(i, params, running);
            self.add_up(i);
        }
        self.convolve_out(params, output);
    }

    /// As [`Network::forward`], but normalised with the `running` statistics: every sample stands for itself.
    pub fn forward_running(&mut self, params: &[T], running: &[T], input: &[T], output: &mut [T]) {
        for i in 0..self.net.convs.len() {
            self.gather(i, input);
            self.convolve(i, params, input);
            self.norms[i] = running_norms(&self.net.convs[i], params, running);
            self.add_up(i);
        }
        self.convolve_out(params, output);
    }

    fn convolve_out(&self, params: &[T], output: &mut [T]) {
        let cells = self.nx * self.ny;
        let channels = self.net.out_channels;
        let weights = &params[self.net.out_weight..][..channels];
        let bias = params[self.net.out_bias];
        let outputs = output.par_chunks_mut(cells);
        match self.blocks.last() {
            Some(block) => outputs
                .zip(block.output.par_chunks(channels * cells))
                .for_each(|(out, sum)| conv1x1(|_, value| value, sum, weights, bias, out)),
            None => {
                let (z, norms) = (self.z.last().unwrap(), self.norms.last().unwrap());
                outputs
                    .zip(z.par_chunks(channels * cells))
                    .for_each(|(out, z)| conv1x1(|c, z| norms[c].relu(z), z, weights, bias, out));
            }
        }
    }

    pub(crate) fn grid(&self, level: usize) -> (usize, usize) {
        (self.nx >> level, self.ny >> level)
    }

    fn convolve(&mut self, i: usize, params: &[T], input: &[T]) {
        let mut z = std::mem::take(&mut self.z[i]);
        let conv = &self.net.convs[i];
        let (nx, ny) = self.grid(conv.level);
        let weights = &nine_taps(conv, params);
        z.par_chunks_mut(conv.c_out * nx * ny).enumerate().for_each_init(
            Scratch::default,
            |scratch, (n, z)| {
                self.load(conv, n, input, scratch);
                conv3x3(&scratch.padded, weights, z, conv.c_in, conv.c_out, nx, ny);
            },
        );
        self.z[i] = z;
    }

    /// Batch statistics of layer i: per-sample moments, merged in sample order. Without batch norm the bias alone.
    fn normalise(&mut self, i: usize, params: &[T], running: &mut [T]) {
        let conv = &self.net.convs[i];
        let Some(norm) = conv.norm else {
            self.norms[i] = running_norms(conv, params, running);
            return;
        };
        let (nx, ny) = self.grid(conv.level);
        let per_sample: Vec<Vec<Moments<T>>> = self.z[i]
            .par_chunks(conv.c_out * nx * ny)
            .map(|z| z.chunks_exact(nx * ny).map(Moments::of).collect())
            .collect();
        for c in 0..conv.c_out {
            let moments = per_sample.iter().fold(Moments::default(), |m, sample| m.merge(sample[c]));
            self.norms[i][c] = Norm::new(moments, params[norm.gamma + c], params[norm.beta + c]);
            let mut mean = running[norm.running_mean + c];
            let mut var = running[norm.running_var + c];
            batch_norm::update_running(moments, params[conv.bias + c], &mut mean, &mut var);
            running[norm.running_mean + c] = mean;
            running[norm.running_var + c] = var;
        }
    }
}

/// The normalisations of a layer that its running statistics give, or without batch norm its biases.
pub fn running_norms<T: Real>(conv: &Conv, params: &[T], running: &[T]) -> Vec<Norm<T>> {
    let norm = |c: usize| {
        let bias = params[conv.bias + c];
        let Some(norm) = conv.norm else { return Norm::bias(bias) };
        let (mean, var) = (running[norm.running_mean + c], running[norm.running_var + c]);
        Norm::running(mean, var, bias, params[norm.gamma + c], params[norm.beta + c])
    };
    (0..conv.c_out).map(norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Activation;
    use crate::model::rng::{Purpose, Random};
    use crate::model::unet::init::State;
    use crate::model::unet::{Padding, Place, UNetConfig};

    /// Every kind of parameter and the input against central differences, in f64.
    #[test]
    fn backward_matches_central_differences() {
        use Activation::{Relu, Sigmoid, Silu, Tanh};
        use Padding::{Circular, Zero};
        for (padding, activation, batch_norm, res_blocks, filters, batch, nx, ny) in [
            (Circular, Relu, true, false, vec![8], 1, 4, 2),
            (Circular, Relu, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Relu, true, false, vec![8, 8, 8], 2, 8, 4),
            (Zero, Relu, true, false, vec![8], 1, 4, 2),
            (Zero, Relu, true, false, vec![8, 16], 2, 4, 8),
            (Zero, Relu, true, false, vec![8, 8, 8], 2, 8, 4),
            (Circular, Silu, true, false, vec![8, 16], 2, 4, 8),
            (Zero, Tanh, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Sigmoid, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Relu, false, false, vec![8], 1, 4, 2),
            (Circular, Relu, false, false, vec![8, 16], 2, 4, 8),
            (Zero, Silu, false, false, vec![8, 8, 8], 2, 8, 4),
            (Circular, Relu, true, true, vec![8], 1, 4, 2),
            (Circular, Silu, true, true, vec![8, 16], 2, 4, 8),
            (Zero, Tanh, false, true, vec![8, 8, 16], 2, 8, 4),
        ] {
            let net = UNet::new(&UNetConfig { filters, padding, activation, batch_norm, res_blocks });
            let mut random = Random::new(Purpose::Cases, 4, nx as u64, ny as u64);
            let mut noise = |n: usize| -> Vec<f64> { (0..n).map(|_| random.between(-1.0, 1.0)).collect() };
            let params: Vec<f64> = State::new(&net, 1).params.iter().map(|&w| f64::from(w)).collect();
            let (input, weight) = (noise(batch * nx * ny), noise(batch * nx * ny));
            let mut network = Network::new(&net, batch, nx, ny);
            let mut loss = |params: &[f64], input: &[f64]| -> f64 {
                let mut output = vec![0.0; input.len()];
                network.forward(params, &mut vec![0.0; net.buffer_count], input, &mut output);
                output.iter().zip(&weight).map(|(o, w)| o * w).sum()
            };
            let h = 1e-6;
            let mut numeric = |params: &[f64], input: &[f64], of_input: bool, k: usize| -> f64 {
                let mut shifted = |by: f64| {
                    let (mut params, mut input) = (params.to_vec(), input.to_vec());
                    *(if of_input { &mut input[k] } else { &mut params[k] }) += by;
                    loss(&params, &input)
                };
                (shifted(h) - shifted(-h)) / (2.0 * h)
            };
            let mut analytic = Network::new(&net, batch, nx, ny);
            let (mut gradients, mut input_gradient) =
                (vec![f64::NAN; net.param_count], vec![f64::NAN; input.len()]);
            let mut output = vec![0.0; input.len()];
            analytic.forward(&params, &mut vec![0.0; net.buffer_count], &input, &mut output);
            analytic.backward(&params, &input, &weight, &mut gradients, Some(&mut input_gradient));
            for entry in &net.entries {
                let Place::Param(offset) = entry.place else {
                    continue;
                };
                for k in (offset..offset + entry.len()).step_by(entry.len().div_ceil(7)) {
                    let expected = numeric(&params, &input, false, k);
                    let error = (expected - gradients[k]).abs();
                    assert!(
                        error <= 2e-6 * (1.0 + expected.abs()),
                        "{} {k}: {expected} {}",
                        entry.name,
                        gradients[k]
                    );
                }
            }
            for k in 0..input.len() {
                let expected = numeric(&params, &input, true, k);
                assert!((expected - input_gradient[k]).abs() <= 2e-6 * (1.0 + expected.abs()));
            }
        }
    }
}
