//! The backward pass of the last convolution (method §5).

use crate::cpu::fast::nn::channels::stored;
use crate::cpu::fast::nn::output::conv1x1_backward;
use crate::cpu::fast::unet::network::Network;
use crate::cpu::reduce::sum_rows;
use rayon::prelude::*;

impl Network {
    /// The last convolution: its own gradients, and ∂L/∂ of the last sum or the last activation.
    pub(super) fn output_backward(&mut self, params: &[f32], output_gradient: &[f32], gradients: &mut [f32]) {
        let (cells, channels) = (self.grid.cells(), self.net.out_channels);
        let (weights, len) = (self.out_weights(params), cells * stored(channels));
        let last = self.last_gradient();
        let mut own = std::mem::take(last);
        let this = &*self;
        let samples = own.par_chunks_mut(len).zip(output_gradient.par_chunks(cells)).enumerate();
        let shares = samples.map(|(n, (gradient, g))| {
            this.scratches.with(|scratch| {
                conv1x1_backward(this.last_values(n, &mut scratch.activation), &weights, g, gradient)
            })
        });
        let shares: Vec<Vec<f32>> = shares.collect();
        *self.last_gradient() = own;
        let gradients = gradients.chunks_exact_mut(self.net.param_count);
        let parts = shares.chunks(self.batch / gradients.len());
        for (gradients, shares) in gradients.zip(parts) {
            let mut sums = vec![0.0; weights.len() + 1];
            sum_rows(shares, &mut sums);
            gradients[self.net.out_weight..][..channels].copy_from_slice(&sums[..channels]);
            gradients[self.net.out_bias] = sums[weights.len()];
        }
    }

    /// ∂L/∂ of what the last convolution reads.
    fn last_gradient(&mut self) -> &mut Vec<f32> {
        match self.blocks.last_mut() {
            Some(block) => &mut block.gradient,
            None => self.gradients.last_mut().expect("a layer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::passes::Passes;
    use crate::cpu::unet;
    use crate::cpu::unet::together::Together;
    use crate::model::rng::{Purpose, Random};
    use crate::model::unet::init::State;
    use crate::model::unet::{Padding, UNetConfig};
    use crate::model::{Activation, UNet};

    /// ‖a - b‖ / ‖b‖.
    fn error(a: &[f32], b: &[f64]) -> f64 {
        if b.is_empty() {
            return 0.0;
        }
        let difference: f64 = a.iter().zip(b).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum();
        (difference / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
    }

    /// Outputs, statistics and gradients are those of the plain twin in f64, for networks of all kinds and
    /// grids that tiles do not fit. The networks are small: among many values of noise, there is one so near
    /// zero that its ReLU decides otherwise, and a gradient of random signs is not much more than one of its
    /// terms. `numbers::golden_cpu` has the network of the reference.
    #[test]
    fn passes_are_those_of_the_plain_twin() {
        use Activation::{Relu, Sigmoid, Silu, Tanh};
        use Padding::{Circular, Zero};
        for (padding, activation, batch_norm, res_blocks, filters, samples, parts, nx, ny) in [
            (Circular, Relu, true, false, vec![8], 3, 1, 1, 2),
            (Circular, Relu, true, false, vec![16], 2, 1, 13, 7),
            (Circular, Relu, true, false, vec![16; 4], 2, 1, 16, 32),
            (Zero, Silu, true, false, vec![8, 16, 24], 2, 1, 20, 12),
            (Circular, Relu, true, false, vec![8, 16], 2, 2, 4, 8),
            (Zero, Relu, true, false, vec![8, 24, 8], 3, 1, 16, 8),
            (Circular, Silu, true, false, vec![16, 32], 2, 1, 8, 32),
            (Zero, Tanh, true, false, vec![8, 16], 2, 3, 32, 16),
            (Circular, Relu, false, false, vec![16, 16, 16], 2, 1, 64, 32),
            (Zero, Silu, false, false, vec![8, 8, 8], 2, 1, 8, 4),
            (Circular, Relu, true, true, vec![16], 2, 1, 8, 8),
            (Circular, Silu, true, true, vec![8, 16], 2, 2, 4, 8),
            (Zero, Sigmoid, false, true, vec![8, 8, 16], 2, 1, 8, 4),
        ] {
            let net = UNet::new(&UNetConfig { filters, padding, activation, batch_norm, res_blocks });
            let described = format!("{} {samples}x{parts} {nx}x{ny}", net.config);
            let batch = samples * parts;
            let mut random = Random::new(Purpose::Cases, 5, nx as u64, ny as u64);
            let mut noise =
                |n: usize| -> Vec<f32> { (0..n).map(|_| random.between(-1.0, 1.0) as f32).collect() };
            let state = State::new(&net, 1);
            let (input, weight) = (noise(batch * nx * ny), noise(batch * nx * ny));
            let order: Vec<usize> = (0..parts).collect();
            let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };

            let mut network = Network::new(&net, batch, nx, ny);
            let mut statistics = state.buffers.clone();
            let (mut output, mut gradients) =
                (vec![f32::NAN; input.len()], vec![f32::NAN; parts * net.param_count]);
            let mut exchange = |own: &[f32]| own.to_vec();
            let mut together = Together { samples, order: &order, exchange: &mut exchange };
            // Twice, since what is left of a batch must not touch the next.
            for _ in 0..2 {
                network.forward_together(&state.params, &mut statistics, &input, &mut output, &mut together);
                network.backward_together(&state.params, &input, &weight, &mut gradients, &mut together);
            }

            let mut plain = unet::Network::<f64>::new(&net, batch, nx, ny);
            let (params, mut exact_statistics) = (wide(&state.params), wide(&state.buffers));
            let (mut exact, mut exact_gradients) = (vec![0.0; input.len()], vec![0.0; gradients.len()]);
            let mut exchange = |own: &[f64]| own.to_vec();
            let mut together = Together { samples, order: &order, exchange: &mut exchange };
            let (input, weight) = (wide(&input), wide(&weight));
            plain.forward_together(&params, &mut exact_statistics, &input, &mut exact, &mut together);
            let to = &mut exact_gradients;
            plain.backward_together(&params, &input, &weight, to, &mut together);

            // Every sample for itself, by a network that has nothing for the backward pass.
            let (mut own, mut exact_own) = (vec![f32::NAN; output.len()], vec![0.0; exact.len()]);
            let narrow: Vec<f32> = input.iter().map(|&v| v as f32).collect();
            let mut alone = Network::forward_only(&net, batch, nx, ny);
            alone.forward_running(&state.params, &statistics, &narrow, &mut own);
            plain.forward_running(&params, &wide(&statistics), &input, &mut exact_own);

            for (what, error) in [
                ("output with running statistics", error(&own, &exact_own)),
                ("output", error(&output, &exact)),
                ("statistics", error(&statistics, &exact_statistics)),
                ("gradients", error(&gradients, &exact_gradients)),
            ] {
                println!("{what} of {described}: {error:.1e}");
                assert!(error < 1e-4, "{what} of {described}: {error}");
            }
        }
    }
}
