//! Diffusion and the training signal on the GPU (method §2 and §3b): FFT, a filter, inverse FFT.

use crate::Result;
use crate::gpu::heat::fft::{
    Fft, Load, SCALARS, Store, Transfer, noise_buffer, pairs, spectrum_store, unwinding,
};
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Gpu, Tensor};
use crate::model::inverse::{AMPLIFICATION_LIMIT, DAMP_BELOW, INVERT_ABOVE, UNDERFLOW, exponent_limit};
use crate::model::{DType, Objective, Operator};

/// Tables and scratch memory of one heat equation for one batch.
pub struct Physics {
    heat: Operator,
    batch: usize,
    fft: Fft,
    log_kernel: Tensor,
    /// K.
    kernel: Tensor,
    transfer: Transfer,
    /// exp(-iφ), where there is a phase.
    unwinding: Option<Tensor>,
    /// Packed fields in Fourier space along y alone `[pairs, nx, ny]`.
    along_y: Tensor,
    /// Packed spectra `[pairs, nx, ny]`; for diffusion, which needs none, the second such field.
    spectrum: Tensor,
}

impl Physics {
    /// Uploads the operator's tables, computed in f64, and allocates the spectra.
    pub fn new(gpu: &Gpu, operator: &Operator, batch: usize, precision: DType) -> Result<Self> {
        let physics = Self::with_kernel(gpu, operator, operator.kernel(), batch, precision)?;
        if operator.phase().is_none() {
            return Ok(physics);
        }
        let transfer = Transfer::new(gpu, operator, precision)?;
        Ok(Self { transfer, unwinding: unwinding(gpu, operator, precision)?, ..physics })
    }

    /// With another filter than diffusion in place of K, real and even, `[nx, ny]`.
    pub fn with_kernel(
        gpu: &Gpu,
        heat: &Operator,
        kernel: &[f64],
        batch: usize,
        precision: DType,
    ) -> Result<Self> {
        let complex_len = 2 * pairs(batch) * heat.cells();
        let kernel = gpu.table("kernel", kernel, precision)?;
        Ok(Self {
            heat: heat.clone(),
            batch,
            fft: Fft::new(gpu, heat.nx, heat.ny, batch, precision)?,
            log_kernel: gpu.table("log kernel", heat.log_kernel(), precision)?,
            transfer: Transfer::Real(kernel.clone()),
            unwinding: None,
            kernel,
            along_y: gpu.tensor_in("transform along y", complex_len, precision)?,
            spectrum: gpu.tensor_in("spectrum", complex_len, precision)?,
        })
    }

    /// y = P(x); both `[batch, nx, ny]`, y in the precision of the physics or in 32 bits.
    pub fn diffuse(&self, recorder: &mut Recorder, x: &Tensor, y: &Tensor) -> Result<()> {
        self.filter(recorder, x, &self.transfer, y)
    }

    /// F⁻¹(H·F(x)) with another H on the same grid; x and y as in `diffuse`, but that x may have 32 bits too.
    pub fn filter(&self, recorder: &mut Recorder, x: &Tensor, transfer: &Transfer, y: &Tensor) -> Result<()> {
        let (scratch, precision) = ([&self.along_y, &self.spectrum], self.spectrum.precision());
        let load = if x.precision() == precision { Load::Real(x) } else { Load::Wide(x) };
        let store = if y.precision() == precision { Store::Real(y) } else { Store::Narrow(y) };
        self.fft.filter(recorder, load, scratch, transfer, store)
    }

    /// ∂L/∂x from the error x* - x and the observation's noise, `[batch, nx, ny]`, and Σ|Â|² per sample in
    /// `energy` `[2·pairs]`.
    pub fn training_signal(
        &self,
        recorder: &mut Recorder,
        objective: &Objective,
        error: &Tensor,
        noise: Option<&Tensor>,
        energy: &Tensor,
        signal: &Tensor,
    ) -> Result<()> {
        let precision = self.spectrum.precision();
        let scalars = recorder.gpu.table("damp scalars", &self.scalars(objective), precision)?;
        let noise = match noise {
            None => None,
            Some(noise) => {
                let spectrum = recorder.gpu.tensor_in("noise spectrum", self.spectrum.len(), precision)?;
                let (load, store) = (Load::Real(noise), spectrum_store(&spectrum, self.unwinding.as_ref()));
                self.fft.forward(recorder, load, &self.along_y, store)?;
                Some(spectrum)
            }
        };
        self.fft.forward(recorder, Load::Real(error), &self.along_y, Store::Complex(&self.spectrum))?;
        self.residual_energy(recorder, noise.as_ref(), energy)?;
        let damped = Load::Damped {
            method: objective.method,
            spectrum: &self.spectrum,
            log_kernel: &self.log_kernel,
            kernel: &self.kernel,
            energy,
            noise: noise.as_ref(),
            scalars: &scalars,
        };
        self.fft.inverse(recorder, damped, &self.along_y, Store::Real(signal))
    }

    /// What `load_damped.wgsl` calls scalars.
    fn scalars(&self, objective: &Objective) -> [f64; SCALARS] {
        let cells = self.heat.cells() as f64;
        [
            objective.uncertainty.powi(2) / cells,
            0.5 / (self.heat.nx * self.heat.nx) as f64,
            DAMP_BELOW,
            INVERT_ABOVE,
            UNDERFLOW,
            exponent_limit(self.spectrum.precision()),
            cells * objective.noise.powi(2),
            AMPLIFICATION_LIMIT,
        ]
    }

    fn residual_energy(
        &self,
        recorder: &mut Recorder,
        noise: Option<&Tensor>,
        energy: &Tensor,
    ) -> Result<()> {
        let (cells, pairs) = (self.heat.cells(), pairs(self.batch));
        let name = if noise.is_some() { "residual_energy/noise" } else { "residual_energy" };
        let mut spec = KernelSpec::real("heat/residual_energy", self.spectrum.precision()).called(name);
        spec.constants.push(("NOISY", noise.is_some().into()));
        let len = 2 * pairs * cells;
        let buffers = [
            ("spectrum", &self.spectrum, len),
            ("kernel", &self.kernel, cells),
            ("energy", energy, 2 * pairs),
            noise_buffer(noise, &self.spectrum, len),
        ];
        recorder.call(
            &spec,
            &[("nx", self.heat.nx.into()), ("ny", self.heat.ny.into())],
            &buffers,
            [pairs as u32, 1, 1],
        )
    }
}
