//! The backward pass of one convolution of the U-Net with its batch norm, sample by sample (SPEC 5).

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::nn::conv3x3::{conv3x3, conv3x3_weight_gradient, flip_weights, pad};
use crate::cpu::nn::max_pool::max_pool_backward;
use crate::cpu::nn::upsample::upsample_backward;
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::input::{Scratch, nine_taps};
use crate::cpu::unet::network::Network;
use crate::model::unet::{Conv, Source};
use rayon::prelude::*;

impl<T: Real> Network<T> {
    /// From ∂L/∂activation of layer i: ∂L/∂z in place, the weight gradient, and ∂L/∂activation of its sources.
    pub(crate) fn conv_backward(
        &mut self,
        conv: &Conv,
        i: usize,
        params: &[T],
        input: &[T],
        sums: &[[T; 2]],
        gradients: &mut [T],
        input_gradient: Option<&mut [T]>,
    ) {
        let flipped = flip_weights(&nine_taps(conv, params), conv.c_in, conv.c_out);
        let mut own = std::mem::take(&mut self.gradients[i]);
        let mut taken = self.source_gradients(conv).map(|gradient| gradient.map(std::mem::take));
        let [first, second] = taken.each_mut().map(|values| values.as_deref_mut().unwrap_or_default());
        let first =
            if let (Source::Field, Some(target)) = (conv.source, input_gradient) { target } else { first };
        let this = &*self;
        let shares: Vec<Vec<T>> = samples(&mut own, this.batch)
            .into_par_iter()
            .zip(samples(first, this.batch))
            .zip(samples(second, this.batch))
            .enumerate()
            .map_init(Scratch::default, |scratch, (n, ((g, first), second))| {
                this.layer_gradient(conv, i, n, sums, g);
                let share = this.weight_share(conv, n, input, g, scratch);
                this.source_gradient(conv, n, g, &flipped, scratch, [first, second]);
                share
            })
            .collect();
        let mut total = vec![T::zero(); 9 * conv.c_in * conv.c_out];
        sum_rows(&shares, &mut total);
        let wanted = total.chunks_exact(9).flat_map(|taps| if conv.taps == 9 { taps } else { &taps[4..5] });
        gradients[conv.weight..].iter_mut().zip(wanted).for_each(|(gradient, &sum)| *gradient = sum);
        for (place, values) in self.source_gradients(conv).into_iter().zip(taken) {
            if let (Some(place), Some(values)) = (place, values) {
                *place = values;
            }
        }
        self.gradients[i] = own;
    }

    /// Where ∂L/∂activation of what `conv` has read is kept.
    fn source_gradients(&mut self, conv: &Conv) -> [Option<&mut Vec<T>>; 2] {
        match conv.source {
            Source::Field => [None, None],
            Source::Activation(j) | Source::Pool(j) => [Some(&mut self.gradients[j]), None],
            Source::SkipUp { skip, low } => {
                let both = self.gradients.get_disjoint_mut([skip, low]);
                both.expect("a skip connection is no coarser layer").map(Some)
            }
            Source::Block(b) => [Some(&mut self.blocks[b].input_gradient), None],
        }
    }

    /// ∂L/∂z of sample n of layer i, in place of ∂L/∂activation.
    fn layer_gradient(&self, conv: &Conv, i: usize, n: usize, sums: &[[T; 2]], g: &mut [T]) {
        let (nx, ny) = self.grid(conv.level);
        let count = T::of((self.batch * nx * ny) as f64);
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

    /// Carries ∂L/∂z `g` of sample n on to what `conv` has read: the field, if its gradient is wanted, or one or two layers.
    fn source_gradient(
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
        if let Source::Field | Source::Activation(_) = conv.source {
            return adjoint(first);
        }
        planes.resize(conv.c_in * cells, T::zero());
        adjoint(planes);
        match conv.source {
            Source::Field | Source::Activation(_) => {}
            // Of two convolutions, and of the shortcut as it is.
            Source::Block(_) => first.iter_mut().zip(planes).for_each(|(target, &mut g)| *target += g),
            Source::Pool(j) => {
                plane.resize(4 * cells, T::zero());
                let per_channel = planes.chunks_exact(cells).zip(first.chunks_exact_mut(4 * cells));
                for (c, (pooled, target)) in per_channel.enumerate() {
                    self.activate(j, n, c, plane.chunks_exact_mut(2 * ny));
                    max_pool_backward(plane, pooled, target, 2 * ny);
                }
            }
            Source::SkipUp { .. } => {
                let (to_skip, to_low) = planes.split_at(first.len());
                first.copy_from_slice(to_skip);
                for (fine, coarse) in to_low.chunks_exact(cells).zip(second.chunks_exact_mut(cells / 4)) {
                    upsample_backward(fine, coarse, nx / 2, ny / 2);
                }
            }
        }
    }
}

/// The values of every sample; of nothing, as many nothings.
fn samples<T>(values: &mut [T], batch: usize) -> Vec<&mut [T]> {
    if values.is_empty() {
        return (0..batch).map(|_| <&mut [T]>::default()).collect();
    }
    let len = values.len() / batch;
    values.chunks_exact_mut(len).collect()
}
