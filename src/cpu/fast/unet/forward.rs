//! The U-Net's forward pass for a batch, node after node (method §5): rayon over samples.

use crate::cpu::fast::nn::channels::{stored, whole};
use crate::cpu::fast::nn::conv3x3::conv3x3;
use crate::cpu::fast::nn::norm::moments;
use crate::cpu::fast::nn::output::conv1x1;
use crate::cpu::fast::nn::tiles::Tiles;
use crate::cpu::fast::nn::{one_channel, pointwise};
use crate::cpu::fast::unet::network::{Network, outputs};
use crate::cpu::fast::unet::scratch::Scratch;
use crate::cpu::fast::unet::weights::Weights;
use crate::cpu::nn::batch_norm::{self, Moments};
use crate::cpu::passes::Passes;
use crate::cpu::unet::norms::{batch_norms, running_norms};
use crate::cpu::unet::together::{Together, alone};
use crate::model::unet::{Conv, Node};
use rayon::prelude::*;

impl Network {
    /// Predictions `[batch, nx, ny]` for `input` of the same shape, with batch statistics.
    ///
    /// `running` are the flat running means and variances to update.
    pub fn forward(&mut self, params: &[f32], running: &mut [f32], input: &[f32], output: &mut [f32]) {
        let mut statistics = running.to_vec();
        let batch = self.batch;
        alone(batch, |whole| self.forward_together(params, &mut statistics, input, output, whole));
        batch_norm::blend(running, &statistics);
    }

    /// As [`Network::forward`], but normalised with the `running` statistics: every sample stands for itself.
    pub fn forward_running(&mut self, params: &[f32], running: &[f32], input: &[f32], output: &mut [f32]) {
        self.run(params, input, output, false, |network, i, _| {
            network.norms[i].set(&running_norms(&network.net.convs[i], params, running));
        });
    }

    /// The forward pass; `set_norms` sets the norms of a layer whose z has been made, from every sample's
    /// moments where it is normalised by its `batch`.
    pub(super) fn run(
        &mut self,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        batch: bool,
        mut set_norms: impl FnMut(&mut Self, usize, &[Vec<Moments<f32>>]),
    ) {
        let weights: Vec<_> = self.net.convs.par_iter().map(|conv| self.weights(conv, params)).collect();
        for node in 0..self.net.nodes.len() {
            match self.net.nodes[node] {
                Node::BlockInput(b) => self.block_input(b, input),
                Node::Conv(i) => {
                    let moments = self.convolve(i, &weights[i], input, batch);
                    set_norms(self, i, &moments);
                }
                Node::BlockSum(b) => self.block_sum(b),
            }
        }
        self.convolve_out(params, output);
    }

    /// z of layer i, and the moments of every sample where it is normalised by its `batch`.
    fn convolve(
        &mut self,
        i: usize,
        weights: &Weights,
        input: &[f32],
        batch: bool,
    ) -> Vec<Vec<Moments<f32>>> {
        let mut z = std::mem::take(&mut self.z[i]);
        let conv = &self.net.convs[i];
        let grid = self.grid_of(conv.level);
        let channels = outputs(conv).stored();
        let wanted = batch && conv.norm.is_some();
        let samples = z.par_chunks_mut(channels * grid.cells()).enumerate();
        let all = samples.map(|(n, z)| {
            self.scratches.with(|scratch| self.convolve_sample(conv, n, input, weights, scratch, z));
            // While z is in the cache.
            if wanted { moments(z, channels) } else { Vec::new() }
        });
        let all = all.collect();
        self.z[i] = z;
        all
    }

    fn convolve_sample(
        &self,
        conv: &Conv,
        n: usize,
        input: &[f32],
        weights: &Weights,
        scratch: &mut Scratch,
        z: &mut [f32],
    ) {
        let grid = self.grid_of(conv.level);
        let (from, to) = (self.inputs(conv).stored(), outputs(conv).stored());
        match weights {
            Weights::Tiles(weights) => {
                self.load(conv, n, input, scratch);
                let targets = [(z, to), (&mut [][..], 0)];
                conv3x3(&scratch.padded, weights, grid, &mut scratch.workspace, targets);
            }
            Weights::OneChannel(weights) => {
                self.load(conv, n, input, scratch);
                one_channel::conv(&scratch.padded, Tiles::new(grid).padded()[1], weights, grid, (z, to));
            }
            Weights::Pointwise(weights) => {
                let own = self.block_input_of(conv, n);
                pointwise::conv(whole(own, grid, from), from, weights, grid, (z, to), false);
            }
        }
    }

    /// Sets the norms of layer i by its batch statistics, from the moments of every sample.
    pub(super) fn normalise(
        &mut self,
        i: usize,
        params: &[f32],
        statistics: &mut [f32],
        moments: &[Vec<Moments<f32>>],
        together: &mut Together<f32>,
    ) {
        let norms = batch_norms(&self.net.convs[i], params, statistics, moments, together);
        self.norms[i].set(&norms);
    }

    /// The last convolution, from the last sum or the last activation.
    fn convolve_out(&self, params: &[f32], output: &mut [f32]) {
        let cells = self.grid.cells();
        let (weights, bias) = (self.out_weights(params), params[self.net.out_bias]);
        output.par_chunks_mut(cells).enumerate().for_each(|(n, out)| {
            self.scratches.with(|scratch| {
                conv1x1(self.last_values(n, &mut scratch.activation), &weights, bias, out);
            });
        });
    }

    /// The last convolution's weights, with zeros where a channel is only room.
    pub(crate) fn out_weights(&self, params: &[f32]) -> Vec<f32> {
        let channels = self.net.out_channels;
        let mut weights = params[self.net.out_weight..][..channels].to_vec();
        weights.resize(stored(channels), 0.0);
        weights
    }

    /// What the last convolution reads of sample n: the last sum, or the last activation, which is made.
    pub(crate) fn last_values<'a>(&'a self, n: usize, activation: &'a mut Vec<f32>) -> &'a [f32] {
        let len = self.grid.cells() * stored(self.net.out_channels);
        match self.blocks.last() {
            Some(block) => &block.output[n * len..][..len],
            None => {
                self.activate_to(self.z.len() - 1, n, activation);
                activation
            }
        }
    }
}
