//! Batch norm and activation, forward and backward: channel by channel in the lanes. The formulas are those
//! of [`crate::cpu::nn::batch_norm`].

use crate::cpu::fast::nn::channels::{Grid, LANES, View, ViewMut};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::nn::activation;
use crate::cpu::nn::batch_norm::{Moments, Norm};
use crate::model::Activation;
use fearless_simd::{Select, Simd, SimdBase, SimdFloat, f32x8};

/// Cells whose sums are taken apart, so that no sum of many terms loses digits.
const STRIP: usize = 256;

/// The normalisations of a layer's channels. The argument of a channel that is only room is 0, and so are the
/// weights that read its activation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Norms {
    mean: Vec<f32>,
    rstd: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Norms {
    /// Room for so many channels.
    pub(crate) fn new(stored: usize) -> Self {
        let zeros = vec![0.0; stored];
        Self { mean: zeros.clone(), rstd: zeros.clone(), scale: zeros.clone(), shift: zeros }
    }

    /// Takes those of the layer's own channels.
    pub(crate) fn set(&mut self, norms: &[Norm<f32>]) {
        for (c, norm) in norms.iter().enumerate() {
            (self.mean[c], self.rstd[c], self.scale[c], self.shift[c]) =
                (norm.mean, norm.rstd, norm.scale, norm.shift);
        }
    }

    /// Σg/n and Σg·ẑ/n per channel, from the sums over n = `count` values.
    pub(crate) fn means(&self, sums: &[[f32; 2]], count: f32) -> [Vec<f32>; 2] {
        [0, 1].map(|k| {
            let mut means = vec![0.0; self.stored()];
            means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum[k] / count);
            means
        })
    }

    pub(crate) fn stored(&self) -> usize {
        self.mean.len()
    }
}

/// How a layer's activation is made from its z.
#[derive(Clone, Copy)]
pub(crate) struct Layer<'a> {
    pub(crate) function: Activation,
    pub(crate) norms: &'a Norms,
}

/// Calls a kernel for a layer: ReLU has loops of its own.
macro_rules! by_function {
    ($kernel:ident($layer:expr, $($argument:expr),*)) => {
        if $layer.function == Activation::Relu {
            vectorised!(simd => $kernel::<_, true>(simd, $layer, $($argument),*))
        } else {
            vectorised!(simd => $kernel::<_, false>(simd, $layer, $($argument),*))
        }
    };
}

/// The norms of [`LANES`] channels.
#[derive(Clone, Copy)]
struct NormLanes<S: Simd> {
    mean: f32x8<S>,
    rstd: f32x8<S>,
    scale: f32x8<S>,
    shift: f32x8<S>,
}

impl<S: Simd> NormLanes<S> {
    #[inline(always)]
    fn new(simd: S, norms: &Norms, c: usize) -> Self {
        Self {
            mean: load(simd, &norms.mean, c),
            rstd: load(simd, &norms.rstd, c),
            scale: load(simd, &norms.scale, c),
            shift: load(simd, &norms.shift, c),
        }
    }

    /// The activation's argument.
    #[inline(always)]
    fn argument(self, z: f32x8<S>) -> f32x8<S> {
        self.scale.mul_add(z - self.mean, self.shift)
    }

    /// ẑ.
    #[inline(always)]
    fn normalised(self, z: f32x8<S>) -> f32x8<S> {
        (z - self.mean) * self.rstd
    }
}

#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, values: &[f32], at: usize) -> f32x8<S> {
    f32x8::from_slice(simd, &values[at..at + LANES])
}

#[inline(always)]
pub(crate) fn store<S: Simd>(lanes: f32x8<S>, values: &mut [f32], at: usize) {
    lanes.store_slice(&mut values[at..at + LANES]);
}

/// The function of every lane. ReLU has a way of its own, which may hide a NaN; the sums of the passes show
/// it (moments, or without batch norm [`backward`], whose last term is never skipped).
#[inline(always)]
fn value<S: Simd, const RELU: bool>(simd: S, function: Activation, x: f32x8<S>) -> f32x8<S> {
    if RELU {
        return x.max(f32x8::splat(simd, 0.0));
    }
    let mut lanes = [0.0; LANES];
    x.store_slice(&mut lanes);
    lanes.iter_mut().for_each(|lane| *lane = activation::value(function, *lane));
    f32x8::from_slice(simd, &lanes)
}

/// ∂L/∂x from `g` = ∂L/∂(the function at x).
#[inline(always)]
fn slope<S: Simd, const RELU: bool>(simd: S, function: Activation, x: f32x8<S>, g: f32x8<S>) -> f32x8<S> {
    if RELU {
        let zero = f32x8::splat(simd, 0.0);
        return x.simd_gt(zero).select(g, zero);
    }
    let (mut at, mut lanes) = ([0.0; LANES], [0.0; LANES]);
    x.store_slice(&mut at);
    g.store_slice(&mut lanes);
    lanes.iter_mut().zip(at).for_each(|(g, x)| *g = activation::backward(function, x, *g));
    f32x8::from_slice(simd, &lanes)
}

/// The activation of z `[nx, ny, channels]`.
pub(crate) fn activate(layer: Layer, z: &[f32], grid: Grid, out: ViewMut) {
    by_function!(activate_by(layer, z, grid, out));
}

#[inline(always)]
fn activate_by<S: Simd, const RELU: bool>(simd: S, layer: Layer, z: &[f32], grid: Grid, out: ViewMut) {
    let channels = layer.norms.stored();
    for (x, z) in z.chunks_exact(grid.ny * channels).enumerate() {
        for c in (0..channels).step_by(LANES) {
            let norm = NormLanes::new(simd, layer.norms, c);
            for y in 0..grid.ny {
                let argument = norm.argument(load(simd, z, y * channels + c));
                let lanes = value::<S, RELU>(simd, layer.function, argument);
                store(lanes, out.values, x * out.row + y * out.cell + c);
            }
        }
    }
}

/// Adds the activation's argument of `z` to `out`, both `[cells, channels]`.
pub(crate) fn add_argument(norms: &Norms, z: &[f32], out: &mut [f32]) {
    vectorised!(simd => {
        let channels = norms.stored();
        for c in (0..channels).step_by(LANES) {
            let norm = NormLanes::new(simd, norms, c);
            for at in (c..z.len()).step_by(channels) {
                store(load(simd, out, at) + norm.argument(load(simd, z, at)), out, at);
            }
        }
    });
}

/// The moments of the channels of a sample z `[cells, channels]`.
pub(crate) fn moments(z: &[f32], channels: usize) -> Vec<Moments<f32>> {
    let mut all = vec![Moments::default(); channels];
    vectorised!(simd => moments_by(simd, z, channels, &mut all));
    all
}

/// What `add` adds to zero at 0, `step`, 2 `step`... below `len`: in four sums by turns, which do not wait
/// for each other, then all together.
#[inline(always)]
fn accumulate<S: Simd>(
    simd: S,
    len: usize,
    step: usize,
    add: impl Fn(usize, f32x8<S>) -> f32x8<S>,
) -> f32x8<S> {
    let mut sums = [f32x8::splat(simd, 0.0); 4];
    let mut at = 0;
    // With constant indices the sums stay in registers.
    while at + 3 * step < len {
        sums[0] = add(at, sums[0]);
        sums[1] = add(at + step, sums[1]);
        sums[2] = add(at + 2 * step, sums[2]);
        sums[3] = add(at + 3 * step, sums[3]);
        at += 4 * step;
    }
    for sum in &mut sums {
        if at < len {
            *sum = add(at, *sum);
            at += step;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

#[inline(always)]
fn moments_by<S: Simd>(simd: S, z: &[f32], channels: usize, all: &mut [Moments<f32>]) {
    for z in z.chunks(STRIP * channels) {
        let count = (z.len() / channels) as f32;
        for c in (0..channels).step_by(LANES) {
            // The first value is the pivot: sums of differences from it keep the digits that Σz² would lose.
            let pivot = load(simd, z, c);
            let sum = accumulate(
                simd,
                z.len() - c,
                channels,
                #[inline(always)]
                |at, sum| sum + (load(simd, z, c + at) - pivot),
            );
            let mean = pivot + sum / count;
            let m2 = accumulate(
                simd,
                z.len() - c,
                channels,
                #[inline(always)]
                |at, sum| {
                    let deviation = load(simd, z, c + at) - mean;
                    deviation.mul_add(deviation, sum)
                },
            );
            let (mut means, mut m2s) = ([0.0; LANES], [0.0; LANES]);
            mean.store_slice(&mut means);
            m2.store_slice(&mut m2s);
            for (moments, (mean, m2)) in all[c..].iter_mut().zip(means.into_iter().zip(m2s)) {
                *moments = moments.merge(Moments { count, mean, m2 });
            }
        }
    }
}

/// Σg and Σg·ẑ of the channels of a sample, where g = ∂L/∂(the activation's argument); z and `gradient` are
/// `[cells, channels]`.
pub(crate) fn backward_sums(layer: Layer, z: &[f32], gradient: &[f32]) -> Vec<[f32; 2]> {
    let mut sums = vec![[0.0; 2]; layer.norms.stored()];
    by_function!(sums_by(layer, z, gradient, &mut sums));
    sums
}

#[inline(always)]
fn sums_by<S: Simd, const RELU: bool>(
    simd: S,
    layer: Layer,
    z: &[f32],
    gradient: &[f32],
    all: &mut [[f32; 2]],
) {
    let channels = layer.norms.stored();
    let zero = f32x8::splat(simd, 0.0);
    for (z, gradient) in z.chunks(STRIP * channels).zip(gradient.chunks(STRIP * channels)) {
        for c in (0..channels).step_by(LANES) {
            let norm = NormLanes::new(simd, layer.norms, c);
            let (mut plain, mut weighted) = ([zero; 2], [zero; 2]);
            // By two sums in turn, which do not wait for each other.
            for at in (c..z.len()).step_by(2 * channels) {
                for (i, at) in [at, at + channels].into_iter().enumerate() {
                    if at < z.len() {
                        let z = load(simd, z, at);
                        let g = slope::<S, RELU>(
                            simd,
                            layer.function,
                            norm.argument(z),
                            load(simd, gradient, at),
                        );
                        plain[i] += g;
                        weighted[i] = g.mul_add(norm.normalised(z), weighted[i]);
                    }
                }
            }
            let (mut sums, mut products) = ([0.0; LANES], [0.0; LANES]);
            (plain[0] + plain[1]).store_slice(&mut sums);
            (weighted[0] + weighted[1]).store_slice(&mut products);
            for (all, (sum, product)) in all[c..].iter_mut().zip(sums.into_iter().zip(products)) {
                all[0] += sum;
                all[1] += product;
            }
        }
    }
}

/// Turns ∂L/∂activation of a sample into ∂L/∂z: γ·rstd·(g - Σg/n - ẑ·Σgẑ/n), where `means` are Σg/n and Σgẑ/n
/// of the batch for every channel. z and `gradient` are `[nx, ny, channels]`.
pub(crate) fn backward(
    layer: Layer,
    means: &[Vec<f32>; 2],
    z: &[f32],
    gradient: View,
    grid: Grid,
    out: ViewMut,
) {
    by_function!(backward_by(layer, means, z, gradient, grid, out));
}

#[inline(always)]
fn backward_by<S: Simd, const RELU: bool>(
    simd: S,
    layer: Layer,
    means: &[Vec<f32>; 2],
    z: &[f32],
    gradient: View,
    grid: Grid,
    out: ViewMut,
) {
    let channels = layer.norms.stored();
    for (x, z) in z.chunks_exact(grid.ny * channels).enumerate() {
        for c in (0..channels).step_by(LANES) {
            let norm = NormLanes::new(simd, layer.norms, c);
            let [plain, weighted] = [load(simd, &means[0], c), load(simd, &means[1], c)];
            for y in 0..grid.ny {
                let z = load(simd, z, y * channels + c);
                let g = load(simd, gradient.values, x * gradient.row + y * gradient.cell + c);
                let own = slope::<S, RELU>(simd, layer.function, norm.argument(z), g);
                let centred = own - plain - norm.normalised(z) * weighted;
                store(norm.scale * centred, out.values, x * out.row + y * out.cell + c);
            }
        }
    }
}
