//! The input and the sum of a residual block, which are kept, and their adjoints.

use crate::cpu::fast::nn::channels::{View, ViewMut, stored, whole_mut};
use crate::cpu::fast::nn::norm::{activate, add_argument};
use crate::cpu::fast::nn::pool::{max_pool, max_pool_backward};
use crate::cpu::fast::nn::upsample::{upsample, upsample_backward};
use crate::cpu::fast::unet::input::copy;
use crate::cpu::fast::unet::network::{Block, Network};
use crate::cpu::unet::network::samples;
use crate::model::unet::{Conv, Input, ResBlock};
use rayon::prelude::*;

impl Network {
    /// The input of the block that `conv` reads, sample n.
    pub(crate) fn block_input_of(&self, conv: &Conv, n: usize) -> &[f32] {
        let Input::Block(b) = conv.input else { unreachable!("1×1 convolutions read blocks alone") };
        let len = self.grid_of(conv.level).cells() * self.inputs(conv).stored();
        &self.blocks[b].input[n * len..][..len]
    }

    /// The input of block b.
    pub(crate) fn block_input(&mut self, b: usize, field: &[f32]) {
        let ResBlock { input, level, .. } = self.net.blocks[b];
        let grid = self.grid_of(level);
        let mut own = std::mem::take(&mut self.blocks[b].input);
        let len = own.len() / self.batch;
        let channels = len / grid.cells();
        match input {
            Input::Field => own.copy_from_slice(field),
            Input::Pool(j) => own
                .par_chunks_mut(len)
                .zip(self.blocks[j].output.par_chunks(4 * len))
                .for_each(|(own, fine)| max_pool(fine, channels, grid, whole_mut(own, grid, channels))),
            Input::SkipUp { skip, low } => {
                let (first, rest) = (stored(self.net.blocks[skip].c_out), stored(self.net.blocks[low].c_out));
                let skip = self.blocks[skip].output.par_chunks(first * grid.cells());
                let low = self.blocks[low].output.par_chunks(rest * grid.half().cells());
                own.par_chunks_mut(len).zip(skip.zip(low)).for_each(|(own, (skip, low))| {
                    let mut out = whole_mut(own, grid, channels);
                    copy(skip, grid, first, &mut out);
                    let up = ViewMut { values: &mut out.values[first..], ..out };
                    upsample(low, rest, grid.half(), up);
                });
            }
            Input::Activation(_) | Input::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input = own;
    }

    /// The sum of block b.
    pub(crate) fn block_sum(&mut self, b: usize) {
        let ResBlock { level, sample, .. } = self.net.blocks[b];
        let second = self.net.blocks[b].second();
        let grid = self.grid_of(level);
        let mut output = std::mem::take(&mut self.blocks[b].output);
        let layer = self.layer(second);
        let len = output.len() / self.batch;
        let shortcut = sample.map_or(&self.blocks[b].input, |sample| &self.z[sample]);
        let terms = self.z[second].par_chunks(len).zip(shortcut.par_chunks(len));
        output.par_chunks_mut(len).zip(terms).for_each(|(out, (z, x))| {
            activate(layer, z, grid, whole_mut(out, grid, layer.norms.stored()));
            match sample {
                Some(sample) => add_argument(&self.norms[sample], x, out),
                None => out.iter_mut().zip(x).for_each(|(out, x)| *out += x),
            }
        });
        self.blocks[b].output = output;
    }

    /// ∂L/∂sum of block b to a shortcut without a convolution; the layers of the sum read it where it is.
    pub(crate) fn block_sum_backward(&mut self, b: usize) {
        let Block { gradient, input_gradient, .. } = &mut self.blocks[b];
        if self.net.blocks[b].sample.is_none() {
            let len = gradient.len() / self.batch;
            let samples = input_gradient.par_chunks_mut(len).zip(gradient.par_chunks(len));
            samples.for_each(|(to, from)| to.copy_from_slice(from));
        }
    }

    /// ∂L/∂input of block b to where that input came from. The blocks on the way up come first, so that those
    /// on the way down find a gradient to add to.
    pub(crate) fn block_input_backward(&mut self, b: usize) {
        let ResBlock { input, level, .. } = self.net.blocks[b];
        let grid = self.grid_of(level);
        let own = std::mem::take(&mut self.blocks[b].input_gradient);
        let len = own.len() / self.batch;
        let channels = len / grid.cells();
        match input {
            Input::Field => {}
            Input::Pool(j) => {
                let Block { output, gradient, .. } = &mut self.blocks[j];
                gradient
                    .par_chunks_mut(4 * len)
                    .zip(output.par_chunks(4 * len).zip(own.par_chunks(len)))
                    .for_each(|(gradient, (fine, own))| {
                        max_pool_backward(fine, own, gradient, channels, grid);
                    });
            }
            Input::SkipUp { skip, low } => {
                let first = stored(self.net.blocks[skip].c_out);
                let rest = channels - first;
                let mut to_skip = std::mem::take(&mut self.blocks[skip].gradient);
                samples(&mut to_skip, self.batch)
                    .into_par_iter()
                    .zip(samples(&mut self.blocks[low].gradient, self.batch))
                    .zip(own.par_chunks(len))
                    .for_each(|((to_skip, to_low), own)| {
                        for (cell, target) in own.chunks_exact(channels).zip(to_skip.chunks_exact_mut(first))
                        {
                            target.copy_from_slice(&cell[..first]);
                        }
                        let up = View { values: &own[first..], row: grid.ny * channels, cell: channels };
                        upsample_backward(up, to_low, rest, grid.half());
                    });
                self.blocks[skip].gradient = to_skip;
            }
            Input::Activation(_) | Input::Block(_) => unreachable!("no block reads a layer"),
        }
        self.blocks[b].input_gradient = own;
    }
}
