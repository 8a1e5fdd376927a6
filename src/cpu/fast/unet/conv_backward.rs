//! The backward pass of one convolution of the U-Net with its batch norm, sample by sample (method §5).

use crate::cpu::fast::nn::channels::whole;
use crate::cpu::fast::nn::conv3x3::conv3x3;
use crate::cpu::fast::nn::norm::{backward, backward_sums};
use crate::cpu::fast::nn::pool::max_pool_backward;
use crate::cpu::fast::nn::tiles::Tiles;
use crate::cpu::fast::nn::upsample::upsample_backward;
use crate::cpu::fast::nn::weight_gradient::weight_gradient;
use crate::cpu::fast::nn::{one_channel, pointwise};
use crate::cpu::fast::unet::input::{fill_border, interior, resized};
use crate::cpu::fast::unet::network::{Network, outputs};
use crate::cpu::fast::unet::scratch::Scratch;
use crate::cpu::fast::unet::weights::{Kernel, Weights, kernel};
use crate::cpu::reduce::sum_rows;
use crate::cpu::unet::network::samples;
use crate::cpu::unet::norms::norm_gradients;
use crate::cpu::unet::together::Together;
use crate::model::unet::{Conv, Input};
use rayon::prelude::*;

impl Network {
    /// From ∂L/∂activation of layer i: the gradients of its parameters, and ∂L/∂ of what it has read.
    pub(crate) fn conv_backward(
        &mut self,
        i: usize,
        adjoint: Option<&Weights>,
        input: &[f32],
        gradients: &mut [f32],
        together: &mut Together<f32>,
    ) {
        let conv = &self.net.convs[i].clone();
        let own = std::mem::take(self.gradient_of(i));
        let per_sample = self.norm_sums(conv, i, &own);
        let sums = norm_gradients(conv, &per_sample, gradients, self.net.param_count, together);
        let count = (together.order.len() * together.samples * self.grid_of(conv.level).cells()) as f32;
        let means = &self.norms[i].means(&sums, count);
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
                    if let Some(adjoint) = adjoint {
                        this.input_gradient(conv, adjoint, scratch, [first, second]);
                    }
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
        *self.gradient_of(i) = own;
    }

    /// Σg and Σg·ẑ of every channel of layer i, of every sample.
    fn norm_sums(&self, conv: &Conv, i: usize, gradient: &[f32]) -> Vec<Vec<[f32; 2]>> {
        let layer = self.layer(i);
        let len = self.grid_of(conv.level).cells() * layer.norms.stored();
        let samples = self.z[i].par_chunks(len).zip(gradient.par_chunks(len));
        samples.map(|(z, g)| backward_sums(layer, z, g)).collect()
    }

    /// Where ∂L/∂activation of layer i is kept: a block's sum hands its own to both of its terms.
    fn gradient_of(&mut self, i: usize) -> &mut Vec<f32> {
        match self.net.blocks.iter().position(|block| block.adds(i)) {
            Some(b) => &mut self.blocks[b].gradient,
            None => &mut self.gradients[i],
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
        let (grid, layer) = (self.grid_of(conv.level), self.layer(i));
        let channels = layer.norms.stored();
        let (z, out) = (&self.z[i][n * g.len()..][..g.len()], resized(&mut scratch.gradient, grid, channels));
        backward(layer, means, z, whole(g, grid, channels), grid, out);
        fill_border(self.net.config.padding, &mut scratch.gradient, grid, channels);
    }

    /// What sample n adds to the weight gradient, as the kernels leave it.
    fn weight_share(&self, conv: &Conv, n: usize, input: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let grid = self.grid_of(conv.level);
        let (c_in, c_out) = (self.inputs(conv).stored(), outputs(conv).stored());
        if kernel(conv) == Kernel::Pointwise {
            let (read, g) = (self.block_input_of(conv, n), interior(&scratch.gradient, grid, c_out));
            let share = pointwise::weight_gradient(whole(read, grid, c_in), c_in, g, c_out, grid);
            return share.into_flattened();
        }
        self.load(conv, n, input, scratch);
        let Scratch { padded, gradient, workspace, .. } = scratch;
        let g = interior(gradient, grid, c_out);
        let share = if kernel(conv) == Kernel::OneChannel {
            one_channel::weight_gradient(padded, Tiles::new(grid).padded()[1], g, c_out, grid)
        } else {
            weight_gradient((padded, c_in), (g, c_out), grid, workspace)
        };
        share.into_flattened()
    }

    /// Carries ∂L/∂z of a sample on to what `conv` has read: one or two layers, or the input of a block. What
    /// is pooled is in `scratch` since [`Network::load`].
    fn input_gradient(
        &self,
        conv: &Conv,
        adjoint: &Weights,
        scratch: &mut Scratch,
        [first, second]: [&mut [f32]; 2],
    ) {
        let grid = self.grid_of(conv.level);
        let (c_in, c_out) = (self.inputs(conv).stored(), outputs(conv).stored());
        let Scratch { gradient, activation, carried, workspace, .. } = scratch;
        let weights = match adjoint {
            Weights::Pointwise(weights) => {
                // The first to carry something to the block's input.
                let g = interior(gradient, grid, c_out);
                return pointwise::conv(g, c_out, weights, grid, (first, c_in), false);
            }
            Weights::Tiles(weights) => weights,
            Weights::OneChannel(_) => unreachable!("the network's input gets no gradient"),
        };
        let mut carry = |targets| conv3x3(gradient, weights, grid, workspace, targets);
        match conv.input {
            Input::Field => {}
            Input::Activation(_) => carry([(first, c_in), (&mut [], 0)]),
            Input::Block(_) => {
                carried.resize(c_in * grid.cells(), 0.0);
                carry([(carried, c_in), (&mut [], 0)]);
                // The shortcut adds to the same gradient.
                first.iter_mut().zip(carried).for_each(|(target, &mut g)| *target += g);
            }
            Input::Pool(_) => {
                carried.resize(c_in * grid.cells(), 0.0);
                carry([(carried, c_in), (&mut [], 0)]);
                max_pool_backward(activation, carried, first, c_in, grid);
            }
            Input::SkipUp { skip, .. } => {
                let to_skip = self.norms[skip].stored();
                let to_low = c_in - to_skip;
                carried.resize(to_low * grid.cells(), 0.0);
                carry([(first, to_skip), (carried, to_low)]);
                upsample_backward(whole(carried, grid, to_low), second, to_low, grid.half());
            }
        }
    }
}
