//! The backward pass of one convolution of the U-Net with its batch norm, sample by sample (method §5).

use crate::cpu::fast::nn::channels::whole;
use crate::cpu::fast::nn::conv3x3::{PointWeights, conv3x3};
use crate::cpu::fast::nn::gemm::COLUMNS;
use crate::cpu::fast::nn::norm::{backward, backward_sums};
use crate::cpu::fast::nn::pool::max_pool_backward;
use crate::cpu::fast::nn::tiles::Tiles;
use crate::cpu::fast::nn::upsample::upsample_backward;
use crate::cpu::fast::nn::weight_gradient::weight_gradient;
use crate::cpu::fast::nn::{one_channel, pointwise};
use crate::cpu::fast::unet::input::{fill_border, interior, resized};
use crate::cpu::fast::unet::network::{Network, outputs};
use crate::cpu::fast::unet::scratch::Scratch;
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::together::Together;
use crate::model::unet::{Conv, Input};
use rayon::prelude::*;

/// The adjoint's weights.
enum Adjoint {
    Points(PointWeights),
    Pointwise(Vec<[f32; COLUMNS]>),
    /// The gradient of the network's input is not wanted.
    None,
}

impl Network {
    /// From ∂L/∂activation of layer i: the gradients of its parameters, and ∂L/∂ of what it has read.
    pub(crate) fn conv_backward(
        &mut self,
        i: usize,
        params: &[f32],
        input: &[f32],
        gradients: &mut [f32],
        together: &mut Together<f32>,
    ) {
        let conv = &self.net.convs[i].clone();
        let means = &self.norm_backward(conv, i, gradients, together);
        let adjoint = &self.adjoint(conv, params);
        let own = std::mem::take(&mut self.gradients[i]);
        let mut taken = self.input_gradients(conv).map(|gradient| gradient.map(std::mem::take));
        let [first, second] = taken.each_mut().map(|values| values.as_deref_mut().unwrap_or_default());
        let this = &*self;
        let shares: Vec<Vec<f32>> = samples(first, this.batch)
            .into_par_iter()
            .zip(samples(second, this.batch))
            .zip(own.par_chunks(own.len() / this.batch))
            .enumerate()
            .map(|(n, ((first, second), g))| {
                this.scratches.with(|scratch| {
                    this.layer_gradient(conv, i, n, means, g, scratch);
                    let share = this.weight_share(conv, n, input, scratch);
                    this.input_gradient(conv, n, adjoint, scratch, [first, second]);
                    share
                })
            })
            .collect();
        let parts = shares.chunks(together.samples);
        for (gradients, shares) in gradients.chunks_exact_mut(self.net.param_count).zip(parts) {
            let mut total = vec![0.0; shares[0].len()];
            sum_rows(shares, &mut total);
            self.unpack(conv, &total, &mut gradients[conv.weight..]);
        }
        for (place, values) in self.input_gradients(conv).into_iter().zip(taken) {
            if let (Some(place), Some(values)) = (place, values) {
                *place = values;
            }
        }
        self.gradients[i] = own;
    }

    /// The gradients of layer i's batch norm or bias, and what its backward pass subtracts: Σg/n and Σg·ẑ/n
    /// per channel, over the n values of all micro-batches.
    fn norm_backward(
        &self,
        conv: &Conv,
        i: usize,
        gradients: &mut [f32],
        together: &mut Together<f32>,
    ) -> [Vec<f32>; 2] {
        let (grid, norms) = (self.grid_of(conv.level), &self.norms[i]);
        let len = grid.cells() * norms.stored();
        let samples = self.z[i].par_chunks(len).zip(self.gradients[i].par_chunks(len));
        let per_sample: Vec<Vec<[f32; 2]>> =
            samples.map(|(z, g)| backward_sums(conv.activation, norms, z, g)).collect();
        let sums = |part: &[Vec<[f32; 2]>]| {
            let mut sums = vec![0.0; 2 * conv.c_out];
            for sample in part {
                sums.iter_mut().zip(sample.as_flattened()).for_each(|(sum, share)| *sum += *share);
            }
            sums
        };
        let parts: Vec<Vec<f32>> = per_sample.chunks(together.samples).map(sums).collect();
        for (gradients, sums) in gradients.chunks_exact_mut(self.net.param_count).zip(&parts) {
            for (c, sums) in sums.chunks_exact(2).enumerate() {
                match conv.norm {
                    Some(norm) => [gradients[norm.beta + c], gradients[norm.gamma + c]] = [sums[0], sums[1]],
                    None => gradients[conv.bias + c] = sums[0],
                }
            }
        }
        let mut means = [vec![0.0; norms.stored()], vec![0.0; norms.stored()]];
        if conv.norm.is_some() {
            for part in together.all(&parts) {
                for (c, sums) in part.chunks_exact(2).enumerate() {
                    means[0][c] += sums[0];
                    means[1][c] += sums[1];
                }
            }
            let count = (together.order.len() * together.samples * grid.cells()) as f32;
            means.iter_mut().flatten().for_each(|sum| *sum /= count);
        }
        means // without batch norm no mean is subtracted
    }

    /// The weights of the adjoint of `conv`, w'[i, o, kx, ky] = w[o, i, 2 - kx, 2 - ky]: the gradient of what
    /// it has read is the same convolution of the padded gradient of its outputs.
    fn adjoint(&self, conv: &Conv, params: &[f32]) -> Adjoint {
        let (from, to, c_in) = (self.inputs(conv), outputs(conv), conv.c_in);
        let w = &params[conv.weight..][..conv.taps * c_in * conv.c_out];
        match (conv.taps, c_in) {
            (_, 1) => Adjoint::None,
            (1, _) => Adjoint::Pointwise(pointwise::pack(to, from, |i, o| w[o * c_in + i])),
            _ => Adjoint::Points(PointWeights::new(to, from, |i, o, k| w[(o * c_in + i) * 9 + 8 - k])),
        }
    }

    /// Where ∂L/∂ of what `conv` has read is kept.
    fn input_gradients(&mut self, conv: &Conv) -> [Option<&mut Vec<f32>>; 2] {
        match conv.input {
            Input::Field => [None, None],
            Input::Activation(j) | Input::Pool(j) => [Some(&mut self.gradients[j]), None],
            Input::SkipUp { skip, low } => {
                let both = self.gradients.get_disjoint_mut([skip, low]);
                both.expect("a skip connection is no coarser layer").map(Some)
            }
            Input::Block(b) => [Some(&mut self.blocks[b].input_gradient), None],
        }
    }

    /// ∂L/∂z of sample n of layer i, padded, from ∂L/∂activation `g`.
    fn layer_gradient(
        &self,
        conv: &Conv,
        i: usize,
        n: usize,
        means: &[Vec<f32>; 2],
        g: &[f32],
        scratch: &mut Scratch,
    ) {
        let (grid, norms) = (self.grid_of(conv.level), &self.norms[i]);
        let channels = norms.stored();
        let (z, out) = (&self.z[i][n * g.len()..][..g.len()], resized(&mut scratch.gradient, grid, channels));
        backward(conv.activation, norms, means, z, whole(g, grid, channels), grid, out);
        fill_border(self.net.config.padding, &mut scratch.gradient, grid, channels);
    }

    /// What sample n adds to the weight gradient, as the kernels leave it.
    fn weight_share(&self, conv: &Conv, n: usize, input: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let grid = self.grid_of(conv.level);
        let (c_in, c_out) = (self.inputs(conv).stored(), outputs(conv).stored());
        if conv.taps == 1 {
            let (read, g) = (self.block_input_of(conv, n), interior(&scratch.gradient, grid, c_out));
            let share = pointwise::weight_gradient(whole(read, grid, c_in), c_in, g, c_out, grid);
            return share.into_flattened();
        }
        self.load(conv, n, input, scratch);
        let Scratch { padded, gradient, blocks, .. } = scratch;
        let g = interior(gradient, grid, c_out);
        let share = if conv.c_in == 1 {
            one_channel::weight_gradient(padded, Tiles::new(grid).padded()[1], g, c_out, grid)
        } else {
            weight_gradient(padded, c_in, g, c_out, grid, blocks)
        };
        share.into_flattened()
    }

    /// Takes a sum of [`Network::weight_share`]s to `[c_out, c_in, taps]`.
    fn unpack(&self, conv: &Conv, total: &[f32], out: &mut [f32]) {
        let (from, to) = (self.inputs(conv), outputs(conv));
        let (c_in, columns) = (from.stored(), to.stored().div_ceil(COLUMNS));
        for o in 0..conv.c_out {
            for i in 0..conv.c_in {
                for tap in 0..conv.taps {
                    let (column, lane) = (to.at(o) / COLUMNS, to.at(o) % COLUMNS);
                    let row = match (conv.taps, conv.c_in) {
                        (1, _) => column * c_in + from.at(i),
                        (_, 1) => column * 9 + tap,
                        _ => (tap * columns + column) * c_in + from.at(i),
                    };
                    out[(o * conv.c_in + i) * conv.taps + tap] = total[row * COLUMNS + lane];
                }
            }
        }
    }

    /// Carries ∂L/∂z of sample n on to what `conv` has read: one or two layers, or the input of a block.
    fn input_gradient(
        &self,
        conv: &Conv,
        n: usize,
        adjoint: &Adjoint,
        scratch: &mut Scratch,
        [first, second]: [&mut [f32]; 2],
    ) {
        let grid = self.grid_of(conv.level);
        let (c_in, c_out) = (self.inputs(conv).stored(), outputs(conv).stored());
        let Scratch { gradient, plane, planes, blocks, .. } = scratch;
        let weights = match adjoint {
            Adjoint::None => return,
            Adjoint::Pointwise(weights) => {
                let g = interior(gradient, grid, c_out);
                return pointwise::conv(g, c_out, weights, grid, (first, c_in), true);
            }
            Adjoint::Points(weights) => weights,
        };
        let mut carry = |targets| conv3x3(gradient, weights, grid, blocks, targets);
        match conv.input {
            Input::Field => {}
            Input::Activation(_) => carry([(first, c_in), (&mut [], 0)]),
            Input::Block(_) => {
                planes.resize(c_in * grid.cells(), 0.0);
                carry([(planes, c_in), (&mut [], 0)]);
                // The shortcut adds to the same gradient.
                first.iter_mut().zip(planes).for_each(|(target, &mut g)| *target += g);
            }
            Input::Pool(j) => {
                planes.resize(c_in * grid.cells(), 0.0);
                carry([(planes, c_in), (&mut [], 0)]);
                self.activate_to(j, n, plane);
                max_pool_backward(plane, planes, first, c_in, grid);
            }
            Input::SkipUp { skip, .. } => {
                let to_skip = self.norms[skip].stored();
                let to_low = c_in - to_skip;
                planes.resize(to_low * grid.cells(), 0.0);
                carry([(first, to_skip), (planes, to_low)]);
                upsample_backward(whole(planes, grid, to_low), second, to_low, grid.half());
            }
        }
    }
}

/// The values of every sample; empty ones where there are no values.
pub(crate) fn samples(values: &mut [f32], batch: usize) -> Vec<&mut [f32]> {
    if values.is_empty() {
        return (0..batch).map(|_| <&mut [f32]>::default()).collect();
    }
    let len = values.len() / batch;
    values.chunks_exact_mut(len).collect()
}
