//! The U-Net forward and backward for a batch (SPEC 5): rayon over samples, one layer after the other.
//!
//! Only the convolutions' outputs z are kept. Normalised, pooled and upsampled activations are made again for
//! one sample at a time, just before the convolution that reads them, while they fit into the cache.

use super::Real;
use super::batch_norm::{self, Moments, Norm};
use super::conv1x1::{conv1x1, conv1x1_backward};
use super::conv3x3::{conv3x3, conv3x3_weight_gradient, fill_border, flip_weights, pad};
use super::max_pool::{max_pool, max_pool_backward};
use super::reduce::sum_rows;
use super::res_block::Block;
use super::upsample::{upsample, upsample_backward};
use crate::model::UNet;
use crate::model::unet::{Conv, Source};
use rayon::prelude::*;
use std::borrow::Cow;

/// A network with room for the activations and gradients of one batch.
pub struct Network<T> {
    pub(super) net: UNet,
    batch: usize,
    nx: usize,
    ny: usize,
    /// Convolution outputs without bias, per layer `[batch, c_out, nx, ny]` of its level.
    pub(super) z: Vec<Vec<T>>,
    /// Per layer and channel.
    pub(super) norms: Vec<Vec<Norm<T>>>,
    /// ∂L/∂activation, then in place ∂L/∂z, per layer as `z`.
    pub(super) gradients: Vec<Vec<T>>,
    /// Of a network of residual blocks.
    pub(super) blocks: Vec<Block<T>>,
}

/// What a rayon task needs for itself: one sample's planes.
#[derive(Clone, Default)]
struct Scratch<T> {
    padded: Vec<T>,
    plane: Vec<T>,
    planes: Vec<T>,
}

impl<T: Real> Network<T> {
    /// Allocates for `batch` fields of `nx` × `ny` cells.
    pub fn new(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let mut network = Self::forward_only(net, batch, nx, ny);
        network.gradients = network.z.clone();
        network.blocks.iter_mut().for_each(Block::allocate_gradients);
        network
    }

    /// As [`Network::new`], with half the memory: [`Network::backward`] must not be called.
    pub fn forward_only(net: &UNet, batch: usize, nx: usize, ny: usize) -> Self {
        let sizes = net.convs.iter().map(|c| batch * c.c_out * (nx >> c.level) * (ny >> c.level));
        let z: Vec<Vec<T>> = sizes.map(|len| vec![T::zero(); len]).collect();
        let norms = net.convs.iter().map(|c| vec![Norm::default(); c.c_out]).collect();
        let blocks = net.blocks.iter().map(|block| Block::new(block, batch, nx, ny)).collect();
        Self { net: net.clone(), batch, nx, ny, gradients: Vec::new(), z, norms, blocks }
    }

    /// Predictions `[batch, nx, ny]` for `input` of the same shape, with batch statistics.
    ///
    /// `running` are the flat running means and variances to update.
    pub fn forward(&mut self, params: &[T], running: &mut [T], input: &[T], output: &mut [T]) {
        for i in 0..self.net.convs.len() {
            self.gather(i, input);
            self.convolve(i, params, input);
            self.normalise(i, params, running);
            self.add_up(i);
        }
        self.convolve_out(params, output);
    }

    /// As [`Network::forward`], but normalised with the `running` statistics: every sample stands for itself.
    pub fn forward_running(&mut self, params: &[T], running: &[T], input: &[T], output: &mut [T]) {
        for i in 0..self.net.convs.len() {
            self.gather(i, input);
            self.convolve(i, params, input);
            self.norms[i] = running_norms(&self.net.convs[i], params, running);
            self.add_up(i);
        }
        self.convolve_out(params, output);
    }

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

    fn convolve_out(&self, params: &[T], output: &mut [T]) {
        let cells = self.nx * self.ny;
        let channels = self.net.out_channels;
        let weights = &params[self.net.out_weight..][..channels];
        let bias = params[self.net.out_bias];
        let outputs = output.par_chunks_mut(cells);
        match self.blocks.last() {
            Some(block) => outputs
                .zip(block.output.par_chunks(channels * cells))
                .for_each(|(out, sum)| conv1x1(|_, value| value, sum, weights, bias, out)),
            None => {
                let (z, norms) = (self.z.last().unwrap(), self.norms.last().unwrap());
                outputs
                    .zip(z.par_chunks(channels * cells))
                    .for_each(|(out, z)| conv1x1(|c, z| norms[c].relu(z), z, weights, bias, out));
            }
        }
    }

    pub(super) fn grid(&self, level: usize) -> (usize, usize) {
        (self.nx >> level, self.ny >> level)
    }

    fn convolve(&mut self, i: usize, params: &[T], input: &[T]) {
        let mut z = std::mem::take(&mut self.z[i]);
        let conv = &self.net.convs[i];
        let (nx, ny) = self.grid(conv.level);
        let weights = &nine_taps(conv, params);
        z.par_chunks_mut(conv.c_out * nx * ny).enumerate().for_each_init(
            Scratch::default,
            |scratch, (n, z)| {
                self.load(conv, n, input, scratch);
                conv3x3(&scratch.padded, weights, z, conv.c_in, conv.c_out, nx, ny);
            },
        );
        self.z[i] = z;
    }

    /// Batch statistics of layer i: per-sample moments, merged in sample order. Without batch norm the bias alone.
    fn normalise(&mut self, i: usize, params: &[T], running: &mut [T]) {
        let conv = &self.net.convs[i];
        let Some(norm) = conv.norm else {
            self.norms[i] = running_norms(conv, params, running);
            return;
        };
        let (nx, ny) = self.grid(conv.level);
        let per_sample: Vec<Vec<Moments<T>>> = self.z[i]
            .par_chunks(conv.c_out * nx * ny)
            .map(|z| z.chunks_exact(nx * ny).map(Moments::of).collect())
            .collect();
        for c in 0..conv.c_out {
            let moments = per_sample.iter().fold(Moments::default(), |m, sample| m.merge(sample[c]));
            self.norms[i][c] = Norm::new(moments, params[norm.gamma + c], params[norm.beta + c]);
            let mut mean = running[norm.running_mean + c];
            let mut var = running[norm.running_var + c];
            batch_norm::update_running(moments, params[conv.bias + c], &mut mean, &mut var);
            running[norm.running_mean + c] = mean;
            running[norm.running_var + c] = var;
        }
    }

    /// Fills `scratch.padded` `[c_in, nx+2, ny+2]` with what `conv` reads of sample n.
    fn load(&self, conv: &Conv, n: usize, input: &[T], scratch: &mut Scratch<T>) {
        let (nx, ny) = self.grid(conv.level);
        let Scratch { padded, plane, .. } = scratch;
        padded.resize(conv.c_in * (nx + 2) * (ny + 2), T::zero());
        match conv.source {
            Source::Field => {
                pad(self.net.config.padding, &input[n * nx * ny..][..nx * ny], padded, 1, nx, ny);
                return;
            }
            Source::Block(b) => {
                let len = conv.c_in * nx * ny;
                let own = &self.blocks[b].input[n * len..][..len];
                pad(self.net.config.padding, own, padded, conv.c_in, nx, ny);
                return;
            }
            Source::Activation(j) => {
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    self.activate(j, n, c, interior(out, nx, ny));
                }
            }
            Source::Pool(j) => {
                plane.resize(4 * nx * ny, T::zero());
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    self.activate(j, n, c, plane.chunks_exact_mut(2 * ny));
                    for (rows, out) in plane.chunks_exact(4 * ny).zip(interior(out, nx, ny)) {
                        max_pool(rows, out, 2 * ny);
                    }
                }
            }
            Source::SkipUp { skip, low } => {
                let skip_channels = self.net.convs[skip].c_out;
                plane.resize(5 * nx * ny / 4, T::zero());
                let (coarse, fine) = plane.split_at_mut(nx * ny / 4);
                for (c, out) in planes_mut(padded, nx, ny).enumerate() {
                    if c < skip_channels {
                        self.activate(skip, n, c, interior(out, nx, ny));
                    } else {
                        self.activate(low, n, c - skip_channels, coarse.chunks_exact_mut(ny / 2));
                        upsample(coarse, fine, nx / 2, ny / 2);
                        for (row, out) in fine.chunks_exact(ny).zip(interior(out, nx, ny)) {
                            out.copy_from_slice(row);
                        }
                    }
                }
            }
        }
        fill_border(self.net.config.padding, padded, conv.c_in, nx, ny);
    }

    /// Writes the activation of layer j, sample n, channel c, row by row.
    fn activate<'a>(&self, j: usize, n: usize, c: usize, rows: impl Iterator<Item = &'a mut [T]>) {
        let (nx, ny) = self.grid(self.net.convs[j].level);
        let (function, norm) = (self.net.convs[j].activation, self.norms[j][c]);
        let plane = &self.z[j][(n * self.net.convs[j].c_out + c) * nx * ny..][..nx * ny];
        rows.zip(plane.chunks_exact(ny)).for_each(|(row, z)| batch_norm::activate(function, norm, z, row));
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

/// The normalisations of a layer that its running statistics give, or without batch norm its biases.
pub fn running_norms<T: Real>(conv: &Conv, params: &[T], running: &[T]) -> Vec<Norm<T>> {
    let norm = |c: usize| {
        let bias = params[conv.bias + c];
        let Some(norm) = conv.norm else { return Norm::bias(bias) };
        let (mean, var) = (running[norm.running_mean + c], running[norm.running_var + c]);
        Norm::running(mean, var, bias, params[norm.gamma + c], params[norm.beta + c])
    };
    (0..conv.c_out).map(norm).collect()
}

/// The weight of a convolution as that of a 3×3 one: a 1×1 convolution is the one whose other taps are zero.
fn nine_taps<'a, T: Real>(conv: &Conv, params: &'a [T]) -> Cow<'a, [T]> {
    let weight = &params[conv.weight..][..conv.taps * conv.c_in * conv.c_out];
    if conv.taps == 9 {
        return weight.into();
    }
    let mut taps = vec![T::zero(); 9 * weight.len()];
    taps.iter_mut().skip(4).step_by(9).zip(weight).for_each(|(tap, &w)| *tap = w);
    taps.into()
}

/// The planes `[nx+2, ny+2]` of a padded stack.
fn planes_mut<T>(padded: &mut [T], nx: usize, ny: usize) -> impl Iterator<Item = &mut [T]> {
    padded.chunks_exact_mut((nx + 2) * (ny + 2))
}

/// The rows of a padded plane without its border.
fn interior<T>(plane: &mut [T], nx: usize, ny: usize) -> impl Iterator<Item = &mut [T]> {
    plane.chunks_exact_mut(ny + 2).skip(1).take(nx).map(move |row| &mut row[1..=ny])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Activation;
    use crate::model::init::State;
    use crate::model::rng::{Purpose, Random};
    use crate::model::unet::{Padding, Place, UNetConfig};

    /// Every kind of parameter and the input against central differences, in f64.
    #[test]
    fn backward_matches_central_differences() {
        use Activation::{Relu, Sigmoid, Silu, Tanh};
        use Padding::{Circular, Zero};
        for (padding, activation, batch_norm, res_blocks, filters, batch, nx, ny) in [
            (Circular, Relu, true, false, vec![8], 1, 4, 2),
            (Circular, Relu, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Relu, true, false, vec![8, 8, 8], 2, 8, 4),
            (Zero, Relu, true, false, vec![8], 1, 4, 2),
            (Zero, Relu, true, false, vec![8, 16], 2, 4, 8),
            (Zero, Relu, true, false, vec![8, 8, 8], 2, 8, 4),
            (Circular, Silu, true, false, vec![8, 16], 2, 4, 8),
            (Zero, Tanh, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Sigmoid, true, false, vec![8, 16], 2, 4, 8),
            (Circular, Relu, false, false, vec![8], 1, 4, 2),
            (Circular, Relu, false, false, vec![8, 16], 2, 4, 8),
            (Zero, Silu, false, false, vec![8, 8, 8], 2, 8, 4),
            (Circular, Relu, true, true, vec![8], 1, 4, 2),
            (Circular, Silu, true, true, vec![8, 16], 2, 4, 8),
            (Zero, Tanh, false, true, vec![8, 8, 16], 2, 8, 4),
        ] {
            let net = UNet::new(&UNetConfig { filters, padding, activation, batch_norm, res_blocks });
            let mut random = Random::new(Purpose::Cases, 4, nx as u64, ny as u64);
            let mut noise = |n: usize| -> Vec<f64> { (0..n).map(|_| random.between(-1.0, 1.0)).collect() };
            let params: Vec<f64> = State::new(&net, 1).params.iter().map(|&w| f64::from(w)).collect();
            let (input, weight) = (noise(batch * nx * ny), noise(batch * nx * ny));
            let mut network = Network::new(&net, batch, nx, ny);
            let mut loss = |params: &[f64], input: &[f64]| -> f64 {
                let mut output = vec![0.0; input.len()];
                network.forward(params, &mut vec![0.0; net.buffer_count], input, &mut output);
                output.iter().zip(&weight).map(|(o, w)| o * w).sum()
            };
            let h = 1e-6;
            let mut numeric = |params: &[f64], input: &[f64], of_input: bool, k: usize| -> f64 {
                let mut shifted = |by: f64| {
                    let (mut params, mut input) = (params.to_vec(), input.to_vec());
                    *(if of_input { &mut input[k] } else { &mut params[k] }) += by;
                    loss(&params, &input)
                };
                (shifted(h) - shifted(-h)) / (2.0 * h)
            };
            let mut analytic = Network::new(&net, batch, nx, ny);
            let (mut gradients, mut input_gradient) =
                (vec![f64::NAN; net.param_count], vec![f64::NAN; input.len()]);
            let mut output = vec![0.0; input.len()];
            analytic.forward(&params, &mut vec![0.0; net.buffer_count], &input, &mut output);
            analytic.backward(&params, &input, &weight, &mut gradients, Some(&mut input_gradient));
            for entry in &net.entries {
                let Place::Param(offset) = entry.place else {
                    continue;
                };
                for k in (offset..offset + entry.len()).step_by(entry.len().div_ceil(7)) {
                    let expected = numeric(&params, &input, false, k);
                    let error = (expected - gradients[k]).abs();
                    assert!(
                        error <= 2e-6 * (1.0 + expected.abs()),
                        "{} {k}: {expected} {}",
                        entry.name,
                        gradients[k]
                    );
                }
            }
            for k in 0..input.len() {
                let expected = numeric(&params, &input, true, k);
                assert!((expected - input_gradient[k]).abs() <= 2e-6 * (1.0 + expected.abs()));
            }
        }
    }
}
