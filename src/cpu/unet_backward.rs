//! The U-Net's backward pass for a batch, layer by layer in reverse (SPEC 5).

use super::Real;
use super::batch_norm;
use super::conv1x1::conv1x1_backward;
use super::conv3x3::{conv3x3, conv3x3_weight_gradient, flip_weights, pad};
use super::max_pool::max_pool_backward;
use super::reduce::sum_rows;
use super::res_block::Block;
use super::source::{Scratch, nine_taps};
use super::unet::Network;
use super::upsample::upsample_backward;
use crate::model::unet::{Conv, Source};
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

    /// From ∂L/∂activation of layer i: ∂L/∂z in place, the weight gradient, and ∂L/∂activation of its sources.
    fn conv_backward(
        &mut self,
        conv: &Conv,
        i: usize,
        params: &[T],
        input: &[T],
        sums: &[[T; 2]],
        gradients: &mut [T],
        input_gradient: Option<&mut [T]>,
    ) {
        let (nx, ny) = self.grid(conv.level);
        let cells = nx * ny;
        let weight_len = 9 * conv.c_in * conv.c_out;
        let flipped = flip_weights(&nine_taps(conv, params), conv.c_in, conv.c_out);
        let mut own = std::mem::take(&mut self.gradients[i]);
        let [mut first, mut second] = match conv.source {
            Source::Field => [vec![], vec![]],
            Source::Activation(j) | Source::Pool(j) => [std::mem::take(&mut self.gradients[j]), vec![]],
            Source::SkipUp { skip, low } => [skip, low].map(|j| std::mem::take(&mut self.gradients[j])),
            Source::Block(b) => [std::mem::take(&mut self.blocks[b].input_gradient), vec![]],
        };
        let this = &*self;
        let count = T::of((self.batch * cells) as f64);
        // ∂L/∂z of sample n in place; returns its share of the weight gradient, leaves z's gradient padded.
        let weight_share = |n: usize, g: &mut [T], scratch: &mut Scratch<T>| {
            let z = &this.z[i][n * conv.c_out * cells..][..conv.c_out * cells];
            for (c, (g, z)) in g.chunks_exact_mut(cells).zip(z.chunks_exact(cells)).enumerate() {
                batch_norm::backward(conv.activation, this.norms[i][c], sums[c], count, z, g);
            }
            this.load(conv, n, input, scratch);
            let mut share = vec![T::zero(); weight_len];
            conv3x3_weight_gradient(&scratch.padded, g, &mut share, conv.c_in, conv.c_out, nx, ny);
            scratch.padded.resize(conv.c_out * (nx + 2) * (ny + 2), T::zero());
            pad(this.net.config.padding, g, &mut scratch.padded, conv.c_out, nx, ny);
            share
        };
        let adjoint =
            |padded: &[T], out: &mut [T]| conv3x3(padded, &flipped, out, conv.c_out, conv.c_in, nx, ny);
        let own_samples = own.par_chunks_mut(conv.c_out * cells).enumerate();
        let shares: Vec<Vec<T>> = match conv.source {
            Source::Field => match input_gradient {
                Some(target) => own_samples
                    .zip(target.par_chunks_mut(cells))
                    .map_init(Scratch::default, |scratch, ((n, g), target)| {
                        let share = weight_share(n, g, scratch);
                        adjoint(&scratch.padded, target);
                        share
                    })
                    .collect(),
                None => own_samples
                    .map_init(Scratch::default, |scratch, (n, g)| weight_share(n, g, scratch))
                    .collect(),
            },
            // Of two convolutions, and of the shortcut as it is.
            Source::Block(_) => own_samples
                .zip(first.par_chunks_mut(conv.c_in * cells))
                .map_init(Scratch::default, |scratch, ((n, g), target)| {
                    let share = weight_share(n, g, scratch);
                    let Scratch { padded, planes, .. } = scratch;
                    planes.resize(conv.c_in * cells, T::zero());
                    adjoint(padded, planes);
                    target.iter_mut().zip(planes).for_each(|(target, &mut g)| *target += g);
                    share
                })
                .collect(),
            Source::Activation(_) => own_samples
                .zip(first.par_chunks_mut(conv.c_in * cells))
                .map_init(Scratch::default, |scratch, ((n, g), target)| {
                    let share = weight_share(n, g, scratch);
                    adjoint(&scratch.padded, target);
                    share
                })
                .collect(),
            Source::Pool(j) => own_samples
                .zip(first.par_chunks_mut(conv.c_in * 4 * cells))
                .map_init(Scratch::default, |scratch, ((n, g), target)| {
                    let share = weight_share(n, g, scratch);
                    let Scratch { padded, plane, planes } = scratch;
                    planes.resize(conv.c_in * cells, T::zero());
                    adjoint(padded, planes);
                    plane.resize(4 * cells, T::zero());
                    let per_channel = planes.chunks_exact(cells).zip(target.chunks_exact_mut(4 * cells));
                    for (c, (pooled, target)) in per_channel.enumerate() {
                        this.activate(j, n, c, plane.chunks_exact_mut(2 * ny));
                        max_pool_backward(plane, pooled, target, 2 * ny);
                    }
                    share
                })
                .collect(),
            Source::SkipUp { skip, low } => {
                let (skip_channels, low_channels) = (this.net.convs[skip].c_out, this.net.convs[low].c_out);
                own_samples
                    .zip(first.par_chunks_mut(skip_channels * cells))
                    .zip(second.par_chunks_mut(low_channels * cells / 4))
                    .map_init(Scratch::default, |scratch, (((n, g), target), coarse)| {
                        let share = weight_share(n, g, scratch);
                        let Scratch { padded, planes, .. } = scratch;
                        planes.resize(conv.c_in * cells, T::zero());
                        adjoint(padded, planes);
                        let (to_skip, to_low) = planes.split_at(skip_channels * cells);
                        target.copy_from_slice(to_skip);
                        for (fine, coarse) in
                            to_low.chunks_exact(cells).zip(coarse.chunks_exact_mut(cells / 4))
                        {
                            upsample_backward(fine, coarse, nx / 2, ny / 2);
                        }
                        share
                    })
                    .collect()
            }
        };
        let mut total = vec![T::zero(); weight_len];
        sum_rows(&shares, &mut total);
        let wanted = total.chunks_exact(9).flat_map(|taps| if conv.taps == 9 { taps } else { &taps[4..5] });
        gradients[conv.weight..].iter_mut().zip(wanted).for_each(|(gradient, &sum)| *gradient = sum);
        self.gradients[i] = own;
        match conv.source {
            Source::Field => {}
            Source::Activation(j) | Source::Pool(j) => self.gradients[j] = first,
            Source::SkipUp { skip, low } => {
                self.gradients[skip] = first;
                self.gradients[low] = second;
            }
            Source::Block(b) => self.blocks[b].input_gradient = first,
        }
    }
}
