//! What the array commands compute: diffusion, its inverse and rasterisation of any number of fields, on the
//! CPU twins or a GPU, in 32 or 64 bits.
//!
//! Arrays come and go as f64, which holds either precision exactly. Every sample is computed alone: its
//! result does not depend on its neighbours or on the chunks in which a GPU takes the batch.

use crate::cpu::heat::inverse::{Inverted, propagated_uncertainty, sigma};
use crate::cpu::{self, Real};
use crate::engine::Device;
use crate::gpu::heat::fft::pairs;
use crate::gpu::heat::inverse::Inverse;
use crate::gpu::heat::physics::Physics;
use crate::gpu::heat::rasterise::{NUMBERS, flatten, rasterise as record_rasterise};
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::model::{DType, Method, Operator, Rectangle};
use crate::{Error, Result};
use rayon::prelude::*;

/// Numbers that a GPU takes per chunk in its largest buffer, at most: 256 MiB in 64 bits.
const CHUNK: usize = 32 << 20;

/// The device that computes in `precision` where `device` is asked: itself, or the CPU engine where a GPU has
/// no 64-bit floats; then a line that says so comes along.
pub fn device_for(device: Device, precision: DType) -> (Device, Option<String>) {
    match &device {
        Device::Gpu(gpu) if !gpu.computes_in(precision) => {
            let note =
                format!("{} has no 64-bit floats in shaders: computing on the CPU instead", gpu.name());
            (Device::Cpu, Some(note))
        }
        _ => (device, None),
    }
}

/// y = P(x) for fields `[batch, nx, ny]`.
pub fn diffuse(device: &Device, precision: DType, operator: &Operator, x: &[f64]) -> Result<Vec<f64>> {
    apply(device, precision, operator, None, x)
}

/// F⁻¹(H·F(x)) for fields `[batch, nx, ny]` on the grid of `heat`, with a real and even
/// `kernel` H `[nx, ny]`.
pub fn filter(
    device: &Device,
    precision: DType,
    operator: &Operator,
    kernel: &[f64],
    x: &[f64],
) -> Result<Vec<f64>> {
    apply(device, precision, operator, Some(kernel), x)
}

/// The operator itself, with its phase, or a filter on its grid.
fn apply(
    device: &Device,
    precision: DType,
    operator: &Operator,
    kernel: Option<&[f64]>,
    x: &[f64],
) -> Result<Vec<f64>> {
    precision.check_physics()?;
    match (device, precision) {
        (Device::Cpu, DType::F16 | DType::F32) => {
            Ok(on_cpu::<f32>(operator, kernel, x, |physics, x, y| physics.diffuse(x, y)))
        }
        (Device::Cpu, DType::F64) => {
            Ok(on_cpu::<f64>(operator, kernel, x, |physics, x, y| physics.diffuse(x, y)))
        }
        (Device::Gpu(gpu), _) => on_gpu(gpu, precision, operator, kernel, x, |physics, recorder, x, y, _| {
            physics.diffuse(recorder, x, y)
        }),
    }
}

/// The SIP update dx in its training form (method §3b): from truth and prediction, `[batch, nx, ny]`, with
/// the reference's relative uncertainty of 1e-6.
pub fn sip_update(
    device: &Device,
    precision: DType,
    operator: &Operator,
    truth: &[f64],
    prediction: &[f64],
) -> Result<Vec<f64>> {
    precision.check_physics()?;
    let sip = Method::Sip.into();
    // In 64 bits, whatever comes after: the one subtraction of the training form is the one that may cancel.
    let error: Vec<f64> = truth.iter().zip(prediction).map(|(t, p)| t - p).collect();
    let mut dx = match (device, precision) {
        (Device::Cpu, DType::F16 | DType::F32) => {
            on_cpu::<f32>(operator, None, &error, |physics, error, signal| {
                physics.training_signal(&sip, error, None, signal);
            })
        }
        (Device::Cpu, DType::F64) => on_cpu::<f64>(operator, None, &error, |physics, error, signal| {
            physics.training_signal(&sip, error, None, signal);
        }),
        (Device::Gpu(gpu), _) => {
            on_gpu(gpu, precision, operator, None, &error, |physics, recorder, x, y, energy| {
                physics.training_signal(recorder, &sip, x, None, energy, y)
            })?
        }
    };
    for value in &mut dx {
        *value = 0.0 - *value; // ∂L/∂x = -dx; not -value, which makes zeros negative
    }
    Ok(dx)
}

/// The damped inverse of residuals `[batch, nx, ny]` (method §3) with the relative `uncertainty` ε, and what
/// it found.
///
/// In 32 bits it is good to about 2e-2: the residual's own rounding exceeds the noise floor that ε = 1e-6
/// assumes.
pub fn invert(
    device: &Device,
    precision: DType,
    operator: &Operator,
    uncertainty: f64,
    residual: &[f64],
) -> Result<Inverted<f64>> {
    let sigmas: Vec<f64> = residual.chunks(operator.cells()).map(|r| sigma(r, uncertainty)).collect();
    invert_with_noise(device, precision, operator, &sigmas, residual)
}

/// The damped inverse of residuals `[batch, nx, ny]` whose noise has the amplitude σ in every mode,
/// `[batch]`: the standard deviation of a cell's noise times √N.
pub fn invert_with_noise(
    device: &Device,
    precision: DType,
    operator: &Operator,
    sigmas: &[f64],
    residual: &[f64],
) -> Result<Inverted<f64>> {
    precision.check_physics()?;
    match (device, precision) {
        (Device::Cpu, DType::F64) => Ok(cpu::heat::inverse::invert_above(operator, sigmas, residual)),
        (Device::Cpu, DType::F16 | DType::F32) => {
            let inverted = cpu::heat::inverse::invert_above(operator, sigmas, &narrow::<f32>(residual));
            Ok(Inverted {
                dx: widen(&inverted.dx),
                amp: widen(&inverted.amp),
                sig_prob: widen(&inverted.sig_prob),
                kernel: widen(&inverted.kernel),
                uncertainty: widen(&inverted.uncertainty),
            })
        }
        (Device::Gpu(gpu), _) => invert_on_gpu(gpu, precision, operator, sigmas, residual),
    }
}

/// Fields `[batch, nx, ny]` from rectangles, `per_sample` for each.
pub fn rasterise(
    device: &Device,
    precision: DType,
    rectangles: &[Rectangle],
    per_sample: usize,
    nx: usize,
    ny: usize,
) -> Result<Vec<f64>> {
    precision.check_physics()?;
    let cells = nx * ny;
    let batch = rectangles.len() / per_sample;
    let mut fields = room(batch, cells)?;
    match device {
        Device::Cpu => {
            fields.resize(batch * cells, 0.0);
            let samples = fields.par_chunks_mut(cells).zip(rectangles.par_chunks(per_sample));
            match precision {
                DType::F64 => {
                    samples.for_each(|(field, r)| cpu::heat::rasterise::rasterise(r, nx, ny, field))
                }
                DType::F16 | DType::F32 => samples.for_each(|(field, r)| {
                    let mut narrow = vec![0f32; cells];
                    cpu::heat::rasterise::rasterise(r, nx, ny, &mut narrow);
                    field.iter_mut().zip(narrow).for_each(|(wide, v)| *wide = f64::from(v));
                }),
            }
        }
        Device::Gpu(gpu) => {
            let mut built = Built::default();
            for samples in rectangles.chunks(per_sample * chunk(gpu, precision, cells)?) {
                let count = samples.len() / per_sample;
                let (list, field, recording) = built.of(count, || {
                    let list = gpu.tensor_in("rectangles", samples.len() * NUMBERS, precision)?;
                    let field = gpu.tensor_in("field", count * cells, precision)?;
                    let mut recorder = Recorder::new(gpu);
                    record_rasterise(&mut recorder, &list, &field, per_sample, count, nx, ny)?;
                    Ok((list, field, recorder.finish()))
                })?;
                gpu.write_f64(list, &flatten(samples));
                recording.submit(gpu);
                fields.extend(gpu.read_f64(field)?);
            }
        }
    }
    Ok(fields)
}

/// Room for `batch` fields, or the news that there is none.
fn room(batch: usize, cells: usize) -> Result<Vec<f64>> {
    let mut fields = Vec::new();
    let reserved = batch.checked_mul(cells).and_then(|len| fields.try_reserve_exact(len).ok());
    reserved
        .ok_or_else(|| Error::usage(format!("{batch} fields of {cells} cells do not fit into memory")))?;
    Ok(fields)
}

/// Samples per chunk such that every buffer fits, three numbers per cell in the largest one.
fn chunk(gpu: &Gpu, precision: DType, cells: usize) -> Result<usize> {
    let largest = (gpu.max_tensor_bytes() as usize / precision.bytes()).min(CHUNK);
    match largest / (4 * cells) {
        0 => Err(Error::Device(format!(
            "{}: one field of {cells} cells does not fit into its largest buffer; use --device cpu",
            gpu.name()
        ))),
        samples => Ok(samples),
    }
}

/// Buffers and a recording for chunks of one size: every chunk but the last has the same.
struct Built<T>(Option<(usize, T)>);

impl<T> Default for Built<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Built<T> {
    /// What was built for chunks of this size, or is now.
    fn of(&mut self, size: usize, build: impl FnOnce() -> Result<T>) -> Result<&T> {
        let last = self.0.take().filter(|(built_for, _)| *built_for == size);
        let (_, built) = match last {
            Some(last) => self.0.insert(last),
            None => self.0.insert((size, build()?)),
        };
        Ok(built)
    }
}

fn narrow<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::of(v)).collect()
}

fn widen<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.f64()).collect()
}

/// Sample by sample: the CPU twins pack what they get together in pairs, which is for training.
fn on_cpu<T: Real>(
    operator: &Operator,
    kernel: Option<&[f64]>,
    input: &[f64],
    f: impl Fn(&cpu::heat::physics::Physics<T>, &[T], &mut [T]) + Sync,
) -> Vec<f64> {
    use cpu::heat::physics::Physics;
    let physics =
        kernel.map_or_else(|| Physics::<T>::new(operator), |kernel| Physics::with_kernel(operator, kernel));
    let mut output = vec![0.0; input.len()];
    output.par_chunks_mut(operator.cells()).zip(input.par_chunks(operator.cells())).for_each(
        |(output, input)| {
            let mut result = vec![T::zero(); operator.cells()];
            f(&physics, &narrow(input), &mut result);
            output.iter_mut().zip(result).for_each(|(wide, v)| *wide = v.f64());
        },
    );
    output
}

/// Chunk by chunk, every sample paired with zeros instead of its neighbour.
fn on_gpu(
    gpu: &Gpu,
    precision: DType,
    operator: &Operator,
    kernel: Option<&[f64]>,
    input: &[f64],
    record: impl Fn(&Physics, &mut Recorder, &Tensor, &Tensor, &Tensor) -> Result<()>,
) -> Result<Vec<f64>> {
    let cells = operator.cells();
    let mut output = room(input.len() / cells, cells)?;
    let mut built = Built::default();
    for samples in input.chunks(cells * chunk(gpu, precision, cells)?) {
        let len = 2 * samples.len();
        let (x, y, recording) = built.of(len, || {
            let batch = len / cells;
            let x = gpu.tensor_in("input fields", len, precision)?;
            let y = gpu.tensor_in("output fields", len, precision)?;
            let energy = gpu.tensor_in("residual energy", 2 * pairs(batch), precision)?;
            let mut recorder = Recorder::new(gpu);
            let physics = match kernel {
                None => Physics::new(gpu, operator, batch, precision)?,
                Some(kernel) => Physics::with_kernel(gpu, operator, kernel, batch, precision)?,
            };
            record(&physics, &mut recorder, &x, &y, &energy)?;
            Ok((x, y, recorder.finish()))
        })?;
        let mut padded = vec![0.0; len];
        for (pair, sample) in padded.chunks_exact_mut(2 * cells).zip(samples.chunks_exact(cells)) {
            pair[..cells].copy_from_slice(sample);
        }
        gpu.write_f64(x, &padded);
        recording.submit(gpu);
        let padded = gpu.read_f64(y)?;
        output.extend(padded.chunks_exact(2 * cells).flat_map(|pair| &pair[..cells]));
    }
    Ok(output)
}

fn invert_on_gpu(
    gpu: &Gpu,
    precision: DType,
    operator: &Operator,
    sigmas: &[f64],
    residual: &[f64],
) -> Result<Inverted<f64>> {
    let cells = operator.cells();
    let mut all = Inverted::default();
    let mut built = Built::default();
    let chunk = chunk(gpu, precision, cells)?;
    for (samples, sigmas) in residual.chunks(cells * chunk).zip(sigmas.chunks(chunk)) {
        let batch = samples.len() / cells;
        let (inverse, recording) = built.of(batch, || {
            let inverse = Inverse::new(gpu, operator, batch, precision)?;
            let mut recorder = Recorder::new(gpu);
            inverse.record(&mut recorder)?;
            Ok((inverse, recorder.finish()))
        })?;
        gpu.write_f64(&inverse.sigma, sigmas);
        gpu.write_f64(&inverse.field, &samples.iter().flat_map(|&v| [v, 0.0]).collect::<Vec<_>>());
        recording.submit(gpu);
        all.dx.extend(gpu.read_f64(&inverse.field)?.iter().step_by(2));
        let diagnostics = gpu.read_f64(&inverse.diagnostics)?;
        let [amp, sig_prob, kernel] = [0, 1, 2].map(|i| &diagnostics[i * samples.len()..][..samples.len()]);
        all.amp.extend_from_slice(amp);
        all.sig_prob.extend_from_slice(sig_prob);
        all.kernel.extend_from_slice(kernel);
        let left = kernel.chunks_exact(cells).zip(sigmas);
        all.uncertainty.extend(left.map(|(k, &s)| propagated_uncertainty(k.iter().copied(), s, operator.nx)));
    }
    Ok(all)
}
