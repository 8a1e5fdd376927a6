//! The U-Net's forward pass for a batch, node after node (method §5): rayon over samples.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::{self, Moments};
use crate::cpu::nn::conv1x1::conv1x1;
use crate::cpu::nn::conv3x3::conv3x3;
use crate::cpu::passes::Passes;
use crate::cpu::unet::input::{Scratch, nine_taps};
use crate::cpu::unet::network::Network;
use crate::cpu::unet::norms::{batch_norms, running_norms};
use crate::cpu::unet::together::{Together, alone};
use crate::model::unet::Node;
use rayon::prelude::*;

impl<T: Real> Network<T> {
    /// Predictions `[batch, nx, ny]` for `input` of the same shape, with batch statistics.
    ///
    /// `running` are the flat running means and variances to update.
    pub fn forward(&mut self, params: &[T], running: &mut [T], input: &[T], output: &mut [T]) {
        let mut statistics = running.to_vec();
        self.forward_apart(params, &mut statistics, input, output);
        batch_norm::blend(running, &statistics);
    }

    /// As [`Network::forward`], but `statistics` get the batch's means and variances, laid out as the running
    /// ones, which they are to be blended into.
    pub fn forward_apart(&mut self, params: &[T], statistics: &mut [T], input: &[T], output: &mut [T]) {
        alone(self.batch, |whole| self.forward_together(params, statistics, input, output, whole));
    }

    /// As [`Network::forward`], but normalised with the `running` statistics: every sample stands for itself.
    pub fn forward_running(&mut self, params: &[T], running: &[T], input: &[T], output: &mut [T]) {
        self.run(params, input, output, |network, i| {
            network.norms[i] = running_norms(&network.net.convs[i], params, running);
        });
    }

    /// The forward pass; `set_norms` sets the norms of a layer whose z has been made.
    pub(super) fn run(
        &mut self,
        params: &[T],
        input: &[T],
        output: &mut [T],
        mut set_norms: impl FnMut(&mut Self, usize),
    ) {
        for node in 0..self.net.nodes.len() {
            match self.net.nodes[node] {
                Node::BlockInput(b) => self.block_input(b, input),
                Node::Conv(i) => {
                    self.convolve(i, params, input);
                    set_norms(self, i);
                }
                Node::BlockSum(b) => self.block_sum(b),
            }
        }
        self.convolve_out(params, output);
    }

    /// z of layer i.
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

    /// Sets the norms of layer i by its batch statistics.
    pub(super) fn normalise(
        &mut self,
        i: usize,
        params: &[T],
        statistics: &mut [T],
        together: &mut Together<T>,
    ) {
        let conv = &self.net.convs[i];
        let (nx, ny) = self.grid(conv.level);
        let moments: Vec<Vec<Moments<T>>> = match conv.norm {
            Some(_) => self.z[i]
                .par_chunks(conv.c_out * nx * ny)
                .map(|z| z.chunks_exact(nx * ny).map(Moments::of).collect())
                .collect(),
            None => Vec::new(),
        };
        self.norms[i] = batch_norms(conv, params, statistics, &moments, together);
    }

    /// The last convolution, from the last sum or the last activation.
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
}
