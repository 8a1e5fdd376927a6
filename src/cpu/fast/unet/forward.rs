//! The U-Net's forward pass for a batch, node after node (method §5): rayon over samples.

use crate::cpu::fast::nn::channels::{stored, whole};
use crate::cpu::fast::nn::conv3x3::{PointWeights, conv3x3};
use crate::cpu::fast::nn::gemm::COLUMNS;
use crate::cpu::fast::nn::norm::moments;
use crate::cpu::fast::nn::output::conv1x1;
use crate::cpu::fast::nn::tiles::Tiles;
use crate::cpu::fast::nn::{one_channel, pointwise};
use crate::cpu::fast::unet::network::{Network, outputs};
use crate::cpu::fast::unet::scratch::Scratch;
use crate::cpu::nn::batch_norm::{self, Moments, Norm};
use crate::cpu::unet::network::running_norms;
use crate::cpu::unet::together::{Together, alone};
use crate::model::unet::{Conv, Node};
use rayon::prelude::*;

/// A convolution's weights as its kernel reads them.
pub(crate) enum Weights {
    Points(PointWeights),
    OneChannel(Vec<[f32; COLUMNS]>),
    Pointwise(Vec<[f32; COLUMNS]>),
}

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

    /// As [`Network::forward`], for a batch of micro-batches that are normalised `together`; `statistics` get
    /// the batch's means and variances, laid out as the running ones, which they are to be blended into.
    pub fn forward_together(
        &mut self,
        params: &[f32],
        statistics: &mut [f32],
        input: &[f32],
        output: &mut [f32],
        together: &mut Together<f32>,
    ) {
        self.run(params, input, output, true, |network, i, moments| {
            network.normalise(i, params, statistics, moments, together);
        });
    }

    /// As [`Network::forward`], but normalised with the `running` statistics: every sample stands for itself.
    pub fn forward_running(&mut self, params: &[f32], running: &[f32], input: &[f32], output: &mut [f32]) {
        self.run(params, input, output, false, |network, i, _| network.set_norms(i, params, running));
    }

    /// The forward pass; `set_norms` sets the norms of a layer whose z has been made, from every sample's
    /// moments where it is normalised by its `batch`.
    fn run(
        &mut self,
        params: &[f32],
        input: &[f32],
        output: &mut [f32],
        batch: bool,
        mut set_norms: impl FnMut(&mut Self, usize, &[Vec<Moments<f32>>]),
    ) {
        for node in 0..self.net.nodes.len() {
            match self.net.nodes[node] {
                Node::BlockInput(b) => self.block_input(b, input),
                Node::Conv(i) => {
                    let moments = self.convolve(i, params, input, batch);
                    set_norms(self, i, &moments);
                }
                Node::BlockSum(b) => self.block_sum(b),
            }
        }
        self.convolve_out(params, output);
    }

    /// z of layer i, and the moments of every sample where it is normalised by its `batch`.
    fn convolve(&mut self, i: usize, params: &[f32], input: &[f32], batch: bool) -> Vec<Vec<Moments<f32>>> {
        let mut z = std::mem::take(&mut self.z[i]);
        let conv = &self.net.convs[i];
        let grid = self.grid_of(conv.level);
        let (channels, weights) = (outputs(conv).stored(), self.weights(conv, params));
        let wanted = batch && conv.norm.is_some();
        let samples = z.par_chunks_mut(channels * grid.cells()).enumerate();
        let all = samples.map(|(n, z)| {
            self.scratches.with(|scratch| self.convolve_sample(conv, n, input, &weights, scratch, z));
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
            Weights::Points(weights) => {
                self.load(conv, n, input, scratch);
                let targets = [(z, to), (&mut [][..], 0)];
                conv3x3(&scratch.padded, weights, grid, &mut scratch.blocks, targets);
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

    /// The weights of `conv`.
    fn weights(&self, conv: &Conv, params: &[f32]) -> Weights {
        let (from, to) = (self.inputs(conv), outputs(conv));
        let w = &params[conv.weight..][..conv.taps * conv.c_in * conv.c_out];
        let c_in = conv.c_in;
        match (conv.taps, c_in) {
            (1, _) => Weights::Pointwise(pointwise::pack(from, to, |o, i| w[o * c_in + i])),
            (_, 1) => Weights::OneChannel(one_channel::pack(to.count(), to.stored(), |o, k| w[9 * o + k])),
            _ => Weights::Points(PointWeights::new(from, to, |o, i, k| w[(o * c_in + i) * 9 + k])),
        }
    }

    /// The norms of layer i by the `running` statistics, or without batch norm by its biases.
    fn set_norms(&mut self, i: usize, params: &[f32], running: &[f32]) {
        let norms = running_norms(&self.net.convs[i], params, running);
        norms.into_iter().enumerate().for_each(|(c, norm)| self.norms[i].set(c, norm));
    }

    /// Sets the norms of layer i by its batch statistics: moments of every sample, merged in the order of the
    /// samples of a micro-batch, then of the micro-batches. Without batch norm, they hold the bias alone.
    fn normalise(
        &mut self,
        i: usize,
        params: &[f32],
        statistics: &mut [f32],
        moments: &[Vec<Moments<f32>>],
        together: &mut Together<f32>,
    ) {
        let conv = self.net.convs[i].clone();
        let Some(norm) = conv.norm else {
            return self.set_norms(i, params, statistics);
        };
        let merged = |part: &[Vec<Moments<f32>>], c: usize| {
            let Moments { count, mean, m2 } =
                part.iter().fold(Moments::default(), |m, sample| m.merge(sample[c]));
            [count, mean, m2]
        };
        let parts = moments.chunks(together.samples);
        let own: Vec<Vec<f32>> =
            parts.map(|part| (0..conv.c_out).flat_map(|c| merged(part, c)).collect()).collect();
        let all = together.all(&own);
        for c in 0..conv.c_out {
            let moments = all.iter().fold(Moments::default(), |m, part| {
                m.merge(Moments { count: part[3 * c], mean: part[3 * c + 1], m2: part[3 * c + 2] })
            });
            self.norms[i].set(c, Norm::new(moments, params[norm.gamma + c], params[norm.beta + c]));
            let [mean, variance] = batch_norm::statistics(moments, params[conv.bias + c]);
            statistics[norm.running_mean + c] = mean;
            statistics[norm.running_var + c] = variance;
        }
    }

    /// The last convolution, from the last sum or the last activation.
    fn convolve_out(&self, params: &[f32], output: &mut [f32]) {
        let cells = self.grid.cells();
        let (weights, bias) = (self.out_weights(params), params[self.net.out_bias]);
        output.par_chunks_mut(cells).enumerate().for_each(|(n, out)| {
            self.scratches.with(|scratch| {
                conv1x1(self.last_values(n, &mut scratch.plane), &weights, bias, out);
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

    /// What the last convolution reads of sample n: the last sum, or the last activation, in `plane`.
    pub(crate) fn last_values<'a>(&'a self, n: usize, plane: &'a mut Vec<f32>) -> &'a [f32] {
        let len = self.grid.cells() * stored(self.net.out_channels);
        match self.blocks.last() {
            Some(block) => &block.output[n * len..][..len],
            None => {
                self.activate_to(self.z.len() - 1, n, plane);
                plane
            }
        }
    }
}
