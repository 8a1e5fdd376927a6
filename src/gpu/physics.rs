//! Diffusion and the training signal on the GPU (SPEC 2 and 3b): FFT, a filter, inverse FFT.

use super::fft::{Fft, pack, pairs, unpack};
use super::recording::{Recorder, flat_workgroups, real_spec};
use super::{Gpu, Tensor, params::params};
use crate::Result;
use crate::model::heat::{DAMP_BELOW, INVERT_ABOVE, UNCERTAINTY, UNDERFLOW};
use crate::model::{HeatEquation, Method, Precision};

params! {
    struct DiffuseParams { modes: u32, cells: u32 }
}

params! {
    struct EnergyParams { nx: u32, ny: u32 }
}

params! {
    struct DampParams {
        pairs: u32,
        nx: u32,
        ny: u32,
        sip: u32,
    }
}

/// Tables and scratch memory of one heat equation for one batch.
pub struct Physics {
    heat: HeatEquation,
    batch: usize,
    fft: Fft,
    log_kernel: Tensor,
    kernel: Tensor,
    /// What `damp.wgsl` calls scalars.
    scalars: Tensor,
    /// Packed spectra `[pairs, nx, ny]`.
    spectrum: Tensor,
    /// Filtered spectra `[pairs, nx, ny]`.
    damped: Tensor,
}

impl Physics {
    /// Uploads Λ and K, computed in f64, and allocates the spectra.
    pub fn new(gpu: &Gpu, heat: &HeatEquation, batch: usize, precision: Precision) -> Result<Self> {
        let scalars = [
            UNCERTAINTY * UNCERTAINTY / heat.cells() as f64,
            0.5 / (heat.nx * heat.nx) as f64,
            DAMP_BELOW,
            INVERT_ABOVE,
            UNDERFLOW,
        ];
        let complex_len = 2 * pairs(batch) * heat.cells();
        Ok(Self {
            heat: *heat,
            batch,
            fft: Fft::new(gpu, heat.nx, heat.ny, precision)?,
            log_kernel: gpu.table("log kernel", &heat.log_kernel(), precision)?,
            kernel: gpu.table("kernel", &heat.kernel(), precision)?,
            scalars: gpu.table("damp scalars", &scalars, precision)?,
            spectrum: gpu.tensor_in("spectrum", complex_len, precision)?,
            damped: gpu.tensor_in("damped spectrum", complex_len, precision)?,
        })
    }

    fn precision(&self) -> Precision {
        self.spectrum.precision()
    }

    /// y = P(x); both `[batch, nx, ny]`.
    pub fn diffuse(&self, recorder: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        let (cells, pairs) = (self.heat.cells(), pairs(self.batch));
        pack(recorder, x, &self.spectrum, self.batch, cells)?;
        self.fft.forward(recorder, &self.spectrum, pairs)?;
        let files = [include_str!("../../shaders/lib/grid.wgsl"), include_str!("../../shaders/diffuse.wgsl")];
        recorder.call(
            &real_spec("diffuse", &files, self.precision()),
            &DiffuseParams { modes: (pairs * cells) as u32, cells: cells as u32 },
            &[("kernel", &self.kernel, cells), ("spectrum", &self.spectrum, 2 * pairs * cells)],
            flat_workgroups(pairs * cells),
        )?;
        self.fft.inverse(recorder, &self.spectrum, pairs)?;
        unpack(recorder, &self.spectrum, y, self.batch, cells)
    }

    /// ∂L/∂x from the error x* - x, both `[batch, nx, ny]`, and Σ|Â|² per sample in `energy` `[2·pairs]`.
    pub fn training_signal(
        &self,
        recorder: &mut Recorder,
        method: Method,
        error: &Tensor,
        energy: &Tensor,
        signal: &Tensor,
    ) -> Result<()> {
        let (cells, pairs) = (self.heat.cells(), pairs(self.batch));
        pack(recorder, error, &self.spectrum, self.batch, cells)?;
        self.fft.forward(recorder, &self.spectrum, pairs)?;
        self.residual_energy(recorder, energy)?;
        self.damp(recorder, method, energy)?;
        self.fft.inverse(recorder, &self.damped, pairs)?;
        unpack(recorder, &self.damped, signal, self.batch, cells)
    }

    fn residual_energy(&self, recorder: &mut Recorder, energy: &Tensor) -> Result<()> {
        let (cells, pairs) = (self.heat.cells(), pairs(self.batch));
        let files = [
            include_str!("../../shaders/lib/complex.wgsl"),
            include_str!("../../shaders/lib/reduce.wgsl"),
            include_str!("../../shaders/residual_energy.wgsl"),
        ];
        recorder.call(
            &real_spec("residual_energy", &files, self.precision()),
            &EnergyParams { nx: self.heat.nx as u32, ny: self.heat.ny as u32 },
            &[
                ("spectrum", &self.spectrum, 2 * pairs * cells),
                ("kernel", &self.kernel, cells),
                ("energy", energy, 2 * pairs),
            ],
            [pairs as u32, 1, 1],
        )
    }

    fn damp(&self, recorder: &mut Recorder, method: Method, energy: &Tensor) -> Result<()> {
        let (cells, pairs) = (self.heat.cells(), pairs(self.batch));
        let files = [
            include_str!("../../shaders/lib/grid.wgsl"),
            include_str!("../../shaders/lib/complex.wgsl"),
            include_str!("../../shaders/damp.wgsl"),
        ];
        let params = DampParams {
            pairs: pairs as u32,
            nx: self.heat.nx as u32,
            ny: self.heat.ny as u32,
            sip: (method == Method::Sip).into(),
        };
        recorder.call(
            &real_spec("damp", &files, self.precision()),
            &params,
            &[
                ("spectrum", &self.spectrum, 2 * pairs * cells),
                ("log_kernel", &self.log_kernel, cells),
                ("kernel", &self.kernel, cells),
                ("energy", energy, 2 * pairs),
                ("scalars", &self.scalars, 5),
                ("damped", &self.damped, 2 * pairs * cells),
            ],
            flat_workgroups(pairs * cells),
        )
    }
}
