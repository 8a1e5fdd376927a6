//! Residual blocks (docs/network.md): what happens around their convolutions. A block's input and its sum are kept.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm::{self, Norm};
use crate::cpu::nn::max_pool::{max_pool, max_pool_backward};
use crate::cpu::nn::upsample::{upsample, upsample_backward};
use crate::cpu::unet::network::Network;
use crate::model::Activation;
use crate::model::unet::{ResBlock, Source};
use rayon::prelude::*;

/// The arrays of a residual block for one batch.
pub(crate) struct Block<T> {
    /// `[batch, c_in, nx, ny]` of its level.
    pub(crate) input: Vec<T>,
    /// The sum, `[batch, c_out, nx, ny]`.
    pub(crate) output: Vec<T>,
    /// ∂L/∂output.
    pub(crate) gradient: Vec<T>,
    /// ∂L/∂input, of its convolutions and its shortcut together.
    pub(crate) input_gradient: Vec<T>,
}

impl<T: Real> Block<T> {
    /// Of a batch of `nx` × `ny` cells at the finest level, without memory for gradients.
    pub(crate) fn new(block: &ResBlock, batch: usize, nx: usize, ny: usize) -> Self {
        let [input, output] = [block.c_in, block.c_out]
            .map(|channels| vec![T::zero(); batch * channels * (nx >> block.level) * (ny >> block.level)]);
        Self { input, output, gradient: Vec::new(), input_gradient: Vec::new() }
    }

    pub(crate) fn allocate_gradients(&mut self) {
        self.gradient = self.output.clone();
        self.input_gradient = self.input.clone();
    }
}

/// out = activation(norm(z)) + shortcut(x) of a plane, where the shortcut is a norm, or none of `Norm::bias(0)`.
pub fn res_sum<T: Real>(
    function: Activation,
    norm: Norm<T>,
    z: &[T],
    shortcut_norm: Norm<T>,
    shortcut: &[T],
    out: &mut [T],
) {
    batch_norm::activate(function, norm, z, out);
    out.iter_mut().zip(shortcut).for_each(|(out, &x)| *out += shortcut_norm.argument(x));
}

impl<T: Real> Network<T> {
    /// Before layer i: where a block starts with it, its input.
    pub(crate) fn gather(&mut self, i: usize, input: &[T]) {
        let Some(b) = self.net.blocks.iter().position(|block| block.first == i) else { return };
        let ResBlock { source, level, c_in, .. } = self.net.blocks[b];
        let (nx, ny) = self.grid(level);
        let cells = nx * ny;
        let mut own = std::mem::take(&mut self.blocks[b].input);
        match source {
            Source::Field => own.copy_from_slice(input),
            Source::Pool(j) => own
                .par_chunks_mut(cells)
                .zip(self.blocks[j].output.par_chunks(4 * cells))
                .for_each(|(pooled, fine)| max_pool(fine, pooled, 2 * ny)),
            Source::SkipUp { skip, low } => {
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
            Source::Activation(_) | Source::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input = own;
    }

    /// After layer i: where a block ends with it, its sum.
    pub(crate) fn add_up(&mut self, i: usize) {
        let Some(b) = self.net.blocks.iter().position(|block| block.last() == i) else { return };
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

    /// Before the backward pass of layer i: where a block ends with it, ∂L/∂(its sum) goes to all that was added.
    pub(crate) fn spread(&mut self, i: usize) {
        let Some(b) = self.net.blocks.iter().position(|block| block.last() == i) else { return };
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

    /// After the backward pass of layer i: where a block starts with it, ∂L/∂(its input) goes to where that came from.
    /// The blocks of the way up come first, so that those of the way down find a gradient to add to.
    pub(crate) fn scatter(&mut self, i: usize, input_gradient: Option<&mut [T]>) {
        let Some(b) = self.net.blocks.iter().position(|block| block.first == i) else { return };
        let ResBlock { source, level, c_in, .. } = self.net.blocks[b];
        let (nx, ny) = self.grid(level);
        let cells = nx * ny;
        let own = std::mem::take(&mut self.blocks[b].input_gradient);
        match source {
            Source::Field => {
                if let Some(wanted) = input_gradient {
                    wanted.copy_from_slice(&own);
                }
            }
            Source::Pool(j) => {
                let Block { output, gradient, .. } = &mut self.blocks[j];
                gradient
                    .par_chunks_mut(4 * cells)
                    .zip(output.par_chunks(4 * cells).zip(own.par_chunks(cells)))
                    .for_each(|(gradient, (fine, pooled))| max_pool_backward(fine, pooled, gradient, 2 * ny));
            }
            Source::SkipUp { skip, low } => {
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
            Source::Activation(_) | Source::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input_gradient = own;
    }
}
