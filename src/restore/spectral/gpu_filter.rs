//! Filters by the shaders, for the sizes that they transform.
//!
//! A field with insulated edges and its mirror images are one period of a periodic field of twice the sides.

use crate::Result;
use crate::engine::{Device, operators};
use crate::model::operator::AXIS_RANGE;
use crate::model::operator::factor::Factor;
use crate::model::operator::wave::Wave;
use crate::model::{DType, Operator};
use crate::restore::spectral::grid::{Edges, Grid, Mode, wavenumbers};
use num_complex::Complex;

/// The transforms of a GPU for fields of one size.
#[derive(Clone)]
pub struct GpuFilter {
    device: Device,
    precision: DType,
    /// The periodic grid that the shaders see.
    operator: Operator,
    mirrored: bool,
}

impl GpuFilter {
    /// None where the device is no GPU, or has no transforms of this size.
    pub fn new(device: &Device, precision: DType, grid: &Grid, factors: &[Factor]) -> Option<Self> {
        let mirrored = grid.edges() == Edges::Insulated;
        let [nx, ny] = grid.size().map(|n| if mirrored { 2 * n } else { n });
        let fits = [nx, ny].iter().all(|n| n.is_power_of_two() && AXIS_RANGE.contains(n));
        if !fits || matches!(device, Device::Cpu) {
            return None;
        }
        let operator = Operator::of(nx, ny, factors).ok()?;
        Some(Self { device: device.clone(), precision, operator, mirrored })
    }

    /// The precision of the shaders.
    pub fn precision(&self) -> DType {
        self.precision
    }

    /// f of every wave of the periodic grid, and of what happens to it.
    pub fn table(&self, f: impl Fn(Mode, Wave) -> f64) -> Vec<f64> {
        let [kx, ky] = [self.operator.nx, self.operator.ny].map(|n| wavenumbers(n, Edges::Periodic));
        let modes = kx.iter().flat_map(|&kx| ky.iter().map(move |&ky| Mode::new(kx, ky)));
        let phase = |at: usize| self.operator.phase().map_or(Complex::ONE, |phase| phase[at]);
        let log_kernel = self.operator.log_kernel();
        modes
            .enumerate()
            .map(|(at, mode)| f(mode, Wave { log_kernel: log_kernel[at], phase: phase(at) }))
            .collect()
    }

    /// F⁻¹(H·F(x)) of fields `[batch, nx, ny]` with a factor H from [`GpuFilter::table`].
    pub fn filter(&self, factor: &[f64], fields: &[f64]) -> Result<Vec<f64>> {
        let filtered = operators::filter(
            &self.device,
            self.precision,
            &self.operator,
            factor,
            &self.to_periodic(fields),
        )?;
        Ok(self.own_part(filtered))
    }

    /// The damped inverse (method §3) of residuals `[batch, nx, ny]` for signals of amplitude `signal` and
    /// noise of amplitude `noise`, `[batch]`, as [`Grid::amplitudes`] has them.
    pub fn damped_inverse(&self, residual: &[f64], signal: f64, noise: &[f64]) -> Result<Vec<f64>> {
        // The shaders expect a signal of nx in transforms that are not normalised (method §3).
        let normalised = (self.operator.cells() as f64).sqrt();
        let scale = self.operator.nx as f64 / (signal * normalised);
        let scaled: Vec<f64> = self.to_periodic(residual).iter().map(|r| r * scale).collect();
        let sigmas: Vec<f64> = noise.iter().map(|noise| noise * normalised * scale).collect();
        let inverted =
            operators::invert_with_noise(&self.device, self.precision, &self.operator, &sigmas, &scaled)?;
        Ok(self.own_part(inverted.dx.into_iter().map(|dx| dx / scale).collect()))
    }

    fn to_periodic(&self, fields: &[f64]) -> Vec<f64> {
        if !self.mirrored {
            return fields.to_vec();
        }
        let [nx, ny] = [self.operator.nx / 2, self.operator.ny / 2];
        let mut mirrored = Vec::with_capacity(4 * fields.len());
        for field in fields.chunks_exact(nx * ny) {
            for x in (0..nx).chain((0..nx).rev()) {
                let row = &field[x * ny..][..ny];
                mirrored.extend(row.iter().chain(row.iter().rev()));
            }
        }
        mirrored
    }

    fn own_part(&self, fields: Vec<f64>) -> Vec<f64> {
        if !self.mirrored {
            return fields;
        }
        let [nx, ny] = [self.operator.nx / 2, self.operator.ny / 2];
        let own =
            |field: &[f64]| field.chunks_exact(2 * ny).take(nx).flat_map(|row| row[..ny].to_vec()).collect();
        fields.chunks_exact(self.operator.cells()).flat_map(|field| -> Vec<f64> { own(field) }).collect()
    }
}
