//! What happens around the convolutions of residual blocks (docs/network.md). A block's input and its sum are
//! kept.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::Norm;
use crate::cpu::nn::max_pool::{max_pool, max_pool_backward};
use crate::cpu::nn::res_sum::res_sum;
use crate::cpu::nn::upsample::{upsample, upsample_backward};
use crate::cpu::unet::network::{Block, Network};
use crate::model::unet::{Input, ResBlock};
use rayon::prelude::*;

impl<T: Real> Network<T> {
    /// The input of block b.
    pub(crate) fn block_input(&mut self, b: usize, field: &[T]) {
        let ResBlock { input, level, c_in, .. } = self.net.blocks[b];
        let (nx, ny) = self.grid(level);
        let cells = nx * ny;
        let mut own = std::mem::take(&mut self.blocks[b].input);
        match input {
            Input::Field => own.copy_from_slice(field),
            Input::Pool(j) => own
                .par_chunks_mut(cells)
                .zip(self.blocks[j].output.par_chunks(4 * cells))
                .for_each(|(pooled, fine)| max_pool(fine, pooled, 2 * ny)),
            Input::SkipUp { skip, low } => {
                let (skip, low) = (&self.blocks[skip].output, &self.blocks[low].output);
                let sample_len = c_in * cells;
                let skip_len = skip.len() / (own.len() / sample_len);
                own.par_chunks_mut(sample_len)
                    .zip(skip.par_chunks(skip_len).zip(low.par_chunks((sample_len - skip_len) / 4)))
                    .for_each(|(own, (skip, low))| {
                        let (first, rest) = own.split_at_mut(skip_len);
                        first.copy_from_slice(skip);
                        let planes = low.chunks_exact(cells / 4).zip(rest.chunks_exact_mut(cells));
                        planes.for_each(|(coarse, fine)| upsample(coarse, fine, nx / 2, ny / 2));
                    });
            }
            Input::Activation(_) | Input::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input = own;
    }

    /// The sum of block b.
    pub(crate) fn block_sum(&mut self, b: usize) {
        let ResBlock { level, c_out, sample, .. } = self.net.blocks[b];
        let second = self.net.blocks[b].second();
        let (nx, ny) = self.grid(level);
        let mut output = std::mem::take(&mut self.blocks[b].output);
        let shortcut = sample.map_or(&self.blocks[b].input, |sample| &self.z[sample]);
        let planes = self.z[second].par_chunks(nx * ny).zip(shortcut.par_chunks(nx * ny));
        output.par_chunks_mut(nx * ny).zip(planes).enumerate().for_each(|(plane, (out, (z, x)))| {
            let c = plane % c_out;
            let shortcut_norm = sample.map_or(Norm::bias(T::zero()), |sample| self.norms[sample][c]);
            res_sum(self.net.convs[second].activation, self.norms[second][c], z, shortcut_norm, x, out);
        });
        self.blocks[b].output = output;
    }

    /// ∂L/∂sum of block b to both terms of the sum.
    pub(crate) fn block_sum_backward(&mut self, b: usize) {
        let (block, second) = (&mut self.blocks[b], self.net.blocks[b].second());
        self.gradients[second].copy_from_slice(&block.gradient);
        match self.net.blocks[b].sample {
            Some(sample) => {
                self.gradients[sample].copy_from_slice(&block.gradient);
                block.input_gradient.fill(T::zero());
            }
            None => block.input_gradient.copy_from_slice(&block.gradient),
        }
    }

    /// ∂L/∂input of block b to where that input came from. The blocks on the way up come first, so that those
    /// on the way down find a gradient to add to.
    pub(crate) fn block_input_backward(&mut self, b: usize, input_gradient: Option<&mut [T]>) {
        let ResBlock { input, level, c_in, .. } = self.net.blocks[b];
        let (nx, ny) = self.grid(level);
        let cells = nx * ny;
        let own = std::mem::take(&mut self.blocks[b].input_gradient);
        match input {
            Input::Field => {
                if let Some(wanted) = input_gradient {
                    wanted.copy_from_slice(&own);
                }
            }
            Input::Pool(j) => {
                let Block { output, gradient, .. } = &mut self.blocks[j];
                gradient
                    .par_chunks_mut(4 * cells)
                    .zip(output.par_chunks(4 * cells).zip(own.par_chunks(cells)))
                    .for_each(|(gradient, (fine, pooled))| max_pool_backward(fine, pooled, gradient, 2 * ny));
            }
            Input::SkipUp { skip, low } => {
                let mut to_skip = std::mem::take(&mut self.blocks[skip].gradient);
                let sample_len = c_in * cells;
                let skip_len = to_skip.len() / (own.len() / sample_len);
                to_skip
                    .par_chunks_mut(skip_len)
                    .zip(self.blocks[low].gradient.par_chunks_mut((sample_len - skip_len) / 4))
                    .zip(own.par_chunks(sample_len))
                    .for_each(|((to_skip, to_low), own)| {
                        let (first, rest) = own.split_at(skip_len);
                        to_skip.copy_from_slice(first);
                        let planes = rest.chunks_exact(cells).zip(to_low.chunks_exact_mut(cells / 4));
                        planes.for_each(|(fine, coarse)| upsample_backward(fine, coarse, nx / 2, ny / 2));
                    });
                self.blocks[skip].gradient = to_skip;
            }
            Input::Activation(_) | Input::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input_gradient = own;
    }
}
