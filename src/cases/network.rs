//! The U-Net's stages, forward and backward, and the whole network.

use super::{Case, garbage, noise, recorded, widen};
use crate::Result;
use crate::cpu::batch_norm::{self as reference_norm, Moments, Norm};
use crate::cpu::conv3x3::{self as reference_conv, flip_weights, pad};
use crate::cpu::{self, max_pool, upsample};
use crate::gpu::batch_norm::{self, batch_norm, batch_norm_backward};
use crate::gpu::conv1x1::{self, conv1x1, conv1x1_backward};
use crate::gpu::conv3x3::{self, Shape, Target, Weights};
use crate::gpu::source::{Layer, Source};
use crate::gpu::{Gpu, Recorder};
use crate::model::init::State;
use crate::model::unet::{Conv, Place};
use crate::model::{Padding, UNet, UNetConfig};

pub(super) fn cases() -> Vec<Case> {
    use Kind::*;
    let mut cases = Vec::new();
    let grids = [(3, 16, 32), (5, 8, 8), (3, 4, 2), (2, 1, 8), (3, 1, 1), (1, 64, 64)];
    for (kind, channels, c_out) in [
        (Plain, [1, 0], 16),
        (Plain, [20, 0], 16),
        (Activation, [16, 0], 20),
        (Pool, [8, 0], 24),
        (SkipUp, [8, 16], 12),
        (SkipUp, [16, 16], 16),
    ] {
        for (batch, nx, ny) in grids {
            if kind == SkipUp && nx < 2 {
                continue;
            }
            let shape = Shape { batch, nx, ny };
            for padding in [Padding::Circular, Padding::Zero] {
                cases.push(conv_case(kind, channels, c_out, shape, padding));
                cases.push(weight_gradient_case(kind, channels, c_out, shape, padding));
            }
        }
    }
    for (c_in, c_out, split, shape) in [
        (16, 16, 16, Shape { batch: 3, nx: 16, ny: 32 }),
        (24, 12, 8, Shape { batch: 3, nx: 16, ny: 8 }),
        (32, 16, 16, Shape { batch: 2, nx: 4, ny: 2 }),
    ] {
        for padding in [Padding::Circular, Padding::Zero] {
            cases.push(input_gradient_case(c_in, c_out, split, shape, padding));
        }
    }
    for (batch, nx, ny) in [(3, 64, 128), (5, 8, 8), (1, 1, 2)] {
        let shape = Shape { batch, nx, ny };
        for (offset, spread) in [(0.0, 1.0), (10.0, 1.0), (17.3, 1.0), (10.0, 1e-3), (10.0, 0.0)] {
            cases.push(norm_case(shape, 12, offset, spread));
        }
        cases.push(norm_backward_case(shape, 12));
    }
    // A last chunk with a single sample, and more chunks than a merging workgroup has invocations.
    for (shape, channels) in
        [(Shape { batch: 65, nx: 8, ny: 8 }, 12), (Shape { batch: 257, nx: 64, ny: 64 }, 2)]
    {
        cases.push(norm_case(shape, channels, 10.0, 1.0));
        cases.push(norm_backward_case(shape, channels));
    }
    // Several tiles per workgroup, and a last workgroup with fewer.
    let shape = Shape { batch: 601, nx: 8, ny: 8 };
    for padding in [Padding::Circular, Padding::Zero] {
        cases.push(weight_gradient_case(Activation, [16, 0], 16, shape, padding));
    }
    for (batch, nx, ny) in [(3, 8, 16), (2, 1, 1)] {
        let shape = Shape { batch, nx, ny };
        cases.push(max_pool_case(shape));
        cases.push(upsample_case(shape));
        cases.push(conv1x1_case(shape));
        cases.push(conv1x1_backward_case(shape));
    }
    for (filters, batch, nx, ny) in
        [(vec![8], 2, 8, 16), (vec![8, 16, 24], 3, 16, 32), (vec![16; 4], 2, 32, 32), (vec![8; 6], 2, 32, 64)]
    {
        for padding in [Padding::Circular, Padding::Zero] {
            cases.push(network_case(filters.clone(), padding, batch, nx, ny));
        }
    }
    cases
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Activation,
    Pool,
    SkipUp,
}

/// A convolution's input on both sides: layers filled with noise.
#[derive(Clone)]
struct Input {
    kind: Kind,
    channels: [usize; 2],
    shape: Shape,
    z: [Vec<f32>; 2],
    norms: [Vec<Norm<f32>>; 2],
}

impl Input {
    fn new(kind: Kind, channels: [usize; 2], shape: Shape) -> Self {
        let cells = |layer: usize| match (kind, layer) {
            (Kind::Pool, _) => 4 * shape.cells(),
            (Kind::SkipUp, 1) => shape.cells() / 4,
            _ => shape.cells(),
        };
        let z = [0, 1].map(|l| noise(10 + l as u64, shape.batch * channels[l] * cells(l)));
        let norms = [0, 1].map(|l| norms(20 + l as u64, channels[l]));
        Self { kind, channels, shape, z, norms }
    }

    fn c_in(&self) -> usize {
        self.channels[0] + self.channels[1]
    }

    /// `[batch, c_in, nx, ny]` as the convolution sees it, in f64.
    fn planes(&self) -> Vec<f64> {
        let Shape { batch, nx, ny } = self.shape;
        let cells = nx * ny;
        let mut planes = Vec::with_capacity(batch * self.c_in() * cells);
        let activation = |layer: usize, n: usize, c: usize, cells: usize| -> Vec<f64> {
            let norm = widen_norm(self.norms[layer][c]);
            let plane = &self.z[layer][(n * self.channels[layer] + c) * cells..][..cells];
            plane.iter().map(|&z| norm.activate(f64::from(z))).collect()
        };
        for n in 0..batch {
            for c in 0..self.c_in() {
                let mut plane = vec![0.0; cells];
                match self.kind {
                    Kind::Plain => plane = widen(&self.z[0][(n * self.c_in() + c) * cells..][..cells]),
                    Kind::Activation => plane = activation(0, n, c, cells),
                    Kind::Pool => max_pool::max_pool(&activation(0, n, c, 4 * cells), &mut plane, 2 * ny),
                    Kind::SkipUp if c < self.channels[0] => plane = activation(0, n, c, cells),
                    Kind::SkipUp => {
                        let coarse = activation(1, n, c - self.channels[0], cells / 4);
                        upsample::upsample(&coarse, &mut plane, nx / 2, ny / 2);
                    }
                }
                planes.extend(plane);
            }
        }
        planes
    }

    /// Calls `f` with this input as the source of a convolution on `gpu`.
    fn with_source<R>(&self, gpu: &Gpu, f: impl FnOnce(Source) -> Result<R>) -> Result<R> {
        let layer = |l: usize| layer(gpu, &self.z[l], &self.norms[l]);
        match self.kind {
            Kind::Plain => {
                let field = gpu.tensor_from("field", &self.z[0])?;
                f(Source::Plain { field: &field, channels: self.channels[0] })
            }
            Kind::Activation => f(Source::Activation(&layer(0)?)),
            Kind::Pool => f(Source::Pool(&layer(0)?)),
            Kind::SkipUp => f(Source::SkipUp { skip: &layer(0)?, low: &layer(1)? }),
        }
    }

    fn text(&self, c_out: usize, padding: Padding) -> String {
        format!("{} {}->{c_out} {padding}", text(self.shape), self.c_in())
    }
}

fn text(shape: Shape) -> String {
    format!("{}x{}x{}", shape.batch, shape.nx, shape.ny)
}

/// Normalisations such that about half of the values pass the ReLU; one channel in five has a negative scale.
fn norms(stream: u64, channels: usize) -> Vec<Norm<f32>> {
    let values = noise(stream, 3 * channels);
    let norm = |(c, v): (usize, &[f32])| {
        let (mean, rstd) = (0.2 * v[0], 1.5 + 0.5 * v[1]);
        let gamma = if c % 5 == 4 { -0.7 } else { 1.1 };
        let scale = gamma * rstd;
        Norm { mean, rstd, scale, shift: 0.3 * v[2] }
    };
    values.chunks_exact(3).enumerate().map(norm).collect()
}

fn widen_norm(n: Norm<f32>) -> Norm<f64> {
    let [mean, rstd, scale, shift] = [n.mean, n.rstd, n.scale, n.shift].map(f64::from);
    Norm { mean, rstd, scale, shift }
}

fn layer(gpu: &Gpu, z: &[f32], norms: &[Norm<f32>]) -> Result<Layer> {
    let flat: Vec<f32> = norms.iter().flat_map(|n| [n.mean, n.rstd, n.scale, n.shift]).collect();
    Ok(Layer { z: gpu.tensor_from("z", z)?, norm: gpu.tensor_from("norm", &flat)?, channels: norms.len() })
}

/// Weights somewhere inside a flat buffer, as in a network.
const WEIGHT_OFFSET: usize = 12;

fn conv_case(kind: Kind, channels: [usize; 2], c_out: usize, shape: Shape, padding: Padding) -> Case {
    let input = Input::new(kind, channels, shape);
    let c_in = input.c_in();
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let (name, described) = (format!("conv3x3/{kind:?}").to_lowercase(), input.text(c_out, padding));
    let (on_gpu, params) = (input.clone(), flat.clone());
    let prepare = move |r: &mut Recorder| {
        let out = garbage(r.gpu, "out", shape.batch * c_out * shape.cells())?;
        let unused = garbage(r.gpu, "unused", 1)?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        on_gpu.with_source(r.gpu, |source| {
            let weights = Weights { buffer: &buffer, offset: WEIGHT_OFFSET, c_out, c_in, padding };
            conv3x3::conv3x3(r, shape, source, weights, Target { first: (&out, c_out), second: (&unused, 0) })
        })?;
        Ok(vec![out])
    };
    let reference = move || {
        let weights = widen(&flat[WEIGHT_OFFSET..]);
        vec![reference_conv3x3(&input.planes(), &weights, c_in, c_out, shape, padding)]
    };
    recorded(&name, described, 1e-5, prepare, reference)
}

fn reference_conv3x3(
    planes: &[f64],
    weights: &[f64],
    c_in: usize,
    c_out: usize,
    shape: Shape,
    padding: Padding,
) -> Vec<f64> {
    let Shape { batch, nx, ny } = shape;
    let mut out = vec![0.0; batch * c_out * nx * ny];
    for (out, planes) in out.chunks_exact_mut(c_out * nx * ny).zip(planes.chunks_exact(c_in * nx * ny)) {
        reference_conv::conv3x3(&padded(planes, c_in, shape, padding), weights, out, c_in, c_out, nx, ny);
    }
    out
}

fn padded(planes: &[f64], channels: usize, shape: Shape, padding: Padding) -> Vec<f64> {
    let mut padded = vec![0.0; channels * (shape.nx + 2) * (shape.ny + 2)];
    pad(padding, planes, &mut padded, channels, shape.nx, shape.ny);
    padded
}

fn weight_gradient_case(
    kind: Kind,
    channels: [usize; 2],
    c_out: usize,
    shape: Shape,
    padding: Padding,
) -> Case {
    let input = Input::new(kind, channels, shape);
    let c_in = input.c_in();
    let gradient = noise(31, shape.batch * c_out * shape.cells());
    let (name, described) =
        (format!("conv3x3_weight_gradient/{kind:?}").to_lowercase(), input.text(c_out, padding));
    let (on_gpu, g) = (input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let gradient = r.gpu.tensor_from("gradient", &g)?;
        let out = garbage(r.gpu, "weight gradient", 9 * c_in * c_out)?;
        let partial = garbage(r.gpu, "partial", conv3x3::partial_len(shape, c_in, c_out))?;
        on_gpu.with_source(r.gpu, |source| {
            let weights = Weights { buffer: &out, offset: 0, c_out, c_in, padding };
            conv3x3::conv3x3_weight_gradient(r, shape, source, &gradient, weights, &partial)
        })?;
        Ok(vec![out])
    };
    let reference = move || {
        let Shape { nx, ny, .. } = shape;
        let mut total = vec![0.0; 9 * c_in * c_out];
        let mut share = total.clone();
        let gradient = widen(&gradient);
        let samples = input.planes();
        for (planes, g) in samples.chunks_exact(c_in * nx * ny).zip(gradient.chunks_exact(c_out * nx * ny)) {
            let padded = padded(planes, c_in, shape, padding);
            reference_conv::conv3x3_weight_gradient(&padded, g, &mut share, c_in, c_out, nx, ny);
            total.iter_mut().zip(&share).for_each(|(t, s)| *t += s);
        }
        vec![total]
    };
    recorded(&name, described, 1e-5, prepare, reference)
}

fn input_gradient_case(c_in: usize, c_out: usize, split: usize, shape: Shape, padding: Padding) -> Case {
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let gradient = noise(31, shape.batch * c_out * shape.cells());
    let (params, g) = (flat.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let gradient = r.gpu.tensor_from("gradient", &g)?;
        let len = |channels: usize| (shape.batch * channels * shape.cells()).max(1);
        let first = garbage(r.gpu, "first", len(split))?;
        let second = garbage(r.gpu, "second", len(c_in - split))?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let weights = Weights { buffer: &buffer, offset: WEIGHT_OFFSET, c_out, c_in, padding };
        let target = Target { first: (&first, split), second: (&second, c_in - split) };
        conv3x3::conv3x3_input_gradient(r, shape, &gradient, weights, target)?;
        Ok(if split == c_in { vec![first] } else { vec![first, second] })
    };
    let reference = move || {
        let flipped = flip_weights(&widen(&flat[WEIGHT_OFFSET..]), c_in, c_out);
        let whole = reference_conv3x3(&widen(&gradient), &flipped, c_out, c_in, shape, padding);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for sample in whole.chunks_exact(c_in * shape.cells()) {
            let (a, b) = sample.split_at(split * shape.cells());
            first.extend_from_slice(a);
            second.extend_from_slice(b);
        }
        if split == c_in { vec![first] } else { vec![first, second] }
    };
    recorded(
        "conv3x3_input_gradient",
        format!("{} {c_in}<-{c_out} {padding}", text(shape)),
        1e-5,
        prepare,
        reference,
    )
}

/// A layer with parameters γ, β, bias at 0, channels, 2·channels and running statistics likewise.
fn lone_conv(channels: usize) -> Conv {
    let mut conv = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() }).convs[0].clone();
    conv.c_out = channels;
    [conv.gamma, conv.beta, conv.bias] = [0, channels, 2 * channels];
    [conv.running_mean, conv.running_var] = [0, channels];
    conv
}

fn norm_case(shape: Shape, channels: usize, offset: f32, spread: f32) -> Case {
    let z: Vec<f32> =
        noise(32, shape.batch * channels * shape.cells()).iter().map(|v| offset + spread * v).collect();
    let params = noise(33, 3 * channels);
    let (on_gpu, affine) = (z.clone(), params.clone());
    let prepare = move |r: &mut Recorder| {
        let zeros = vec![Norm::default(); channels];
        let layer = layer(r.gpu, &on_gpu, &zeros)?;
        let weights = r.gpu.tensor_from("weights", &affine)?;
        let running = r.gpu.tensor_from("running", &vec![0.5; 2 * channels])?;
        let partial = garbage(r.gpu, "partial", batch_norm::partial_len(shape, channels))?;
        batch_norm(r, shape, &lone_conv(channels), &layer, &weights, &running, &partial)?;
        Ok(vec![layer.norm, running])
    };
    let reference = move || {
        let (params, z) = (widen(&params), widen(&z));
        let (mut flat, mut running) = (Vec::new(), vec![0.5; 2 * channels]);
        for c in 0..channels {
            let planes = z.chunks_exact(shape.cells()).skip(c).step_by(channels);
            let moments = planes.map(Moments::of).reduce(Moments::merge).expect("samples");
            let norm = Norm::new(moments, params[c], params[channels + c]);
            flat.extend([norm.mean, norm.rstd, norm.scale, norm.shift]);
            let (mean, var) = running.split_at_mut(channels);
            reference_norm::update_running(moments, params[2 * channels + c], &mut mean[c], &mut var[c]);
        }
        vec![flat, running]
    };
    let name = format!("batch_norm/{offset}±{spread}");
    let case = recorded(&name, format!("{}x{channels}", text(shape)), 1e-5, prepare, reference);
    case.split_by(move |outputs| {
        let number = |k: usize| outputs[0].iter().skip(k).step_by(4).copied().collect();
        let (mean, var) = outputs[1].split_at(channels);
        vec![number(0), number(1), number(2), number(3), mean.to_vec(), var.to_vec()]
    })
}

fn norm_backward_case(shape: Shape, channels: usize) -> Case {
    let len = shape.batch * channels * shape.cells();
    let (z, gradient) = (noise(34, len), noise(35, len));
    let (on_gpu, g) = (z.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = layer(r.gpu, &on_gpu, &norms(36, channels))?;
        let gradient = r.gpu.tensor_from("gradient", &g)?;
        let gradients = garbage(r.gpu, "gradients", 2 * channels)?;
        let means = garbage(r.gpu, "means", 2 * channels)?;
        let partial = garbage(r.gpu, "partial", batch_norm::partial_len(shape, channels))?;
        batch_norm_backward(r, shape, &lone_conv(channels), &layer, &gradient, &gradients, &means, &partial)?;
        Ok(vec![gradient, gradients])
    };
    let reference = move || {
        let (z, mut gradient) = (widen(&z), widen(&gradient));
        let mut gradients = vec![0.0; 2 * channels];
        for (c, norm) in norms(36, channels).into_iter().map(widen_norm).enumerate() {
            let plane = |n: usize| (n * channels + c) * shape.cells()..(n * channels + c + 1) * shape.cells();
            let mut sums = [0.0; 2];
            for n in 0..shape.batch {
                let share = reference_norm::backward_sums(norm, &z[plane(n)], &gradient[plane(n)]);
                sums = [sums[0] + share[0], sums[1] + share[1]];
            }
            [gradients[channels + c], gradients[c]] = sums;
            let count = (shape.batch * shape.cells()) as f64;
            for n in 0..shape.batch {
                reference_norm::backward(norm, sums, count, &z[plane(n)], &mut gradient[plane(n)]);
            }
        }
        vec![gradient, gradients]
    };
    recorded("batch_norm_backward", format!("{}x{channels}", text(shape)), 1e-5, prepare, reference)
}

fn max_pool_case(shape: Shape) -> Case {
    let channels = 10;
    let len = shape.batch * channels * shape.cells();
    let (z, pooled, before) = (noise(37, 4 * len), noise(38, len), noise(39, 4 * len));
    let (on_gpu, p, b) = (z.clone(), pooled.clone(), before.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = layer(r.gpu, &on_gpu, &norms(40, channels))?;
        let pooled = r.gpu.tensor_from("pooled gradient", &p)?;
        let gradient = r.gpu.tensor_from("gradient", &b)?;
        crate::gpu::max_pool::max_pool_backward(r, shape, &layer, &pooled, &gradient)?;
        Ok(vec![gradient])
    };
    let reference = move || {
        let mut gradient = widen(&before);
        let (z, pooled) = (widen(&z), widen(&pooled));
        let cells = shape.cells();
        for i in 0..shape.batch * channels {
            let norm = widen_norm(norms(40, channels)[i % channels]);
            let fine: Vec<f64> = z[4 * i * cells..][..4 * cells].iter().map(|&z| norm.activate(z)).collect();
            let target = &mut gradient[4 * i * cells..][..4 * cells];
            max_pool::max_pool_backward(&fine, &pooled[i * cells..][..cells], target, 2 * shape.ny);
        }
        vec![gradient]
    };
    recorded("max_pool_backward", format!("{}x{channels}", text(shape)), 1e-6, prepare, reference)
}

fn upsample_case(shape: Shape) -> Case {
    let channels = 10;
    let len = shape.batch * channels * shape.cells();
    let fine = noise(41, 4 * len);
    let on_gpu = fine.clone();
    let prepare = move |r: &mut Recorder| {
        let fine = r.gpu.tensor_from("fine gradient", &on_gpu)?;
        let gradient = garbage(r.gpu, "gradient", len)?;
        crate::gpu::upsample::upsample_backward(r, shape, channels, &fine, &gradient)?;
        Ok(vec![gradient])
    };
    let reference = move || {
        let mut gradient = vec![0.0; len];
        let fine = widen(&fine);
        let planes = fine.chunks_exact(4 * shape.cells()).zip(gradient.chunks_exact_mut(shape.cells()));
        planes.for_each(|(fine, coarse)| upsample::upsample_backward(fine, coarse, shape.nx, shape.ny));
        vec![gradient]
    };
    recorded("upsample_backward", format!("{}x{channels}", text(shape)), 1e-6, prepare, reference)
}

fn conv1x1_case(shape: Shape) -> Case {
    let channels = 10;
    let z = noise(42, shape.batch * channels * shape.cells());
    let flat = noise(43, WEIGHT_OFFSET + channels + 1);
    let (on_gpu, params) = (z.clone(), flat.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = layer(r.gpu, &on_gpu, &norms(44, channels))?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let out = garbage(r.gpu, "out", shape.batch * shape.cells())?;
        conv1x1(r, shape, &layer, conv1x1::Weights { buffer: &buffer, offset: WEIGHT_OFFSET }, &out)?;
        Ok(vec![out])
    };
    let reference = move || {
        let (z, weights) = (widen(&z), widen(&flat[WEIGHT_OFFSET..]));
        let norms: Vec<Norm<f64>> = norms(44, channels).into_iter().map(widen_norm).collect();
        let mut out = vec![0.0; shape.batch * shape.cells()];
        let samples = z.chunks_exact(channels * shape.cells()).zip(out.chunks_exact_mut(shape.cells()));
        samples.for_each(|(z, out)| {
            cpu::conv1x1::conv1x1(&norms, z, &weights[..channels], weights[channels], out);
        });
        vec![out]
    };
    recorded("conv1x1", format!("{}x{channels}", text(shape)), 1e-5, prepare, reference)
}

fn conv1x1_backward_case(shape: Shape) -> Case {
    let channels = 10;
    let z = noise(42, shape.batch * channels * shape.cells());
    let flat = noise(43, channels + 1);
    let output_gradient = noise(45, shape.batch * shape.cells());
    let (on_gpu, params, g) = (z.clone(), flat.clone(), output_gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = layer(r.gpu, &on_gpu, &norms(44, channels))?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let output_gradient = r.gpu.tensor_from("output gradient", &g)?;
        let gradient = garbage(r.gpu, "gradient", shape.batch * channels * shape.cells())?;
        let gradients = garbage(r.gpu, "gradients", channels + 1)?;
        let partial = garbage(r.gpu, "partial", shape.batch * (channels + 1))?;
        let weights = conv1x1::Weights { buffer: &buffer, offset: 0 };
        conv1x1_backward(r, shape, &layer, weights, &output_gradient, &gradient, &gradients, &partial)?;
        Ok(vec![gradient, gradients])
    };
    let reference = move || {
        let (z, weights, g) = (widen(&z), widen(&flat), widen(&output_gradient));
        let norms: Vec<Norm<f64>> = norms(44, channels).into_iter().map(widen_norm).collect();
        let mut gradient = vec![0.0; z.len()];
        let mut shares = Vec::new();
        for (n, g) in g.chunks_exact(shape.cells()).enumerate() {
            let range = n * channels * shape.cells()..(n + 1) * channels * shape.cells();
            let (z, gradient) = (&z[range.clone()], &mut gradient[range]);
            shares.push(cpu::conv1x1::conv1x1_backward(&norms, z, &weights[..channels], g, gradient));
        }
        let mut sums = vec![0.0; channels + 1];
        cpu::reduce::sum_rows(&shares, &mut sums);
        vec![gradient, sums]
    };
    recorded("conv1x1_backward", format!("{}x{channels}", text(shape)), 1e-5, prepare, reference)
}

/// The whole network, forward and backward, with ties as rare as random numbers make them.
fn network_case(filters: Vec<usize>, padding: Padding, batch: usize, nx: usize, ny: usize) -> Case {
    let net = UNet::new(&UNetConfig { filters, padding });
    let (state, entries) = (State::new(&net, 3), net.entries.clone());
    let (input, gradient) = (noise(46, batch * nx * ny), noise(47, batch * nx * ny));
    let described = format!("{batch}x{nx}x{ny} {:?} {padding}", net.config.filters);
    let (on_gpu, start, x, g) = (net.clone(), state.clone(), input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let network = crate::gpu::unet::Network::new(r.gpu, &on_gpu, batch, nx, ny)?;
        r.gpu.write(&network.params, &start.params);
        r.gpu.write(&network.running, &start.buffers);
        let input = r.gpu.tensor_from("input", &x)?;
        let output_gradient = r.gpu.tensor_from("output gradient", &g)?;
        let output = garbage(r.gpu, "output", batch * nx * ny)?;
        network.forward(r, &input, &output)?;
        network.backward(r, &input, &output_gradient)?;
        Ok(vec![output, network.running, network.gradients])
    };
    let reference = move || {
        let mut network = cpu::unet::Network::<f64>::new(&net, batch, nx, ny);
        let (params, mut running) = (widen(&state.params), widen(&state.buffers));
        let (mut output, mut gradients) = (vec![0.0; input.len()], vec![0.0; params.len()]);
        network.forward(&params, &mut running, &widen(&input), &mut output);
        network.backward(&params, &widen(&input), &widen(&gradient), &mut gradients, None);
        vec![output, running, gradients]
    };
    let ranges: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.place {
            Place::Param(offset) => Some(offset..offset + entry.len()),
            _ => None,
        })
        .collect();
    let case = recorded("unet", described, 1e-4, prepare, reference);
    case.split_by(move |mut outputs| {
        let gradients = outputs.pop().expect("three outputs");
        outputs.extend(ranges.iter().map(|range| gradients[range.clone()].to_vec()));
        outputs
    })
}
