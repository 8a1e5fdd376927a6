//! The U-Net's backward pass for a batch, layer by layer in reverse (SPEC 5).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::nn::conv1x1::conv1x1_backward;
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::network::Network;
use crate::cpu::unet::res_block::Block;
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
        mut input_gradient: Option<&mut [T]>,
    ) {
        gradients.fill(T::zero());
        self.output_backward(params, output_gradient, gradients);
        for i in (0..self.net.convs.len()).rev() {
            let conv = self.net.convs[i].clone();
            self.spread(i);
            let mut sums = self.norm_sums(i);
            for (c, sums) in sums.iter_mut().enumerate() {
                match conv.norm {
                    Some(norm) => [gradients[norm.beta + c], gradients[norm.gamma + c]] = *sums,
                    None => {
                        gradients[conv.bias + c] = sums[0];
                        *sums = [T::zero(); 2]; // no mean is subtracted
                    }
                }
            }
            let wanted = input_gradient.as_deref_mut();
            self.conv_backward(&conv, i, params, input, &sums, gradients, wanted);
            self.scatter(i, input_gradient.as_deref_mut());
        }
    }

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
        let mut sums = vec![T::zero(); channels + 1];
        sum_rows(&shares, &mut sums);
        gradients[self.net.out_weight..][..channels].copy_from_slice(&sums[..channels]);
        gradients[self.net.out_bias] = sums[channels];
    }

    /// Σg and Σg·ẑ of every channel of layer i.
    fn norm_sums(&self, i: usize) -> Vec<[T; 2]> {
        let conv = &self.net.convs[i];
        let (nx, ny) = self.grid(conv.level);
        let per_sample: Vec<Vec<[T; 2]>> = self.z[i]
            .par_chunks(conv.c_out * nx * ny)
            .zip(self.gradients[i].par_chunks(conv.c_out * nx * ny))
            .map(|(z, g)| {
                let planes = z.chunks_exact(nx * ny).zip(g.chunks_exact(nx * ny)).zip(&self.norms[i]);
                planes.map(|((z, g), &norm)| batch_norm::backward_sums(conv.activation, norm, z, g)).collect()
            })
            .collect();
        let mut sums = vec![[T::zero(); 2]; conv.c_out];
        for sample in &per_sample {
            for (sum, share) in sums.iter_mut().zip(sample) {
                sum[0] += share[0];
                sum[1] += share[1];
            }
        }
        sums
    }
}
