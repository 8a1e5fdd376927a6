//! What the cases of the network share: layers filled with noise, the same on both sides.

use crate::Result;
use crate::cases::{Case, garbage, noise, widen};
use crate::cpu::nn::batch_norm::Norm;
use crate::cpu::nn::{activation, upsample as reference_upsample};
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::{Layer, NORM_LEN};
use crate::gpu::{Gpu, Shape, Tensor};
use crate::model::dtype::GRADIENT_SCALE;
use crate::model::unet::BatchNorm;
use crate::model::{Activation, DType, Padding};
use half::f16;

/// Both paddings in 32 bits, and for `some` cases one in 16: the code is the same but for loads and stores.
pub(super) fn storages(some: bool) -> Vec<(DType, Padding)> {
    let mut all = vec![(DType::F32, Padding::Circular), (DType::F32, Padding::Zero)];
    all.extend(some.then_some((DType::F16, Padding::Circular)));
    all
}

/// The largest error of one stage. Inputs are the same on both sides, rounded to 16 bits where they are
/// stored in 16. Then a kernel rounds every value once, to a mantissa of 11 bits. That changes it by at most
/// 2⁻¹⁰ = 9.8e-4 of its size, even on GPUs that cut off instead of rounding, and changes sums by less.
pub(super) fn tolerance(storage: DType) -> f64 {
    match storage {
        DType::F32 | DType::F64 => 1e-5,
        DType::F16 => 1e-3,
    }
}

/// The factor of g where it is stored.
pub(super) fn gradient_scale(storage: DType) -> f64 {
    match storage {
        DType::F32 | DType::F64 => 1.0,
        DType::F16 => f64::from(GRADIENT_SCALE),
    }
}

/// [`noise`] that the storage holds exactly.
pub(super) fn stored_noise(stream: u64, len: usize, storage: DType) -> Vec<f32> {
    let mut values = noise(stream, len);
    if storage == DType::F16 {
        values.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32());
    }
    values
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Plain,
    Activation,
    SkipUp,
}

/// A convolution's input on both sides: layers filled with noise.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) kind: Kind,
    pub(super) channels: [usize; 2],
    pub(super) shape: Shape,
    pub(super) storage: DType,
    pub(super) activation: Activation,
    pub(super) z: [Vec<f32>; 2],
    pub(super) norms: [Vec<Norm<f32>>; 2],
}

impl Input {
    pub(super) fn new(kind: Kind, channels: [usize; 2], shape: Shape, storage: DType) -> Self {
        let cells = |layer: usize| match (kind, layer) {
            (Kind::SkipUp, 1) => shape.cells() / 4,
            _ => shape.cells(),
        };
        let z = [0, 1].map(|l| stored_noise(10 + l as u64, shape.batch * channels[l] * cells(l), storage));
        let norms = [0, 1].map(|l| norms(20 + l as u64, channels[l]));
        Self { kind, channels, shape, storage, activation: Activation::Relu, z, norms }
    }

    pub(super) fn c_in(&self) -> usize {
        self.channels[0] + self.channels[1]
    }

    /// `[batch, c_in, nx, ny]` as the convolution sees it, in f64.
    pub(super) fn planes(&self) -> Vec<f64> {
        let Shape { batch, nx, ny } = self.shape;
        let cells = nx * ny;
        let mut planes = Vec::with_capacity(batch * self.c_in() * cells);
        let activation = |layer: usize, n: usize, c: usize, cells: usize| -> Vec<f64> {
            let norm = widen_norm(self.norms[layer][c]);
            let plane = &self.z[layer][(n * self.channels[layer] + c) * cells..][..cells];
            plane.iter().map(|&z| activation::value(self.activation, norm.argument(f64::from(z)))).collect()
        };
        for n in 0..batch {
            for c in 0..self.c_in() {
                let mut plane = vec![0.0; cells];
                match self.kind {
                    Kind::Plain => plane = widen(&self.z[0][(n * self.c_in() + c) * cells..][..cells]),
                    Kind::Activation => plane = activation(0, n, c, cells),
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

    /// Calls `f` with this input as what a convolution reads on `gpu`, whose norms are in `table`.
    pub(super) fn with_conv_input<R>(
        &self,
        gpu: &Gpu,
        table: &Tensor,
        f: impl FnOnce(ConvInput) -> Result<R>,
    ) -> Result<R> {
        let grid = |l: usize| match (self.kind, l) {
            (Kind::SkipUp, 1) => self.shape.coarser(),
            _ => self.shape,
        };
        let layer = |l: usize| {
            let first = [SOURCE, LOW][l];
            let layer = layer(gpu, table, first, grid(l), &self.z[l], &self.norms[l], self.storage)?;
            Ok::<_, crate::Error>(Layer { activation: self.activation, ..layer })
        };
        match self.kind {
            Kind::Plain => {
                let field = gpu.tensor_from("field", &store(self.shape, &self.z[0]))?;
                f(ConvInput::Plain { field: &field, channels: self.channels[0] })
            }
            Kind::Activation => f(ConvInput::Activation(&layer(0)?)),
            Kind::SkipUp => f(ConvInput::SkipUp { skip: &layer(0)?, low: &layer(1)? }),
        }
    }

    /// The input's name, as kernels have it.
    pub(super) fn name(&self) -> String {
        match (self.kind, self.activation) {
            (kind, Activation::Relu) => format!("{kind:?}").to_lowercase(),
            (_, other) => other.to_string(),
        }
    }

    pub(super) fn text(&self, c_out: usize, padding: Padding) -> String {
        format!("{} {}->{c_out} {padding}", text(self.shape), self.c_in())
    }
}

pub(super) fn text(shape: Shape) -> String {
    format!("{}x{}x{}", shape.batch, shape.nx, shape.ny)
}

/// Normalisations such that about half of the values pass the ReLU; one channel in five has a negative scale.
pub(super) fn norms(stream: u64, channels: usize) -> Vec<Norm<f32>> {
    let values = noise(stream, 3 * channels);
    let norm = |(c, v): (usize, &[f32])| {
        let (mean, rstd) = (0.2 * v[0], 1.5 + 0.5 * v[1]);
        let gamma = if c % 5 == 4 { -0.7 } else { 1.1 };
        let scale = gamma * rstd;
        Norm { mean, rstd, scale, shift: 0.3 * v[2] }
    };
    values.chunks_exact(3).enumerate().map(norm).collect()
}

pub(super) fn widen_norm(n: Norm<f32>) -> Norm<f64> {
    let [mean, rstd, scale, shift] = [n.mean, n.rstd, n.scale, n.shift].map(f64::from);
    Norm { mean, rstd, scale, shift }
}

/// Rows as the kernels store them; the padding holds garbage that must not matter.
pub(super) fn store(shape: Shape, values: &[f32]) -> Vec<f32> {
    let garbage = vec![9.87e5; shape.row() - shape.ny];
    values.chunks_exact(shape.ny).flat_map(|row| [row, &garbage].concat()).collect()
}

/// The cells of stored rows without the padding; values that are not stored in rows stay as they are.
pub(super) fn unstore(shape: Shape, channels: usize, values: &[f64]) -> Vec<f64> {
    if values.len() != shape.stored(channels) {
        return values.to_vec();
    }
    values.chunks_exact(shape.row()).flat_map(|row| row[..shape.ny].to_vec()).collect()
}

/// Cuts the padding off the first output `[batch, channels, nx, row]`, which the GPU has multiplied by
/// `scale`.
pub(super) fn first_stored(case: Case, shape: Shape, channels: usize, scale: f64) -> Case {
    case.split_by(move |mut outputs| {
        outputs[0] = unstore(shape, channels, &outputs[0]);
        outputs
    })
    .scaled(scale, 1)
}

/// Rows as the kernels store them, times `scale`. In 16 bits the garbage is clamped, since kernels find only
/// finite numbers there.
pub(super) fn stored(
    gpu: &Gpu,
    label: &str,
    shape: Shape,
    values: &[f32],
    storage: DType,
    scale: f64,
) -> Result<Tensor> {
    let largest = match storage {
        DType::F32 | DType::F64 => f64::MAX,
        DType::F16 => f64::from(f16::MAX),
    };
    let rows = store(shape, values);
    let scaled: Vec<f64> = rows.iter().map(|&v| (scale * f64::from(v)).clamp(-largest, largest)).collect();
    gpu.table(label, &scaled, storage)
}

/// g as the kernels store it.
pub(super) fn stored_gradient(
    gpu: &Gpu,
    label: &str,
    shape: Shape,
    values: &[f32],
    storage: DType,
) -> Result<Tensor> {
    stored(gpu, label, shape, values, storage, gradient_scale(storage))
}

/// Where the layers that a kernel meets have their norms in its table.
const SOURCE: usize = 4;
const LOW: usize = 40;
pub(super) const GRADIENT: usize = 80;
pub(super) const TARGET: usize = 120;

/// A table for the norms of all layers that a kernel meets.
pub(super) fn norm_table(gpu: &Gpu) -> Result<Tensor> {
    garbage(gpu, "norms", NORM_LEN * 160)
}

/// The second half of a layer's norms, small numbers around a plain gradient.
pub(super) fn backward_norm(norm: Norm<f32>, channel: usize) -> [f32; 4] {
    [norm.rstd, norm.mean, 0.01 * channel as f32, -0.02]
}

pub(super) fn layer(
    gpu: &Gpu,
    table: &Tensor,
    first_norm: usize,
    shape: Shape,
    z: &[f32],
    norms: &[Norm<f32>],
    storage: DType,
) -> Result<Layer> {
    let rows =
        norms.iter().enumerate().map(|(c, &n)| ([n.mean, n.rstd, n.scale, n.shift], backward_norm(n, c)));
    let flat: Vec<f32> = rows.flat_map(|(forward, backward)| [forward, backward].concat()).collect();
    gpu.write_at(table, NORM_LEN * first_norm, &flat);
    let z = stored(gpu, "z", shape, z, storage, 1.0)?;
    let (norms, channels) = (table.clone(), norms.len());
    Ok(Layer { z, norms, first_norm, channels, activation: Activation::Relu })
}

/// A layer of garbage with a table of norms of its own.
pub(super) fn lone_layer(gpu: &Gpu, shape: Shape, channels: usize) -> Result<Layer> {
    let z = garbage(gpu, "z", shape.stored(channels))?;
    let norms = garbage(gpu, "norms", NORM_LEN * channels)?;
    Ok(Layer { z, norms, first_norm: 0, channels, activation: Activation::Relu })
}

/// The first (0) or the second (1) half of every row of a table of norms.
pub(super) fn half_of(norms: &[f64], half: usize) -> Vec<f64> {
    norms.chunks_exact(NORM_LEN).flat_map(|row| row[4 * half..][..4].to_vec()).collect()
}

/// Parameters for a kernel that reads none of them.
pub(super) fn no_parameters(gpu: &Gpu) -> Result<Tensor> {
    garbage(gpu, "parameters", 1)
}

/// A batch norm with γ and β at 0 and channels, and running statistics likewise.
pub(super) fn lone_norm(channels: usize) -> BatchNorm {
    BatchNorm { gamma: 0, beta: channels, running_mean: 0, running_var: channels }
}

/// Weights somewhere inside a flat buffer, as in a network.
pub(super) const WEIGHT_OFFSET: usize = 12;
