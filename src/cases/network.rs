//! The U-Net's stages, forward and backward, and the whole network.

use super::{Case, garbage, garbage_in, noise, recorded, widen};
use crate::Result;
use crate::cpu;
use crate::cpu::batch_norm::{self as reference_norm, Moments, Norm};
use crate::cpu::conv3x3::{self as reference_conv, flip_weights, pad};
use crate::cpu::max_pool as reference_pool;
use crate::cpu::upsample as reference_upsample;
use crate::gpu::arrange::{Arrangement, Pivot, Weights};
use crate::gpu::batch_norm::{Statistics, batch_norm, batch_norm_backward};
use crate::gpu::conv1x1::{self, conv1x1, conv1x1_backward};
use crate::gpu::conv3x3;
use crate::gpu::gradient::Gradient;
use crate::gpu::sink::Sink;
use crate::gpu::source::{Layer, NORM_LEN, Source};
use crate::gpu::{Gpu, Recorder, Shape, Tensor, max_pool, upsample};
use crate::model::init::State;
use crate::model::storage::GRADIENT_SCALE;
use crate::model::unet::{Conv, Place};
use crate::model::{Padding, Storage, UNet, UNetConfig};
use half::f16;

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
                cases.push(conv_case(kind, channels, c_out, shape, padding, storage));
                cases.push(weight_gradient_case(kind, channels, c_out, shape, padding, storage));
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
    for (batch, nx, ny) in [(3, 64, 128), (5, 8, 8), (1, 1, 2)] {
        let shape = Shape { batch, nx, ny };
        for (offset, spread) in [(0.0, 1.0), (10.0, 1.0), (17.3, 1.0), (10.0, 1e-3), (10.0, 0.0)] {
            cases.push(norm_case(shape, 12, offset, spread));
        }
    }
    // More chunks than a merging workgroup has invocations.
    cases.push(norm_case(Shape { batch: 17, nx: 64, ny: 64 }, 4, 10.0, 1.0));
    // Several tiles per workgroup, and a last workgroup with fewer.
    let shape = Shape { batch: 601, nx: 8, ny: 8 };
    for padding in [Padding::Circular, Padding::Zero] {
        cases.push(weight_gradient_case(Activation, [16, 0], 16, shape, padding, Storage::F32));
    }
    for (batch, nx, ny) in [(3, 8, 16), (2, 2, 2), (2, 1, 1)] {
        let shape = Shape { batch, nx, ny };
        for storage in Storage::ALL {
            cases.push(max_pool_case(shape, storage));
            cases.push(upsample_case(shape, storage));
            cases.push(conv1x1_case(shape, storage));
            cases.push(conv1x1_backward_case(shape, storage));
        }
    }
    for (filters, batch, nx, ny) in
        [(vec![8], 2, 8, 16), (vec![8, 16, 24], 3, 16, 32), (vec![16; 4], 2, 32, 32), (vec![8; 6], 2, 32, 64)]
    {
        // Every variant of every kernel has its cases above; here one network shows that they fit together.
        let all = filters.len() == 3;
        for (storage, padding) in
            storages(all).into_iter().filter(|&(_, padding)| all || padding == Padding::Circular)
        {
            cases.push(network_case(filters.clone(), padding, batch, nx, ny, storage));
        }
    }
    cases
}

/// Both paddings in 32 bits, and `some` in 16: the code is the same but for loads and stores.
fn storages(some: bool) -> Vec<(Storage, Padding)> {
    let mut all = vec![(Storage::F32, Padding::Circular), (Storage::F32, Padding::Zero)];
    all.extend(some.then_some((Storage::F16, Padding::Circular)));
    all
}

/// Largest error of one stage. Inputs are the same on both sides, rounded to 16 bits where they are stored in 16; then
/// a kernel's one rounding of 11-bit mantissas is at most 2⁻¹⁰ = 9.8e-4 of every value, even on GPUs that cut off
/// instead of rounding, and less in sums.
fn tolerance(storage: Storage) -> f64 {
    match storage {
        Storage::F32 => 1e-5,
        Storage::F16 => 1e-3,
    }
}

/// What g is multiplied by where it is stored.
fn gradient_scale(storage: Storage) -> f64 {
    match storage {
        Storage::F32 => 1.0,
        Storage::F16 => f64::from(GRADIENT_SCALE),
    }
}

/// [`noise`] that survives the storage.
fn stored_noise(stream: u64, len: usize, storage: Storage) -> Vec<f32> {
    let mut values = noise(stream, len);
    if storage == Storage::F16 {
        values.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32());
    }
    values
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
    storage: Storage,
    z: [Vec<f32>; 2],
    norms: [Vec<Norm<f32>>; 2],
}

impl Input {
    fn new(kind: Kind, channels: [usize; 2], shape: Shape, storage: Storage) -> Self {
        let cells = |layer: usize| match (kind, layer) {
            (Kind::Pool, _) => 4 * shape.cells(),
            (Kind::SkipUp, 1) => shape.cells() / 4,
            _ => shape.cells(),
        };
        let z = [0, 1].map(|l| stored_noise(10 + l as u64, shape.batch * channels[l] * cells(l), storage));
        let norms = [0, 1].map(|l| norms(20 + l as u64, channels[l]));
        Self { kind, channels, shape, storage, z, norms }
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
                    Kind::Pool => {
                        reference_pool::max_pool(&activation(0, n, c, 4 * cells), &mut plane, 2 * ny)
                    }
                    Kind::SkipUp if c < self.channels[0] => plane = activation(0, n, c, cells),
                    Kind::SkipUp => {
                        let coarse = activation(1, n, c - self.channels[0], cells / 4);
                        reference_upsample::upsample(&coarse, &mut plane, nx / 2, ny / 2);
                    }
                }
                planes.extend(plane);
            }
        }
        planes
    }

    /// Calls `f` with this input as the source of a convolution on `gpu`.
    fn with_source<R>(&self, gpu: &Gpu, f: impl FnOnce(Source) -> Result<R>) -> Result<R> {
        let grid = |l: usize| match (self.kind, l) {
            (Kind::Pool, _) => self.shape.finer(),
            (Kind::SkipUp, 1) => self.shape.coarser(),
            _ => self.shape,
        };
        let layer = |l: usize| layer(gpu, grid(l), &self.z[l], &self.norms[l], self.storage);
        match self.kind {
            Kind::Plain => {
                let field = gpu.tensor_from("field", &store(self.shape, &self.z[0]))?;
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

/// Rows as the kernels store them; the padding holds garbage that must not matter.
fn store(shape: Shape, values: &[f32]) -> Vec<f32> {
    let garbage = vec![9.87e5; shape.row() - shape.ny];
    values.chunks_exact(shape.ny).flat_map(|row| [row, &garbage].concat()).collect()
}

/// The cells of stored rows; values that are not stored like that as they are.
fn unstore(shape: Shape, channels: usize, values: &[f64]) -> Vec<f64> {
    if values.len() != shape.stored(channels) {
        return values.to_vec();
    }
    values.chunks_exact(shape.row()).flat_map(|row| row[..shape.ny].to_vec()).collect()
}

/// Cuts the padding off the first output `[batch, channels, nx, row]`, which the GPU has multiplied by `scale`.
fn first_stored(case: Case, shape: Shape, channels: usize, scale: f64) -> Case {
    case.split_by(move |mut outputs| {
        outputs[0] = unstore(shape, channels, &outputs[0]);
        outputs
    })
    .scaled(scale, 1)
}

/// Rows as the kernels store them, times `scale`; in 16 bits garbage must be finite, as everything there is.
fn stored(
    gpu: &Gpu,
    label: &str,
    shape: Shape,
    values: &[f32],
    storage: Storage,
    scale: f64,
) -> Result<Tensor> {
    let largest = match storage {
        Storage::F32 => f64::MAX,
        Storage::F16 => f64::from(f16::MAX),
    };
    let rows = store(shape, values);
    let scaled: Vec<f64> = rows.iter().map(|&v| (scale * f64::from(v)).clamp(-largest, largest)).collect();
    gpu.table(label, &scaled, storage)
}

/// g as the kernels store it.
fn stored_gradient(gpu: &Gpu, label: &str, shape: Shape, values: &[f32], storage: Storage) -> Result<Tensor> {
    stored(gpu, label, shape, values, storage, gradient_scale(storage))
}

/// The second half of a layer's norm, small numbers around a plain gradient.
fn backward_norm(norm: Norm<f32>, channel: usize) -> [f32; 4] {
    [norm.scale, norm.mean, 0.01 * channel as f32, -0.02]
}

fn layer(gpu: &Gpu, shape: Shape, z: &[f32], norms: &[Norm<f32>], storage: Storage) -> Result<Layer> {
    let rows =
        norms.iter().enumerate().map(|(c, &n)| ([n.mean, n.rstd, n.scale, n.shift], backward_norm(n, c)));
    let flat: Vec<f32> = rows.flat_map(|(forward, backward)| [forward, backward].concat()).collect();
    let z = stored(gpu, "z", shape, z, storage, 1.0)?;
    Ok(Layer { z, norm: gpu.tensor_from("norm", &flat)?, channels: norms.len() })
}

/// ∂L/∂z of a layer on both sides; `last`: from ∂L/∂output instead of a stored g.
#[derive(Clone)]
struct LayerGradient {
    shape: Shape,
    channels: usize,
    last: bool,
    storage: Storage,
    z: Vec<f32>,
    g: Vec<f32>,
}

impl LayerGradient {
    fn new(shape: Shape, channels: usize, last: bool, storage: Storage) -> Self {
        let len = shape.batch * channels * shape.cells();
        let g = match last {
            true => noise(31, shape.values()),
            false => stored_noise(31, len, storage),
        };
        Self { shape, channels, last, storage, z: stored_noise(34, len, storage), g }
    }

    fn norms(&self) -> Vec<Norm<f32>> {
        norms(36, self.channels)
    }

    fn planes(&self) -> Vec<f64> {
        let cells = self.shape.cells();
        let norms = self.norms();
        let value = |(i, &z): (usize, &f32)| {
            let (plane, cell) = (i / cells, i % cells);
            let (n, c) = (plane / self.channels, plane % self.channels);
            let [factor, mean, constant, slope] = backward_norm(norms[c], c).map(f64::from);
            let z = f64::from(z);
            let g = match self.last {
                false => f64::from(self.g[i]),
                true if widen_norm(norms[c]).activate(z) > 0.0 => f64::from(self.g[n * cells + cell]),
                true => 0.0,
            };
            factor * g + slope * (z - mean) + constant
        };
        self.z.iter().enumerate().map(value).collect()
    }

    fn with<R>(&self, gpu: &Gpu, f: impl FnOnce(Gradient) -> Result<R>) -> Result<R> {
        let layer = &layer(gpu, self.shape, &self.z, &self.norms(), self.storage)?;
        if self.last {
            let output_gradient = &gpu.tensor_from("output gradient", &store(self.shape, &self.g))?;
            return f(Gradient::Output { layer, output_gradient });
        }
        f(Gradient::Stored { layer, g: &stored_gradient(gpu, "g", self.shape, &self.g, self.storage)? })
    }
}

/// Weights somewhere inside a flat buffer, as in a network.
const WEIGHT_OFFSET: usize = 12;

fn conv_case(
    kind: Kind,
    channels: [usize; 2],
    c_out: usize,
    shape: Shape,
    padding: Padding,
    storage: Storage,
) -> Case {
    let input = Input::new(kind, channels, shape, storage);
    let c_in = input.c_in();
    // The biases follow the weights.
    let bias = WEIGHT_OFFSET + 9 * c_in * c_out;
    let (flat, running) = (noise(30, bias + c_out), noise(48, c_out));
    let (name, described) = (format!("conv3x3/{kind:?}").to_lowercase(), input.text(c_out, padding));
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

fn weight_gradient_case(
    kind: Kind,
    channels: [usize; 2],
    c_out: usize,
    shape: Shape,
    padding: Padding,
    storage: Storage,
) -> Case {
    let input = Input::new(kind, channels, shape, storage);
    let c_in = input.c_in();
    // Both kinds of gradients, in turn.
    let gradient = LayerGradient::new(shape, c_out, padding == Padding::Zero, storage);
    let (name, described) =
        (format!("conv3x3_weight_gradient/{kind:?}").to_lowercase(), input.text(c_out, padding));
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
    first_stored(case.stored_in(storage), shape, c_in, gradient_scale(storage))
}

/// A layer that a gradient reaches through its ReLU, with what its batch norm makes of it: on both sides g, the
/// gradients of γ and β, and the second half of its norm.
#[derive(Clone)]
struct Below {
    shape: Shape,
    channels: usize,
    storage: Storage,
    z: Vec<f32>,
}

impl Below {
    fn new(shape: Shape, channels: usize, storage: Storage) -> Self {
        let z = stored_noise(37, shape.batch * channels * shape.cells(), storage);
        Self { shape, channels, storage, z }
    }

    fn norms(&self) -> Vec<Norm<f32>> {
        norms(40, self.channels)
    }

    fn layer(&self, gpu: &Gpu) -> Result<Layer> {
        layer(gpu, self.shape, &self.z, &self.norms(), self.storage)
    }

    fn outputs(&self, r: &mut Recorder, layer: Layer, g: Tensor, sums: Statistics) -> Result<Vec<Tensor>> {
        let gradients = garbage(r.gpu, "gradients", 2 * self.channels)?;
        let conv = lone_conv(self.channels);
        batch_norm_backward(r, self.shape, &conv, &layer, sums, None, &no_parameters(r.gpu)?, &gradients)?;
        Ok(vec![g, gradients, layer.norm])
    }

    /// From ∂L/∂activation.
    fn reference(&self, incoming: Vec<f64>) -> Vec<Vec<f64>> {
        let (cells, count) = (self.shape.cells(), self.shape.values() as f64);
        let (mut g, mut gradients, mut norm_rows) = (incoming, vec![0.0; 2 * self.channels], Vec::new());
        let z = widen(&self.z);
        for (c, narrow) in self.norms().into_iter().enumerate() {
            let norm = widen_norm(narrow);
            let mut sums = [0.0; 2];
            for n in 0..self.shape.batch {
                let plane = (n * self.channels + c) * cells..(n * self.channels + c + 1) * cells;
                let share = reference_norm::backward_sums(norm, &z[plane.clone()], &g[plane.clone()]);
                sums = [sums[0] + share[0], sums[1] + share[1]];
                for i in plane {
                    if norm.activate(z[i]) <= 0.0 {
                        g[i] = 0.0;
                    }
                }
            }
            [gradients[self.channels + c], gradients[c]] = sums;
            let [mean_g, mean_gz] = sums.map(|s| s / count);
            norm_rows.extend([norm.mean, norm.rstd, norm.scale, norm.shift]);
            norm_rows.extend([
                norm.scale,
                norm.mean,
                -norm.scale * mean_g,
                -norm.scale * norm.rstd * mean_gz,
            ]);
        }
        vec![g, gradients, norm_rows]
    }
}

/// Parameters for a kernel that reads none of them.
fn no_parameters(gpu: &Gpu) -> Result<Tensor> {
    garbage(gpu, "parameters", 1)
}

/// A layer with parameters γ, β, bias at 0, channels, 2·channels and running statistics likewise.
pub(super) fn lone_conv(channels: usize) -> Conv {
    let mut conv = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() }).convs[0].clone();
    conv.c_out = channels;
    [conv.gamma, conv.beta, conv.bias] = [0, channels, 2 * channels];
    [conv.running_mean, conv.running_var] = [0, channels];
    conv
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

fn max_pool_case(shape: Shape, storage: Storage) -> Case {
    let channels = 10;
    let below = Below::new(shape.finer(), channels, storage);
    let len = shape.batch * channels * shape.cells();
    let (pooled, before) = (stored_noise(38, len, storage), stored_noise(39, 4 * len, storage));
    let (on_gpu, p, b) = (below.clone(), pooled.clone(), before.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu)?;
        let pooled = stored_gradient(r.gpu, "pooled gradient", shape, &p, storage)?;
        let gradient = stored_gradient(r.gpu, "gradient", shape.finer(), &b, storage)?;
        let sums = garbage(r.gpu, "sums", 2 * channels * max_pool::chunks(shape))?;
        let statistics = max_pool::max_pool_backward(r, shape, &layer, &pooled, &gradient, &sums)?;
        on_gpu.outputs(r, layer, gradient.clone(), statistics)
    };
    let reference = move || {
        let mut gradient = widen(&before);
        let (z, pooled) = (widen(&below.z), widen(&pooled));
        let cells = shape.cells();
        for i in 0..shape.batch * channels {
            let norm = widen_norm(below.norms()[i % channels]);
            let fine: Vec<f64> = z[4 * i * cells..][..4 * cells].iter().map(|&z| norm.activate(z)).collect();
            let target = &mut gradient[4 * i * cells..][..4 * cells];
            reference_pool::max_pool_backward(&fine, &pooled[i * cells..][..cells], target, 2 * shape.ny);
        }
        below.reference(gradient)
    };
    let described = format!("{}x{channels}", text(shape));
    let case = recorded("max_pool_backward", described, tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape.finer(), channels, gradient_scale(storage))
}

fn upsample_case(shape: Shape, storage: Storage) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let fine = stored_noise(41, 4 * shape.batch * channels * shape.cells(), storage);
    let (on_gpu, f) = (below.clone(), fine.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu)?;
        let fine = stored_gradient(r.gpu, "fine gradient", shape.finer(), &f, storage)?;
        let gradient = garbage_in(r.gpu, "gradient", shape.stored(channels), storage)?;
        let sums = garbage(r.gpu, "sums", 2 * channels * upsample::chunks(shape))?;
        let statistics = upsample::upsample_backward(r, shape, &layer, &fine, &gradient, &sums)?;
        on_gpu.outputs(r, layer, gradient, statistics)
    };
    let reference = move || {
        let mut gradient = vec![0.0; below.z.len()];
        let fine = widen(&fine);
        let planes = fine.chunks_exact(4 * shape.cells()).zip(gradient.chunks_exact_mut(shape.cells()));
        planes.for_each(|(fine, coarse)| {
            reference_upsample::upsample_backward(fine, coarse, shape.nx, shape.ny);
        });
        below.reference(gradient)
    };
    let described = format!("{}x{channels}", text(shape));
    let case = recorded("upsample_backward", described, tolerance(storage), prepare, reference);
    first_stored(case.stored_in(storage), shape, channels, gradient_scale(storage))
}

fn conv1x1_case(shape: Shape, storage: Storage) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let flat = noise(43, WEIGHT_OFFSET + channels + 1);
    let (on_gpu, params) = (below.clone(), flat.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu)?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let out = garbage(r.gpu, "out", shape.stored(1))?;
        conv1x1(r, shape, &layer, conv1x1::Weights { buffer: &buffer, offset: WEIGHT_OFFSET }, &out)?;
        Ok(vec![out])
    };
    let reference = move || {
        let (z, weights) = (widen(&below.z), widen(&flat[WEIGHT_OFFSET..]));
        let norms: Vec<Norm<f64>> = below.norms().into_iter().map(widen_norm).collect();
        let mut out = vec![0.0; shape.values()];
        let samples = z.chunks_exact(channels * shape.cells()).zip(out.chunks_exact_mut(shape.cells()));
        samples.for_each(|(z, out)| {
            cpu::conv1x1::conv1x1(&norms, z, &weights[..channels], weights[channels], out);
        });
        vec![out]
    };
    let case = recorded("conv1x1", format!("{}x{channels}", text(shape)), 1e-5, prepare, reference);
    first_stored(case.stored_in(storage), shape, 1, 1.0)
}

fn conv1x1_backward_case(shape: Shape, storage: Storage) -> Case {
    let channels = 10;
    let below = Below::new(shape, channels, storage);
    let flat = noise(43, channels + 1);
    let output_gradient = noise(45, shape.values());
    let (on_gpu, params, g) = (below.clone(), flat.clone(), output_gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let layer = on_gpu.layer(r.gpu)?;
        let buffer = r.gpu.tensor_from("weights", &params)?;
        let output_gradient = r.gpu.tensor_from("output gradient", &store(shape, &g))?;
        let gradients = garbage(r.gpu, "gradients", channels + 1)?;
        let shares = garbage(r.gpu, "shares", shape.batch * (channels + 1))?;
        let sums = garbage(r.gpu, "sums", 2 * channels * shape.batch)?;
        let out = conv1x1::Weights { buffer: &gradients, offset: 0 };
        let statistics = conv1x1_backward(r, shape, &layer, &output_gradient, out, &shares, &sums)?;
        let affine = garbage(r.gpu, "affine gradients", 2 * channels)?;
        batch_norm_backward(r, shape, &lone_conv(channels), &layer, statistics, Some(0), &buffer, &affine)?;
        Ok(vec![gradients, affine, layer.norm])
    };
    let reference = move || {
        let (z, weights, g) = (widen(&below.z), widen(&flat), widen(&output_gradient));
        let norms: Vec<Norm<f64>> = below.norms().into_iter().map(widen_norm).collect();
        let mut gradient = vec![0.0; z.len()];
        let mut shares = Vec::new();
        for (n, g) in g.chunks_exact(shape.cells()).enumerate() {
            let range = n * channels * shape.cells()..(n + 1) * channels * shape.cells();
            let (z, gradient) = (&z[range.clone()], &mut gradient[range]);
            shares.push(cpu::conv1x1::conv1x1_backward(&norms, z, &weights[..channels], g, gradient));
        }
        let mut sums = vec![0.0; channels + 1];
        cpu::reduce::sum_rows(&shares, &mut sums);
        let [_, affine, mut norm_rows] = below.reference(gradient).try_into().expect("three outputs");
        // The factor of ∂L/∂output holds the weight.
        (0..channels).for_each(|c| norm_rows[NORM_LEN * c + 4] *= weights[c]);
        vec![sums, affine, norm_rows]
    };
    let described = format!("{}x{channels}", text(shape));
    recorded("conv1x1_backward", described, 1e-5, prepare, reference).stored_in(storage)
}

/// The whole network, forward and backward, with ties as rare as random numbers make them.
fn network_case(
    filters: Vec<usize>,
    padding: Padding,
    batch: usize,
    nx: usize,
    ny: usize,
    storage: Storage,
) -> Case {
    let net = UNet::new(&UNetConfig { filters, padding });
    let (state, entries) = (State::new(&net, 3), net.entries.clone());
    let (input, gradient) = (noise(46, batch * nx * ny), noise(47, batch * nx * ny));
    let described = format!("{batch}x{nx}x{ny} {:?} {padding}", net.config.filters);
    let (on_gpu, start, x, g) = (net.clone(), state.clone(), input.clone(), gradient.clone());
    let prepare = move |r: &mut Recorder| {
        let network = crate::gpu::unet::Network::new(r.gpu, &on_gpu, storage, batch, nx, ny)?;
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
    // In 16 bits: roundings by up to 2⁻¹¹ put about 1e-4 of the ReLUs' arguments on the other side of zero, which
    // changes the gradients of a layer by √1e-4 = 1e-2. Layers add up, and at deep levels with few values per channel
    // batch norm multiplies it: networks of four levels and more are compared by their losses (cases/step.rs).
    let tolerance = match storage {
        Storage::F32 => 1e-4,
        Storage::F16 => 1e-1,
    };
    let case = recorded("unet", described, tolerance, prepare, reference);
    case.stored_in(storage).split_by(move |mut outputs| {
        let gradients = outputs.pop().expect("three outputs");
        outputs.extend(ranges.iter().map(|range| gradients[range.clone()].to_vec()));
        outputs
    })
}
