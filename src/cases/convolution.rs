//! The 3×3 convolution: forward with the batch norm's statistics, adjoint, weight gradient.

use crate::Result;
use crate::cases::gradients::*;
use crate::cases::layers::*;
use crate::cases::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::cpu::nn::batch_norm::{Moments, Norm};
use crate::cpu::nn::conv3x3::flip_weights;
use crate::cpu::nn::padding::pad;
use crate::cpu::nn::{batch_norm as reference_norm, conv3x3 as reference_conv, max_pool as reference_pool};
use crate::gpu::layer::epilogue::{Epilogue, Pool, Target};
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::batch_norm;
use crate::gpu::nn::pack_weights::{Packing, Pivot, Weights};
use crate::gpu::nn::sum_rows::PartialSums;
use crate::gpu::nn::{conv3x3, conv3x3_weight_gradient};
use crate::gpu::{Recorder, Shape};
use crate::model::{Activation, DType, Padding};

pub(super) fn cases() -> Vec<Case> {
    use Kind::*;
    let mut cases = Vec::new();
    let grids = [(3, 16, 32), (5, 8, 8), (3, 4, 2), (2, 1, 8), (3, 1, 1), (1, 64, 64)];
    for (kind, channels, c_out) in [
        (Plain, [1, 0], 16),
        (Plain, [20, 0], 16),
        (Activation, [16, 0], 20),
        (Activation, [8, 0], 24),
        (SkipUp, [8, 16], 12),
        (SkipUp, [16, 16], 16),
    ] {
        for (batch, nx, ny) in grids {
            if kind == SkipUp && nx < 2 {
                continue;
            }
            let shape = Shape { batch, nx, ny };
            // Every input has the same code for the border, and 16 bits have the same code but for loads and
            // stores: a wide and a narrow grid are enough.
            let some = [(16, 32), (4, 2)].contains(&(nx, ny)) && channels != [20, 0];
            for (storage, padding) in storages(some) {
                if padding == Padding::Zero && !some {
                    continue;
                }
                let input = Input::new(kind, channels, shape, storage);
                // Here, layers with 8 inputs are pooled, and the others have one of two kinds of gradients in
                // turn.
                let pooled = channels == [8, 0] && nx >= 2 && ny >= 2;
                let of = match padding {
                    _ if pooled => Of::Pooled,
                    Padding::Circular => Of::Stored,
                    Padding::Zero => Of::Output,
                };
                let kinds: &[Pooled] = if pooled { &[Pooled::ByGamma, Pooled::ByZ] } else { &[Pooled::No] };
                cases.extend(kinds.iter().map(|&kind| conv_case(input.clone(), c_out, padding, kind)));
                cases.push(weight_gradient_case(input, c_out, padding, of));
            }
        }
    }
    for (c_in, c_out, split, shape) in [
        (16, 16, 12, Shape { batch: 3, nx: 16, ny: 32 }),
        (24, 12, 8, Shape { batch: 3, nx: 16, ny: 8 }),
        (32, 16, 16, Shape { batch: 2, nx: 4, ny: 2 }),
    ] {
        for (storage, padding) in storages(true) {
            for of in [Of::Stored, Of::Pooled, Of::Output] {
                let below = Below::new(shape, c_in, storage);
                cases.push(adjoint_case(below, c_out, padding, of));
            }
            cases.push(adjoint_split_case(Below::new(shape, split, storage), c_in, c_out, padding));
        }
    }
    // There are more chunks here than a merging workgroup has invocations.
    let many = Shape { batch: 17, nx: 64, ny: 64 };
    cases.push(adjoint_case(Below::new(many, 8, DType::F32), 8, Padding::Circular, Of::Stored));
    cases.push(norm_case(many, 4, 10.0, 1.0));
    for (batch, nx, ny) in [(3, 64, 128), (5, 8, 8), (1, 1, 2)] {
        let shape = Shape { batch, nx, ny };
        for (offset, spread) in [(0.0, 1.0), (10.0, 1.0), (17.3, 1.0), (10.0, 1e-3), (10.0, 0.0)] {
            cases.push(norm_case(shape, 12, offset, spread));
        }
    }
    // Here a workgroup has several tiles, and the last one fewer.
    let shape = Shape { batch: 601, nx: 8, ny: 8 };
    for padding in [Padding::Circular, Padding::Zero] {
        let input = Input::new(Activation, [16, 0], shape, DType::F32);
        cases.push(weight_gradient_case(input, 16, padding, Of::Stored));
    }
    cases.extend(activation_cases());
    cases
}

/// The activations other than ReLU, in the kernels that read a layer and in those that make its gradient.
fn activation_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let (wide, narrow) = (Shape { batch: 3, nx: 16, ny: 32 }, Shape { batch: 3, nx: 4, ny: 2 });
    for activation in Activation::ALL.into_iter().filter(|&function| function != Activation::Relu) {
        for (shape, storage) in [(wide, DType::F32), (narrow, DType::F32), (wide, DType::F16)] {
            let input = Input { activation, ..Input::new(Kind::Activation, [16, 0], shape, storage) };
            cases.push(conv_case(input.clone(), 16, Padding::Circular, Pooled::No));
            cases.push(weight_gradient_case(input, 16, Padding::Circular, Of::Output));
            let below = Below { activation, ..Below::new(shape, 16, storage) };
            cases.push(adjoint_case(below, 16, Padding::Circular, Of::Stored));
        }
    }
    cases
}

/// Whether a layer is pooled, and what decides which activation is the largest.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pooled {
    No,
    ByGamma,
    ByZ,
}

/// z, and where it is `pooled`, the one of every 2×2 cells that is kept.
pub(super) fn conv_case(input: Input, c_out: usize, padding: Padding, pooled: Pooled) -> Case {
    let (shape, storage, c_in) = (input.shape, input.storage, input.c_in());
    // The biases follow the weights, then come the γ, of which one is zero.
    let bias = WEIGHT_OFFSET + 9 * c_in * c_out;
    let gamma = bias + c_out;
    let (mut flat, running) = (noise(30, gamma + c_out), noise(48, c_out));
    flat[gamma + 1] = 0.0;
    let epilogue_name = match pooled {
        Pooled::No => "",
        Pooled::ByGamma => "/pooled",
        Pooled::ByZ => "/pooled_by_z",
    };
    let name = format!("conv3x3/{}{epilogue_name}", input.name());
    let described = input.text(c_out, padding);
    let (on_gpu, params, means) = (input.clone(), flat.clone(), running.clone());
    let prepare = move |r: &mut Recorder| {
        let z = garbage_in(r.gpu, "out", shape.stored(c_out), storage)?;
        let moments = garbage(r.gpu, "moments", conv3x3::statistics_len(shape, c_out))?;
        let pivot = (storage == DType::F16).then_some(Pivot::RunningMean { bias, running_mean: 0 });
        let weights = Weights { offset: WEIGHT_OFFSET, c_out, c_in, taps: 9, padding, pivot };
        let packing = pack(r, weights, &params, &means)?;
        let parameters = r.gpu.tensor_from("parameters", &params)?;
        let coarse = if pooled == Pooled::No { 1 } else { shape.coarser().stored(c_out) };
        let pooled_z = garbage_in(r.gpu, "pooled", coarse, storage)?;
        on_gpu.with_conv_input(r.gpu, &norm_table(r.gpu)?, |conv_input| {
            let gamma = (pooled == Pooled::ByGamma).then_some(gamma);
            let pool =
                (pooled != Pooled::No).then_some(Pool { z: &pooled_z, parameters: &parameters, gamma });
            let epilogue = Epilogue::Moments { z: &z, moments: &moments, pool };
            conv3x3::conv3x3(r, shape, conv_input, packing.forward(0), epilogue)
        })?;
        Ok(if pooled == Pooled::No { vec![z] } else { vec![z, pooled_z] })
    };
    let reference = move || {
        let weights = widen(&flat[WEIGHT_OFFSET..bias]);
        let mut z = reference_conv3x3(&input.planes(), &weights, c_in, c_out, shape, padding);
        if storage == DType::F16 {
            for (plane, z) in z.chunks_exact_mut(shape.cells()).enumerate() {
                let pivot = running[plane % c_out] - flat[bias + plane % c_out];
                z.iter_mut().for_each(|z| *z -= f64::from(pivot));
            }
        }
        if pooled == Pooled::No {
            return vec![z];
        }
        // Which activation is the largest depends on γ·z alone: what else the norm does keeps the order.
        let mut highest = vec![0.0; z.len() / 4];
        let planes = z.chunks_exact(shape.cells()).zip(highest.chunks_exact_mut(shape.cells() / 4));
        for (plane, (z, highest)) in planes.enumerate() {
            let gamma = if pooled == Pooled::ByZ { 1.0 } else { f64::from(flat[gamma + plane % c_out]) };
            let activation: Vec<f64> = z.iter().map(|z| gamma * z).collect();
            let mut chosen = vec![0.0; z.len()];
            reference_pool::max_pool_backward(&activation, &vec![1.0; highest.len()], &mut chosen, shape.ny);
            for (cell, _) in chosen.iter().enumerate().filter(|(_, chosen)| **chosen > 0.0) {
                let (x, y) = (cell / shape.ny, cell % shape.ny);
                highest[x / 2 * (shape.ny / 2) + y / 2] = z[cell];
            }
        }
        vec![z, highest]
    };
    let case =
        recorded(&name, described, tolerance(storage), prepare, reference).stored_in(storage).tunable();
    case.split_by(move |outputs| {
        let grids = [shape, shape.coarser()];
        outputs.iter().zip(grids).map(|(values, grid)| unstore(grid, c_out, values)).collect()
    })
}

/// The weights of one convolution without pivots.
fn plain_weights(offset: usize, c_out: usize, c_in: usize, padding: Padding) -> Weights {
    Weights { offset, c_out, c_in, taps: 9, padding, pivot: None }
}

pub(super) fn pack(r: &mut Recorder, weights: Weights, params: &[f32], running: &[f32]) -> Result<Packing> {
    let params = r.gpu.tensor_from("weights", params)?;
    let running = r.gpu.tensor_from("running", running)?;
    let packing = Packing::new(r.gpu, &[weights])?;
    packing.record(r, &params, &running)?;
    Ok(packing)
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

pub(super) fn weight_gradient_case(input: Input, c_out: usize, padding: Padding, of: Of) -> Case {
    let (shape, storage, c_in) = (input.shape, input.storage, input.c_in());
    let gradient = LayerGradient::new(shape, c_out, of, storage);
    let name = format!("conv3x3_weight_gradient/{}", input.name());
    let described = match of {
        Of::Stored => input.text(c_out, padding),
        Of::Pooled | Of::Output => format!("{} {of:?}", input.text(c_out, padding)).to_lowercase(),
    };
    let (on_gpu, g) = (input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let out = garbage(r.gpu, "weight gradient", 9 * c_in * c_out)?;
        let partial = garbage(r.gpu, "partial", conv3x3_weight_gradient::partial_len(shape, c_in, c_out))?;
        let weights = plain_weights(0, c_out, c_in, padding);
        let table = norm_table(r.gpu)?;
        on_gpu.with_conv_input(r.gpu, &table, |conv_input| {
            g.with(r.gpu, &table, |gradient| {
                let mut sums = PartialSums::new(&partial, &out);
                conv3x3_weight_gradient::conv3x3_weight_gradient(
                    r, shape, conv_input, gradient, weights, &mut sums,
                )?;
                sums.add_up(r)
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
    // What the kernel reads is exact on both sides, and what it writes has 32 bits.
    recorded(&name, described, 1e-5, prepare, reference).stored_in(storage).tunable()
}

/// ∂L/∂input of a convolution `c_in` -> `c_out`.
fn reference_adjoint(g: &LayerGradient, flat: &[f32], c_in: usize, padding: Padding) -> Vec<f64> {
    let flipped = flip_weights(&widen(&flat[WEIGHT_OFFSET..]), c_in, g.channels);
    reference_conv3x3(&g.planes(), &flipped, g.channels, c_in, g.shape, padding)
}

fn adjoint_text(c_in: usize, c_out: usize, shape: Shape, padding: Padding, of: Of) -> String {
    format!("{} {c_in}<-{c_out} {padding} {of:?}", text(shape)).to_lowercase()
}

/// The adjoint of a convolution that has read an activation.
pub(super) fn adjoint_case(below: Below, c_out: usize, padding: Padding, of: Of) -> Case {
    let Below { shape, channels: c_in, storage, activation, .. } = below;
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let gradient = LayerGradient::new(shape, c_out, of, storage);
    let (params, g, on_gpu) = (flat.clone(), gradient.clone(), below.clone());
    let prepare = move |r: &mut Recorder| {
        let table = norm_table(r.gpu)?;
        let layer = on_gpu.layer(r.gpu, &table)?;
        let out = garbage_in(r.gpu, "g", shape.stored(c_in), storage)?;
        let sums = garbage(r.gpu, "sums", conv3x3::statistics_len(shape, c_in))?;
        let packing = pack(r, plain_weights(WEIGHT_OFFSET, c_out, c_in, padding), &params, &[0.0])?;
        let epilogue = Epilogue::Activation(Target { layer: &layer, g: &out, sums: &sums });
        g.with(r.gpu, &table, |gradient| {
            conv3x3::conv3x3(r, shape, ConvInput::Gradient(gradient), packing.adjoint(0), epilogue)
        })?;
        let statistics = Statistics { buffer: &sums, chunks: conv3x3::chunks(shape) };
        on_gpu.outputs(r, layer, vec![out], statistics)
    };
    let reference = move || below.reference(reference_adjoint(&gradient, &flat, c_in, padding));
    let described = adjoint_text(c_in, c_out, shape, padding, of);
    let name = format!("conv3x3_adjoint/{activation}");
    let case = recorded(&name, described, tolerance(storage), prepare, reference);
    below_stored(case.tunable(), shape, &[c_in], storage)
}

/// The adjoint of a convolution `c_in` -> `c_out` that has read the activation of a skip connection, the
/// layer `below`, and something else.
pub(super) fn adjoint_split_case(below: Below, c_in: usize, c_out: usize, padding: Padding) -> Case {
    let Below { shape, channels: split, storage, activation, .. } = below;
    let flat = noise(30, WEIGHT_OFFSET + 9 * c_in * c_out);
    let gradient = LayerGradient::new(shape, c_out, Of::Stored, storage);
    let (params, g, on_gpu) = (flat.clone(), gradient.clone(), below.clone());
    let prepare = move |r: &mut Recorder| {
        let table = norm_table(r.gpu)?;
        let layer = on_gpu.layer(r.gpu, &table)?;
        let out = garbage_in(r.gpu, "g", shape.stored(split), storage)?;
        let rest = garbage_in(r.gpu, "rest", shape.stored(c_in - split), storage)?;
        let sums = garbage(r.gpu, "sums", conv3x3::statistics_len(shape, split))?;
        let packing = pack(r, plain_weights(WEIGHT_OFFSET, c_out, c_in, padding), &params, &[0.0])?;
        let skip = Target { layer: &layer, g: &out, sums: &sums };
        let epilogue = Epilogue::Split { skip, rest: (&rest, c_in - split) };
        g.with(r.gpu, &table, |gradient| {
            conv3x3::conv3x3(r, shape, ConvInput::Gradient(gradient), packing.adjoint(0), epilogue)
        })?;
        let statistics = Statistics { buffer: &sums, chunks: conv3x3::chunks(shape) };
        on_gpu.outputs(r, layer, vec![out, rest], statistics)
    };
    let reference = move || {
        let whole = reference_adjoint(&gradient, &flat, c_in, padding);
        let (mut incoming, mut rest) = (Vec::new(), Vec::new());
        for sample in whole.chunks_exact(c_in * shape.cells()) {
            let (skip, other) = sample.split_at(split * shape.cells());
            incoming.extend_from_slice(skip);
            rest.extend_from_slice(other);
        }
        let mut outputs = below.reference(incoming);
        outputs.insert(1, rest);
        outputs
    };
    let described = adjoint_text(c_in, c_out, shape, padding, Of::Stored);
    let name = match activation {
        Activation::Relu => "conv3x3_adjoint/split".to_owned(),
        other => format!("conv3x3_adjoint/split/{other}"),
    };
    let case = recorded(&name, described, tolerance(storage), prepare, reference);
    below_stored(case.tunable(), shape, &[split, c_in - split], storage)
}

/// Batch norm of a convolution that only multiplies: z = ±2^k·field, without rounding.
pub(super) fn norm_case(shape: Shape, channels: usize, offset: f32, spread: f32) -> Case {
    let field: Vec<f32> = noise(32, shape.values()).iter().map(|v| offset + spread * v).collect();
    let factor = |c: usize| if c % 3 == 2 { -1.0 } else { 1.0 } * (1 << (c % 4)) as f32;
    let params = noise(33, 3 * channels);
    let (on_gpu, affine) = (field.clone(), params.clone());
    let prepare = move |r: &mut Recorder| {
        let field = r.gpu.tensor_from("field", &store(shape, &on_gpu))?;
        let mut flat = vec![0.0; 9 * channels];
        (0..channels).for_each(|c| flat[9 * c + 4] = factor(c));
        let packing = pack(r, plain_weights(0, channels, 1, Padding::Circular), &flat, &[0.0])?;
        let layer = Layer {
            z: garbage(r.gpu, "z", shape.stored(channels))?,
            norms: garbage(r.gpu, "norms", NORM_LEN * channels)?,
            first_norm: 0,
            channels,
            activation: Activation::Relu,
        };
        let moments = garbage(r.gpu, "moments", conv3x3::statistics_len(shape, channels))?;
        let epilogue = Epilogue::Moments { z: &layer.z, moments: &moments, pool: None };
        let conv_input = ConvInput::Plain { field: &field, channels: 1 };
        conv3x3::conv3x3(r, shape, conv_input, packing.forward(0), epilogue)?;
        let weights = r.gpu.tensor_from("weights", &affine)?;
        let found = garbage(r.gpu, "statistics", 2 * channels)?;
        let (norm, bias) = (lone_norm(channels), 2 * channels);
        let moments = Statistics { buffer: &moments, chunks: conv3x3::chunks(shape) };
        batch_norm(r, &norm, bias, &layer, moments, &weights, packing.forward(0), &found)?;
        Ok(vec![layer.norms, found])
    };
    let reference = move || {
        let (params, field) = (widen(&params), widen(&field));
        let (mut flat, mut found) = (Vec::new(), vec![0.0; 2 * channels]);
        for c in 0..channels {
            let z: Vec<f64> = field.iter().map(|v| v * f64::from(factor(c))).collect();
            let moments = Moments::of(&z);
            let norm = Norm::new(moments, params[c], params[channels + c]);
            flat.extend([norm.mean, norm.rstd, norm.scale, norm.shift, 0.0, 0.0, 0.0, 0.0]);
            let found_of_c = reference_norm::statistics(moments, params[2 * channels + c]);
            [found[c], found[channels + c]] = found_of_c;
        }
        vec![flat, found]
    };
    // Means of chunks are rounded in the last place of the offset, which a small spread shows as a variance
    // between them.
    let tolerance = if offset > 1e3 * spread { 1e-4 } else { 1e-5 };
    let name = format!("batch_norm/{offset}±{spread}");
    let case = recorded(&name, format!("{}x{channels}", text(shape)), tolerance, prepare, reference);
    case.split_by(move |outputs| {
        let number = |k: usize| outputs[0].iter().skip(k).step_by(NORM_LEN).copied().collect();
        let (mean, var) = outputs[1].split_at(channels);
        vec![number(0), number(1), number(2), number(3), mean.to_vec(), var.to_vec()]
    })
}
