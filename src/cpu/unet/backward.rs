//! The U-Net's backward pass for a batch, node by node in reverse (method §5).

use crate::cpu::Real;
use crate::cpu::nn::conv1x1::conv1x1_backward;
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::network::{Block, Network};
use crate::cpu::unet::together::{Together, alone};
use crate::model::unet::Node;
use rayon::prelude::*;

impl<T: Real> Network<T> {
    /// Parameter gradients for ∂L/∂output `[batch, nx, ny]` of the last [`Network::forward`] with the same
    /// `params` and `input`. `gradients` is overwritten; `input_gradient` too, where it is wanted.
    ///
    /// Biases before a batch norm get an exact zero.
    pub fn backward(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        input_gradient: Option<&mut [T]>,
    ) {
        alone(self.batch, |whole| {
            self.run_back(params, input, output_gradient, gradients, input_gradient, whole);
        });
    }

    /// As [`Network::backward`], for a batch of micro-batches that are normalised `together`: `gradients` get
    /// those of each by itself, `[micro-batches of this batch, parameters]`.
    pub(super) fn run_back(
        &mut self,
        params: &[T],
        input: &[T],
        output_gradient: &[T],
        gradients: &mut [T],
        mut input_gradient: Option<&mut [T]>,
        together: &mut Together<T>,
    ) {
        gradients.fill(T::zero());
        self.output_backward(params, output_gradient, gradients);
        for node in (0..self.net.nodes.len()).rev() {
            let input_gradient = input_gradient.as_deref_mut();
            match self.net.nodes[node] {
                Node::BlockSum(b) => self.block_sum_backward(b),
                Node::Conv(i) => self.conv_backward(i, params, input, gradients, input_gradient, together),
                Node::BlockInput(b) => self.block_input_backward(b, input_gradient),
            }
        }
    }

    /// The last convolution: its own gradients, and ∂L/∂ of the last sum or the last activation.
    fn output_backward(&mut self, params: &[T], output_gradient: &[T], gradients: &mut [T]) {
        let cells = self.nx * self.ny;
        let channels = self.net.out_channels;
        let weights = &params[self.net.out_weight..][..channels];
        let outputs = output_gradient.par_chunks(cells);
        let shares: Vec<Vec<T>> = match self.blocks.last_mut() {
            Some(Block { output, gradient, .. }) => gradient
                .par_chunks_mut(channels * cells)
                .zip(output.par_chunks(channels * cells).zip(outputs))
                .map(|(gradient, (sum, g))| conv1x1_backward(|_, value| value, sum, weights, g, gradient))
                .collect(),
            None => {
                let (z, norms) = (self.z.last().unwrap(), self.norms.last().unwrap());
                let gradient = self.gradients.last_mut().unwrap().par_chunks_mut(channels * cells);
                gradient
                    .zip(z.par_chunks(channels * cells).zip(outputs))
                    .map(|(gradient, (z, g))| {
                        conv1x1_backward(|c, z| norms[c].relu(z), z, weights, g, gradient)
                    })
                    .collect()
            }
        };
        let gradients = gradients.chunks_exact_mut(self.net.param_count);
        let parts = shares.chunks(self.batch / gradients.len());
        for (gradients, shares) in gradients.zip(parts) {
            let mut sums = vec![T::zero(); channels + 1];
            sum_rows(shares, &mut sums);
            gradients[self.net.out_weight..][..channels].copy_from_slice(&sums[..channels]);
            gradients[self.net.out_bias] = sums[channels];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};
    use crate::model::unet::init::State;
    use crate::model::unet::{Padding, Place, UNetConfig};
    use crate::model::{Activation, UNet};

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
