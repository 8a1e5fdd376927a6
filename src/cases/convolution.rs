//! The 3×3 convolution: forward with the batch norm's statistics, adjoint, weight gradient.

use super::layers::*;
use super::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::Result;
use crate::cpu::batch_norm::{self as reference_norm, Moments, Norm};
use crate::cpu::conv3x3::{self as reference_conv, flip_weights, pad};
use crate::gpu::arrange::{Arrangement, Pivot, Weights};
use crate::gpu::batch_norm::{Statistics, batch_norm};
use crate::gpu::conv3x3;
use crate::gpu::sink::Sink;
use crate::gpu::source::{Layer, NORM_LEN, Source};
use crate::gpu::{Recorder, Shape};
use crate::model::{Padding, Storage};

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
            // The border is the same code for every source, 16 bits are the same code but for loads and stores: a wide
            // and a narrow grid will do.
            let some = [(16, 32), (4, 2)].contains(&(nx, ny)) && channels != [20, 0];
            for (storage, padding) in storages(some) {
                if padding == Padding::Zero && !some {
                    continue;
                }
                let input = Input::new(kind, channels, shape, storage);
                cases.push(conv_case(input.clone(), c_out, padding));
                cases.push(weight_gradient_case(input, c_out, padding));
            }
        }
    }
    for (c_in, c_out, split, shape) in [
        (16, 16, 16, Shape { batch: 3, nx: 16, ny: 32 }),
        (24, 12, 8, Shape { batch: 3, nx: 16, ny: 8 }),
        (32, 16, 16, Shape { batch: 2, nx: 4, ny: 2 }),
    ] {
        for (storage, padding) in storages(true) {
            for last in [false, true] {
                cases.push(adjoint_case(c_in, c_out, split, shape, padding, last, storage));
                cases.push(adjoint_relu_case(c_in, c_out, shape, padding, last, storage));
            }
        }
    }
    // More chunks than a merging workgroup has invocations.
    let many = Shape { batch: 17, nx: 64, ny: 64 };
    cases.push(adjoint_relu_case(8, 8, many, Padding::Circular, false, Storage::F32));
    cases.push(norm_case(many, 4, 10.0, 1.0));
    for (batch, nx, ny) in [(3, 64, 128), (5, 8, 8), (1, 1, 2)] {
        let shape = Shape { batch, nx, ny };
        for (offset, spread) in [(0.0, 1.0), (10.0, 1.0), (17.3, 1.0), (10.0, 1e-3), (10.0, 0.0)] {
            cases.push(norm_case(shape, 12, offset, spread));
        }
    }
    // Several tiles per workgroup, and a last workgroup with fewer.
    let shape = Shape { batch: 601, nx: 8, ny: 8 };
    for padding in [Padding::Circular, Padding::Zero] {
        let input = Input::new(Activation, [16, 0], shape, Storage::F32);
        cases.push(weight_gradient_case(input, 16, padding));
    }
    cases
}

fn conv_case(input: Input, c_out: usize, padding: Padding) -> Case {
    let (shape, storage, c_in) = (input.shape, input.storage, input.c_in());
    // The biases follow the weights.
    let bias = WEIGHT_OFFSET + 9 * c_in * c_out;
    let (flat, running) = (noise(30, bias + c_out), noise(48, c_out));
    let (name, described) = (format!("conv3x3/{:?}", input.kind).to_lowercase(), input.text(c_out, padding));
    let (on_gpu, params, means) = (input.clone(), flat.clone(), running.clone());
    let prepare = move |r: &mut Recorder| {
        let z = garbage_in(r.gpu, "out", shape.stored(c_out), storage)?;
        let moments = garbage(r.gpu, "moments", conv3x3::statistics_len(shape, c_out))?;
        let pivot = (storage == Storage::F16).then_some(Pivot { bias, running_mean: 0 });
        let weights = Weights { offset: WEIGHT_OFFSET, c_out, c_in, padding, pivot };
        let arrangement = arrange(r, weights, &params, &means)?;
        on_gpu.with_source(r.gpu, |source| {
            let sink = Sink::Moments { z: &z, moments: &moments };
            conv3x3::conv3x3(r, shape, source, arrangement.forward(0), sink)
        })?;
        Ok(vec![z])
    };
    let reference = move || {
        let weights = widen(&flat[WEIGHT_OFFSET..bias]);
        let mut z = reference_conv3x3(&input.planes(), &weights, c_in, c_out, shape, padding);
        if storage == Storage::F16 {
            for (plane, z) in z.chunks_exact_mut(shape.cells()).enumerate() {
                let pivot = running[plane % c_out] - flat[bias + plane % c_out];
                z.iter_mut().for_each(|z| *z -= f64::from(pivot));
            }
        }
        vec![z]
    };
    let case = recorded(&name, described, tolerance(storage), prepare, reference).stored_in(storage);
    first_stored(case, shape, c_out, 1.0)
}

/// The weights of one convolution without pivots.
fn plain_weights(offset: usize, c_out: usize, c_in: usize, padding: Padding) -> Weights {
    Weights { offset, c_out, c_in, padding, pivot: None }
}

pub(super) fn arrange(
    r: &mut Recorder,
    weights: Weights,
    params: &[f32],
    running: &[f32],
) -> Result<Arrangement> {
    let params = r.gpu.tensor_from("weights", params)?;
    let running = r.gpu.tensor_from("running", running)?;
    let arrangement = Arrangement::new(r.gpu, &[weights])?;
    arrangement.record(r, &params, &running)?;
    Ok(arrangement)
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

fn weight_gradient_case(input: Input, c_out: usize, padding: Padding) -> Case {
    let (shape, storage, c_in) = (input.shape, input.storage, input.c_in());
    // Both kinds of gradients, in turn.
    let gradient = LayerGradient::new(shape, c_out, padding == Padding::Zero, storage);
    let (name, described) =
        (format!("conv3x3_weight_gradient/{:?}", input.kind).to_lowercase(), input.text(c_out, padding));
    let (on_gpu, g) = (input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let out = garbage(r.gpu, "weight gradient", 9 * c_in * c_out)?;
        let partial = garbage(r.gpu, "partial", conv3x3::partial_len(shape, c_in, c_out))?;
        let weights = plain_weights(0, c_out, c_in, padding);
        on_gpu.with_source(r.gpu, |source| {
            g.with(r.gpu, |gradient| {
                conv3x3::conv3x3_weight_gradient(r, shape, source, gradient, weights, &out, &partial)
            })
        })?;
        Ok(vec![out])
    };
    let reference = move || {
        let Shape { nx, ny, .. } = shape;
        let mut total = vec![0.0; 9 * c_in * c_out];
        let mut share = total.clone();
        let (samples, gradient) = (input.planes(), gradient.planes());
        for (planes, g) in samples.chunks_exact(c_in * nx * ny).zip(gradient.chunks_exact(c_out * nx * ny)) {
            let padded = padded(planes, c_in, shape, padding);
            reference_conv::conv3x3_weight_gradient(&padded, g, &mut share, c_in, c_out, nx, ny);
            total.iter_mut().zip(&share).for_each(|(t, s)| *t += s);
        }
        vec![total]
    };
    // What it reads is exact, what it writes has 32 bits.
    recorded(&name, described, 1e-5, prepare, reference).stored_in(storage)
}

/// ∂L/∂input of a convolution `c_in` -> `c_out`.
fn reference_adjoint(g: &LayerGradient, flat: &[f32], c_in: usize, padding: Padding) -> Vec<f64> {
    let flipped = flip_weights(&widen(&flat[WEIGHT_OFFSET..]), c_in, g.channels);
    reference_conv3x3(&g.planes(), &flipped, g.channels, c_in, g.shape, padding)
}

fn adjoint_text(c_in: usize, c_out: usize, shape: Shape, padding: Padding, last: bool) -> String {
    let of = if last { " of output" } else { "" };
    format!("{} {c_in}<-{c_out} {padding}{of}", text(shape))
}

fn adjoint_case(
    c_in: usize,
    c_out: usize,
    split: usize,
    shape: Shape,
    padding: Padding,
    last: bool,
    storage: Storage,
) -> Case {
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let gradient = LayerGradient::new(shape, c_out, last, storage);
    let (params, g) = (flat.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let first = garbage_in(r.gpu, "first", shape.stored(split), storage)?;
        let second = garbage_in(r.gpu, "second", shape.stored(c_in - split).max(1), storage)?;
        let arrangement = arrange(r, plain_weights(WEIGHT_OFFSET, c_out, c_in, padding), &params, &[0.0])?;
        let sink = Sink::Split { first: (&first, split), second: (&second, c_in - split) };
        g.with(r.gpu, |gradient| {
            conv3x3::conv3x3(r, shape, Source::Gradient(gradient), arrangement.adjoint(0), sink)
        })?;
        Ok(if split == c_in { vec![first] } else { vec![first, second] })
    };
    let reference = move || {
        let whole = reference_adjoint(&gradient, &flat, c_in, padding);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for sample in whole.chunks_exact(c_in * shape.cells()) {
            let (a, b) = sample.split_at(split * shape.cells());
            first.extend_from_slice(a);
            second.extend_from_slice(b);
        }
        if split == c_in { vec![first] } else { vec![first, second] }
    };
    let described = adjoint_text(c_in, c_out, shape, padding, last);
    let case = recorded("conv3x3_adjoint/split", described, tolerance(storage), prepare, reference);
    case.stored_in(storage).scaled(gradient_scale(storage), 2).split_by(move |outputs| {
        let channels = [split, c_in - split];
        outputs.iter().zip(channels).map(|(values, channels)| unstore(shape, channels, values)).collect()
    })
}

fn adjoint_relu_case(
    c_in: usize,
    c_out: usize,
    shape: Shape,
    padding: Padding,
    last: bool,
    storage: Storage,
) -> Case {
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let gradient = LayerGradient::new(shape, c_out, last, storage);
    let below = Below::new(shape, c_in, storage);
    let (params, g, on_gpu) = (flat.clone(), gradient.clone(), below.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu)?;
        let out = garbage_in(r.gpu, "g", shape.stored(c_in), storage)?;
        let sums = garbage(r.gpu, "sums", conv3x3::statistics_len(shape, c_in))?;
        let arrangement = arrange(r, plain_weights(WEIGHT_OFFSET, c_out, c_in, padding), &params, &[0.0])?;
        let sink = Sink::Relu { layer: &layer, g: &out, sums: &sums };
        g.with(r.gpu, |gradient| {
            conv3x3::conv3x3(r, shape, Source::Gradient(gradient), arrangement.adjoint(0), sink)
        })?;
        let statistics = Statistics { buffer: &sums, chunks: conv3x3::chunks(shape) };
        on_gpu.outputs(r, layer, out, statistics)
    };
    let reference = move || below.reference(reference_adjoint(&gradient, &flat, c_in, padding));
    let described = adjoint_text(c_in, c_out, shape, padding, last);
    let case = recorded("conv3x3_adjoint/relu", described, tolerance(storage), prepare, reference);
    below_stored(case, shape, c_in, storage)
}

/// Batch norm of a convolution that only multiplies: z = ±2^k·field, without rounding.
fn norm_case(shape: Shape, channels: usize, offset: f32, spread: f32) -> Case {
    let field: Vec<f32> = noise(32, shape.values()).iter().map(|v| offset + spread * v).collect();
    let factor = |c: usize| if c % 3 == 2 { -1.0 } else { 1.0 } * (1 << (c % 4)) as f32;
    let params = noise(33, 3 * channels);
    let (on_gpu, affine) = (field.clone(), params.clone());
    let prepare = move |r: &mut Recorder| {
        let field = r.gpu.tensor_from("field", &store(shape, &on_gpu))?;
        let mut flat = vec![0.0; 9 * channels];
        (0..channels).for_each(|c| flat[9 * c + 4] = factor(c));
        let arrangement = arrange(r, plain_weights(0, channels, 1, Padding::Circular), &flat, &[0.0])?;
        let layer = Layer {
            z: garbage(r.gpu, "z", shape.stored(channels))?,
            norm: garbage(r.gpu, "norm", NORM_LEN * channels)?,
            channels,
        };
        let moments = garbage(r.gpu, "moments", conv3x3::statistics_len(shape, channels))?;
        let sink = Sink::Moments { z: &layer.z, moments: &moments };
        let source = Source::Plain { field: &field, channels: 1 };
        conv3x3::conv3x3(r, shape, source, arrangement.forward(0), sink)?;
        let weights = r.gpu.tensor_from("weights", &affine)?;
        let running = r.gpu.tensor_from("running", &vec![0.5; 2 * channels])?;
        let statistics = Statistics { buffer: &moments, chunks: conv3x3::chunks(shape) };
        batch_norm(r, &lone_conv(channels), &layer, statistics, &weights, &running)?;
        Ok(vec![layer.norm, running])
    };
    let reference = move || {
        let (params, field) = (widen(&params), widen(&field));
        let (mut flat, mut running) = (Vec::new(), vec![0.5; 2 * channels]);
        for c in 0..channels {
            let z: Vec<f64> = field.iter().map(|v| v * f64::from(factor(c))).collect();
            let moments = Moments::of(&z);
            let norm = Norm::new(moments, params[c], params[channels + c]);
            flat.extend([norm.mean, norm.rstd, norm.scale, norm.shift, 0.0, 0.0, 0.0, 0.0]);
            let (mean, var) = running.split_at_mut(channels);
            reference_norm::update_running(moments, params[2 * channels + c], &mut mean[c], &mut var[c]);
        }
        vec![flat, running]
    };
    let name = format!("batch_norm/{offset}±{spread}");
    let case = recorded(&name, format!("{}x{channels}", text(shape)), 1e-5, prepare, reference);
    case.split_by(move |outputs| {
        let number = |k: usize| outputs[0].iter().skip(k).step_by(NORM_LEN).copied().collect();
        let (mean, var) = outputs[1].split_at(channels);
        vec![number(0), number(1), number(2), number(3), mean.to_vec(), var.to_vec()]
    })
}
