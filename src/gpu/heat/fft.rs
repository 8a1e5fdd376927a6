//! Two-dimensional FFT on the GPU: one pass per axis, each between what it reads ([`Load`]) and writes
//! ([`Store`]).
//!
//! # Normalisation
//! Forward has no factor, inverse divides by N = nx·ny.
//!
//! # Output order
//! Unshifted: bin k of an axis of n points holds frequency k/n for k < n/2 and (k-n)/n above.

use crate::Result;
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::{KernelSpec, WORKGROUP};
use crate::gpu::{Gpu, Tensor};
use crate::model::fourier::twiddles;
use crate::model::{DType, Method, Operator};
use num_complex::Complex;

/// Complex fields that hold `batch` real ones.
pub fn pairs(batch: usize) -> usize {
    batch.div_ceil(2)
}

/// Buffers with their names in the shader and the elements that a call touches.
type Buffers<'a> = Vec<(&'static str, &'a Tensor, usize)>;

/// Numbers that weigh signal against noise.
pub const SCALARS: usize = 8;

/// The buffer behind `noise_mode`, of `len` elements; without noise it is `other`, and nothing of it is read.
pub(crate) fn noise_buffer<'a>(
    noise: Option<&'a Tensor>,
    other: &'a Tensor,
    len: usize,
) -> (&'static str, &'a Tensor, usize) {
    ("noise_spectrum", noise.unwrap_or(other), if noise.is_some() { len } else { 0 })
}

/// What a pass reads as complex fields: a WGSL file that defines `load`, and the buffers it binds as group 1.
#[derive(Clone, Copy)]
pub enum Load<'a> {
    /// Complex fields as they stand, `[fields, nx, ny]`.
    Complex(&'a Tensor),
    /// Real fields `[batch, nx, ny]`, two to a complex one.
    Real(&'a Tensor),
    /// Real fields as of `Real`, in 32 bits whatever the transform computes in.
    Wide(&'a Tensor),
    /// A spectrum on its way to that of the training signal.
    Damped {
        /// What it is to be.
        method: Method,
        /// The spectrum of the error x* - x, `[fields, nx, ny]`.
        spectrum: &'a Tensor,
        /// Λ `[nx, ny]`.
        log_kernel: &'a Tensor,
        /// K `[nx, ny]`.
        kernel: &'a Tensor,
        /// Σ|Â|² `[2·fields]`.
        energy: &'a Tensor,
        /// The spectrum of the observation's noise, `[fields, nx, ny]`.
        noise: Option<&'a Tensor>,
        /// [`SCALARS`] numbers; the shader names them.
        scalars: &'a Tensor,
    },
}

impl<'a> Load<'a> {
    /// The variant's name, that of its shader file.
    fn name(&self) -> &'static str {
        match self {
            Self::Complex(_) => "complex",
            Self::Real(_) => "real",
            Self::Wide(_) => "wide",
            Self::Damped { method: Method::Sip, noise: None, .. } => "damped/sip",
            Self::Damped { method: Method::Gd, noise: None, .. } => "damped/gd",
            Self::Damped { method: Method::Supervised, noise: None, .. } => "damped/supervised",
            Self::Damped { method: Method::Sip, noise: Some(_), .. } => "damped/sip/noise",
            Self::Damped { method: Method::Gd, noise: Some(_), .. } => "damped/gd/noise",
            Self::Damped { method: Method::Supervised, noise: Some(_), .. } => "damped/supervised/noise",
        }
    }

    fn file(&self) -> String {
        let name = match self {
            Self::Complex(_) => "complex",
            Self::Real(_) => "real",
            Self::Wide(_) => "wide",
            Self::Damped { .. } => "damped",
        };
        format!("heat/fft/load_{name}")
    }

    fn constants(&self) -> Vec<(&'static str, u32)> {
        match self {
            Self::Complex(_) | Self::Real(_) | Self::Wide(_) => Vec::new(),
            Self::Damped { method, noise, .. } => {
                vec![("METHOD", *method as u32), ("NOISY", noise.is_some().into())]
            }
        }
    }

    fn buffers(&self, fft: &Fft) -> Buffers<'a> {
        match *self {
            Self::Complex(field) => vec![("input", field, fft.complex_len())],
            Self::Real(field) | Self::Wide(field) => vec![("input", field, fft.real_len())],
            Self::Damped { spectrum, log_kernel, kernel, energy, noise, scalars, .. } => {
                vec![
                    ("spectrum", spectrum, fft.complex_len()),
                    ("log_kernel", log_kernel, fft.nx * fft.ny),
                    ("kernel", kernel, fft.nx * fft.ny),
                    ("energy", energy, 2 * pairs(fft.batch)),
                    ("scalars", scalars, SCALARS),
                    noise_buffer(noise, spectrum, fft.complex_len()),
                ]
            }
        }
    }
}

/// Where a pass puts its complex fields: a WGSL file that defines `store`, and the buffer it binds as group
/// 2.
#[derive(Clone, Copy)]
pub enum Store<'a> {
    /// Complex fields as they stand, `[fields, nx, ny]`.
    Complex(&'a Tensor),
    /// Real fields `[batch, nx, ny]`, two from a complex one.
    Real(&'a Tensor),
    /// Real fields as of `Real`, rounded to 32 bits.
    Narrow(&'a Tensor),
    /// A spectrum without the operator's phase.
    Unwound {
        /// The spectrum, `[fields, nx, ny]`.
        spectrum: &'a Tensor,
        /// exp(-iφ) `[nx, ny]`.
        unwinding: &'a Tensor,
    },
}

impl<'a> Store<'a> {
    fn name(&self) -> &'static str {
        match self {
            Self::Complex(_) => "complex",
            Self::Real(_) => "real",
            Self::Narrow(_) => "narrow",
            Self::Unwound { .. } => "unwound",
        }
    }

    fn file(&self) -> String {
        format!("heat/fft/store_{}", self.name())
    }

    fn buffers(&self, fft: &Fft) -> Buffers<'a> {
        match *self {
            Self::Complex(field) => vec![("output", field, fft.complex_len())],
            Self::Real(field) | Self::Narrow(field) => vec![("output", field, fft.real_len())],
            Self::Unwound { spectrum, unwinding } => {
                vec![("output", spectrum, fft.complex_len()), ("unwinding", unwinding, 2 * fft.nx * fft.ny)]
            }
        }
    }
}

impl Transfer {
    /// The operator's H.
    pub fn new(gpu: &Gpu, operator: &Operator, precision: DType) -> Result<Self> {
        let Some(phase) = operator.phase() else {
            return Ok(Self::Real(gpu.table("kernel", operator.kernel(), precision)?));
        };
        let factors = operator.kernel().iter().zip(phase).flat_map(|(k, phase)| [k * phase.re, k * phase.im]);
        Ok(Self::Complex(gpu.table("transfer", &factors.collect::<Vec<_>>(), precision)?))
    }

    fn file(&self) -> String {
        let kind = match self {
            Self::Real(_) => "real",
            Self::Complex(_) => "complex",
        };
        format!("heat/transfer/{kind}")
    }

    fn buffer(&self, modes: usize) -> (&'static str, &Tensor, usize) {
        match self {
            Self::Real(table) => ("kernel", table, modes),
            Self::Complex(table) => ("transfer", table, 2 * modes),
        }
    }
}

/// exp(-iφ) of every mode, for [`Store::Unwound`]; none where the operator has no phase.
pub(crate) fn unwinding(gpu: &Gpu, operator: &Operator, precision: DType) -> Result<Option<Tensor>> {
    let numbers = |phase: &[Complex<f64>]| phase.iter().flat_map(|p| [p.re, -p.im]).collect::<Vec<f64>>();
    operator.phase().map(|phase| gpu.table("unwinding", &numbers(phase), precision)).transpose()
}

/// A spectrum as it stands, or without the operator's phase.
pub(crate) fn spectrum_store<'a>(spectrum: &'a Tensor, unwinding: Option<&'a Tensor>) -> Store<'a> {
    match unwinding {
        None => Store::Complex(spectrum),
        Some(unwinding) => Store::Unwound { spectrum, unwinding },
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Axis {
    X,
    Y,
}

/// A table of factors H `[nx, ny]`, with H(-k) the conjugate of H(k).
pub enum Transfer {
    /// Real factors K.
    Real(Tensor),
    /// Complex factors.
    Complex(Tensor),
}

/// The kernel between load and store.
#[derive(Clone, Copy)]
enum Middle<'a> {
    Forward,
    Inverse,
    /// Forward, times H, inverse.
    Diffuse(&'a Transfer),
}

/// The plan of a batch of `nx` × `ny` transforms: sizes and twiddle tables.
pub struct Fft {
    nx: usize,
    ny: usize,
    batch: usize,
    precision: DType,
    twiddles_x: Tensor,
    twiddles_y: Tensor,
}

impl Fft {
    /// Uploads the twiddles, computed in f64, for `batch` real fields; a complex field counts as two. Both
    /// sides are powers of two from 8 to 2048.
    pub fn new(gpu: &Gpu, nx: usize, ny: usize, batch: usize, precision: DType) -> Result<Self> {
        let table = |n: usize| -> Vec<f64> { twiddles(n).into_iter().flatten().collect() };
        Ok(Self {
            nx,
            ny,
            batch,
            precision,
            twiddles_x: gpu.table("twiddles x", &table(nx), precision)?,
            twiddles_y: gpu.table("twiddles y", &table(ny), precision)?,
        })
    }

    /// Numbers in all real fields.
    fn real_len(&self) -> usize {
        self.batch * self.nx * self.ny
    }

    /// Numbers in all complex fields.
    fn complex_len(&self) -> usize {
        2 * pairs(self.batch) * self.nx * self.ny
    }

    /// F without a factor. `scratch` `[fields, nx, ny]` is complex, and no buffer of `load` or `store`.
    pub fn forward(&self, recorder: &mut Recorder, load: Load, scratch: &Tensor, store: Store) -> Result<()> {
        self.pass(recorder, Axis::Y, load, Middle::Forward, Store::Complex(scratch))?;
        self.pass(recorder, Axis::X, Load::Complex(scratch), Middle::Forward, store)
    }

    /// F⁻¹ with the factor 1/N. `scratch` `[fields, nx, ny]` is complex, and no buffer of `load` or `store`.
    pub fn inverse(&self, recorder: &mut Recorder, load: Load, scratch: &Tensor, store: Store) -> Result<()> {
        self.pass(recorder, Axis::X, load, Middle::Inverse, Store::Complex(scratch))?;
        self.pass(recorder, Axis::Y, Load::Complex(scratch), Middle::Inverse, store)
    }

    /// F⁻¹(H·F). The spectrum itself never leaves workgroup memory.
    pub fn filter(
        &self,
        recorder: &mut Recorder,
        load: Load,
        scratch: [&Tensor; 2],
        transfer: &Transfer,
        store: Store,
    ) -> Result<()> {
        let [before, after] = scratch;
        self.pass(recorder, Axis::Y, load, Middle::Forward, Store::Complex(before))?;
        let filter = Middle::Diffuse(transfer);
        self.pass(recorder, Axis::X, Load::Complex(before), filter, Store::Complex(after))?;
        self.pass(recorder, Axis::Y, Load::Complex(after), Middle::Inverse, store)
    }

    fn pass(
        &self,
        recorder: &mut Recorder,
        axis: Axis,
        load: Load,
        middle: Middle,
        store: Store,
    ) -> Result<()> {
        let (axis_name, length, twiddles) = match axis {
            Axis::X => ("x", self.nx, &self.twiddles_x),
            Axis::Y => ("y", self.ny, &self.twiddles_y),
        };
        let (name, file, constants) = match middle {
            Middle::Forward => ("fft", "heat/fft/main", vec![("INVERSE", 0)]),
            Middle::Inverse => ("ifft", "heat/fft/main", vec![("INVERSE", 1)]),
            Middle::Diffuse(Transfer::Real(_)) => ("diffuse", "heat/diffuse", Vec::new()),
            Middle::Diffuse(Transfer::Complex(_)) => ("diffuse/phase", "heat/diffuse", Vec::new()),
        };
        let name = format!("{name}/{axis_name}{length}/{}>{}", load.name(), store.name());
        let spec = KernelSpec::real(file, self.precision).called(&name);
        let mut spec = match middle {
            Middle::Forward | Middle::Inverse => spec.with([load.file(), store.file()]),
            Middle::Diffuse(transfer) => spec.with([load.file(), store.file(), transfer.file()]),
        };
        let lines = lines_per_workgroup(length, self.precision);
        spec.constants.extend([
            ("LOG2_LENGTH", length.ilog2()),
            ("LINES", lines as u32),
            ("ALONG_X", (axis == Axis::X).into()),
        ]);
        spec.constants.extend(constants);
        spec.constants.extend(load.constants());

        let mut buffers = vec![("twiddles", twiddles, 2 * length)];
        if let Middle::Diffuse(transfer) = middle {
            buffers.push(transfer.buffer(self.nx * self.ny));
        }
        buffers.extend(load.buffers(self));
        buffers.extend(store.buffers(self));
        let params = [
            ("fields", pairs(self.batch).into()),
            ("batch", self.batch.into()),
            ("nx", self.nx.into()),
            ("ny", self.ny.into()),
        ];
        let line_count = self.complex_len() / (2 * length);
        recorder.call(&spec, &params, &buffers, [line_count.div_ceil(lines) as u32, 1, 1])
    }
}

/// Whether a line of the longer side fits into a workgroup's memory.
pub fn fits(gpu: &Gpu, heat: &Operator, precision: DType) -> bool {
    let bytes = 2 * precision.bytes() * heat.nx.max(heat.ny);
    bytes <= gpu.device.limits().max_compute_workgroup_storage_size as usize
}

/// As many lines as give every invocation one butterfly of four in 32 bits, half of that in 64; one line if
/// that is more. A line of 2048 then takes 16 KiB in 32 bits, WebGPU's default limit, and shorter ones at
/// most 12 KiB.
fn lines_per_workgroup(length: usize, precision: DType) -> usize {
    let numbers = 4 * WORKGROUP as usize * DType::F32.bytes() / precision.bytes();
    (numbers / length).max(1)
}
