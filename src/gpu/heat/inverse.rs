//! The damped inverse of a given residual on the GPU (method §3).

use crate::Result;
use crate::gpu::heat::fft::{Fft, Load, Store, spectrum_store, unwinding};
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Gpu, Tensor};
use crate::model::inverse::{DAMP_BELOW, INVERT_ABOVE, UNDERFLOW, expected_amplitude, exponent_limit};
use crate::model::{DType, Operator};

/// Tables of one heat equation for batches of a fixed size, and the buffers to fill and to read.
pub struct Inverse {
    heat: Operator,
    batch: usize,
    fft: Fft,
    log_kernel: Tensor,
    /// exp(-iφ), where there is a phase.
    unwinding: Option<Tensor>,
    expected: Tensor,
    scalars: Tensor,
    /// The field in Fourier space along y alone `[batch, nx, ny, 2]`.
    scratch: Tensor,
    /// In: σ = ε·‖r‖ of every sample, `[batch]`.
    pub sigma: Tensor,
    /// In: the residual; out: dx. Complex with a zero (out: meaningless) imaginary part, `[batch, nx, ny,
    /// 2]`.
    pub field: Tensor,
    /// Out: |Â|, p and κ, `[3, batch, nx, ny]`.
    pub diagnostics: Tensor,
}

impl Inverse {
    /// Uploads the tables, computed in f64, and allocates the buffers.
    pub fn new(gpu: &Gpu, heat: &Operator, batch: usize, precision: DType) -> Result<Self> {
        let cells = heat.cells();
        let scalars =
            [DAMP_BELOW, INVERT_ABOVE, UNDERFLOW, (2.0 * UNDERFLOW).sqrt(), exponent_limit(precision)];
        // What WGSL may flush to zero is zero here, so that both mean "no signal can be there".
        let smallest = match precision {
            DType::F16 | DType::F32 => f64::from(f32::MIN_POSITIVE),
            DType::F64 => f64::MIN_POSITIVE,
        };
        let expected: Vec<f64> =
            expected_amplitude(heat).into_iter().map(|e| if e < smallest { 0.0 } else { e }).collect();
        Ok(Self {
            heat: heat.clone(),
            unwinding: unwinding(gpu, heat, precision)?,
            batch,
            fft: Fft::new(gpu, heat.nx, heat.ny, 2 * batch, precision)?,
            log_kernel: gpu.table("log kernel", heat.log_kernel(), precision)?,
            expected: gpu.table("expected amplitude", &expected, precision)?,
            scalars: gpu.table("inverse scalars", &scalars, precision)?,
            scratch: gpu.tensor_in("transform along y", 2 * batch * cells, precision)?,
            sigma: gpu.tensor_in("sigma", batch, precision)?,
            field: gpu.tensor_in("residual", 2 * batch * cells, precision)?,
            diagnostics: gpu.tensor_in("diagnostics", 3 * batch * cells, precision)?,
        })
    }

    /// Records residual → dx in [`Inverse::field`].
    pub fn record(&self, recorder: &mut Recorder) -> Result<()> {
        let cells = self.heat.cells();
        let modes = self.batch * cells;
        let (load, store) = (Load::Complex(&self.field), Store::Complex(&self.field));
        let unwound = spectrum_store(&self.field, self.unwinding.as_ref());
        self.fft.forward(recorder, load, &self.scratch, unwound)?;
        recorder.call(
            &KernelSpec::real("heat/inverse", self.field.precision()),
            &[("modes", modes.into()), ("cells", cells.into())],
            &[
                ("log_kernel", &self.log_kernel, cells),
                ("expected", &self.expected, cells),
                ("sigma", &self.sigma, self.batch),
                ("scalars", &self.scalars, 5),
                ("spectrum", &self.field, 2 * modes),
                ("diagnostics", &self.diagnostics, 3 * modes),
            ],
            flat_workgroups(modes),
        )?;
        self.fft.inverse(recorder, load, &self.scratch, store)
    }
}
