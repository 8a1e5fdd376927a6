//! The backward pass of one convolution of the U-Net with its batch norm, sample by sample (method §5).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::nn::conv3x3::{conv3x3, conv3x3_weight_gradient, flip_weights};
use crate::cpu::nn::max_pool::max_pool_backward;
use crate::cpu::nn::padding::pad;
use crate::cpu::nn::upsample::upsample_backward;
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::input::{Scratch, nine_taps};
use crate::cpu::unet::network::{Network, samples};
use crate::cpu::unet::norms::norm_gradients;
use crate::cpu::unet::together::Together;
use crate::model::unet::{Conv, Input};
use rayon::prelude::*;

impl<T: Real> Network<T> {
    /// From ∂L/∂activation of layer i: ∂L/∂z in place, the gradients of its parameters, and ∂L/∂ of what it
    /// has read.
    pub(crate) fn conv_backward(
        &mut self,
        i: usize,
        params: &[T],
        input: &[T],
        gradients: &mut [T],
        input_gradient: Option<&mut [T]>,
        together: &mut Together<T>,
    ) {
        let conv = &self.net.convs[i].clone();
        let per_sample = self.norm_sums(conv, i);
        let sums = &norm_gradients(conv, &per_sample, gradients, self.net.param_count, together);
        let (nx, ny) = self.grid(conv.level);
        let count = T::of((together.order.len() * together.samples * nx * ny) as f64);
        let flipped = flip_weights(&nine_taps(conv, params), conv.c_in, conv.c_out);
        let mut own = std::mem::take(&mut self.gradients[i]);
        let mut taken = self.input_gradients(conv).map(|gradient| gradient.map(std::mem::take));
        let [first, second] = taken.each_mut().map(|values| values.as_deref_mut().unwrap_or_default());
        let first =
            if let (Input::Field, Some(target)) = (conv.input, input_gradient) { target } else { first };
        let this = &*self;
        let shares: Vec<Vec<T>> = samples(&mut own, this.batch)
            .into_par_iter()
            .zip(samples(first, this.batch))
            .zip(samples(second, this.batch))
            .enumerate()
            .map_init(Scratch::default, |scratch, (n, ((g, first), second))| {
                this.layer_gradient(conv, i, n, sums, count, g);
                let share = this.weight_share(conv, n, input, g, scratch);
                this.input_gradient(conv, n, g, &flipped, scratch, [first, second]);
                share
            })
            .collect();
        let parts = shares.chunks(together.samples);
        for (gradients, shares) in gradients.chunks_exact_mut(self.net.param_count).zip(parts) {
            let mut total = vec![T::zero(); 9 * conv.c_in * conv.c_out];
            sum_rows(shares, &mut total);
            let wanted =
                total.chunks_exact(9).flat_map(|taps| if conv.taps == 9 { taps } else { &taps[4..5] });
            gradients[conv.weight..].iter_mut().zip(wanted).for_each(|(gradient, &sum)| *gradient = sum);
        }
        for (place, values) in self.input_gradients(conv).into_iter().zip(taken) {
            if let (Some(place), Some(values)) = (place, values) {
                *place = values;
            }
        }
        self.gradients[i] = own;
    }

    /// Σg and Σg·ẑ of every channel of layer i, of every sample.
    fn norm_sums(&self, conv: &Conv, i: usize) -> Vec<Vec<[T; 2]>> {
        let (nx, ny) = self.grid(conv.level);
        self.z[i]
            .par_chunks(conv.c_out * nx * ny)
            .zip(self.gradients[i].par_chunks(conv.c_out * nx * ny))
            .map(|(z, g)| {
                let planes = z.chunks_exact(nx * ny).zip(g.chunks_exact(nx * ny)).zip(&self.norms[i]);
                planes.map(|((z, g), &norm)| batch_norm::backward_sums(conv.activation, norm, z, g)).collect()
            })
            .collect()
    }

    /// Where ∂L/∂ of what `conv` has read is kept.
    fn input_gradients(&mut self, conv: &Conv) -> [Option<&mut Vec<T>>; 2] {
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

    /// ∂L/∂z of sample n of layer i, in place of ∂L/∂activation. `sums` are over `count` values.
    fn layer_gradient(&self, conv: &Conv, i: usize, n: usize, sums: &[[T; 2]], count: T, g: &mut [T]) {
        let (nx, ny) = self.grid(conv.level);
        let z = self.z[i][n * g.len()..].chunks_exact(nx * ny);
        for (c, (g, z)) in g.chunks_exact_mut(nx * ny).zip(z).enumerate() {
            batch_norm::backward(conv.activation, self.norms[i][c], sums[c], count, z, g);
        }
    }

    /// What sample n adds to the weight gradient, from ∂L/∂z `g`.
    fn weight_share(&self, conv: &Conv, n: usize, input: &[T], g: &[T], scratch: &mut Scratch<T>) -> Vec<T> {
        let (nx, ny) = self.grid(conv.level);
        self.load(conv, n, input, scratch);
        let mut share = vec![T::zero(); 9 * conv.c_in * conv.c_out];
        conv3x3_weight_gradient(&scratch.padded, g, &mut share, conv.c_in, conv.c_out, nx, ny);
        share
    }

    /// Carries ∂L/∂z `g` of sample n on to what `conv` has read: one or two layers, the input of a block, or
    /// the network's input, if its gradient is wanted.
    fn input_gradient(
        &self,
        conv: &Conv,
        n: usize,
        g: &[T],
        flipped: &[T],
        scratch: &mut Scratch<T>,
        [first, second]: [&mut [T]; 2],
    ) {
        if first.is_empty() {
            return;
        }
        let (nx, ny) = self.grid(conv.level);
        let cells = nx * ny;
        let Scratch { padded, plane, planes } = scratch;
        padded.resize(conv.c_out * (nx + 2) * (ny + 2), T::zero());
        pad(self.net.config.padding, g, padded, conv.c_out, nx, ny);
        let adjoint = |out: &mut [T]| conv3x3(padded, flipped, out, conv.c_out, conv.c_in, nx, ny);
        if let Input::Field | Input::Activation(_) = conv.input {
            return adjoint(first);
        }
        planes.resize(conv.c_in * cells, T::zero());
        adjoint(planes);
        match conv.input {
            Input::Field | Input::Activation(_) => {}
            // The shortcut adds to the same gradient.
            Input::Block(_) => first.iter_mut().zip(planes).for_each(|(target, &mut g)| *target += g),
            Input::Pool(j) => {
                plane.resize(4 * cells, T::zero());
                let per_channel = planes.chunks_exact(cells).zip(first.chunks_exact_mut(4 * cells));
                for (c, (pooled, target)) in per_channel.enumerate() {
                    self.activate(j, n, c, plane.chunks_exact_mut(2 * ny));
                    max_pool_backward(plane, pooled, target, 2 * ny);
                }
            }
            Input::SkipUp { .. } => {
                let (to_skip, to_low) = planes.split_at(first.len());
                first.copy_from_slice(to_skip);
                for (fine, coarse) in to_low.chunks_exact(cells).zip(second.chunks_exact_mut(cells / 4)) {
                    upsample_backward(fine, coarse, nx / 2, ny / 2);
                }
            }
        }
    }
}
