//! The heat equation on a periodic grid of unit cells, as a filter in Fourier space (method §2 and §3).

use crate::model::DType;
use crate::model::fourier::frequency;
use crate::{Error, Result};
use std::f64::consts::PI;

/// Relative uncertainty of an observation, as the reference system has it: 1e-6 rounded to f32 (method §3).
pub const UNCERTAINTY: f64 = 1e-6_f32 as f64;

/// Up to this signal probability, inclusive, a Fourier mode counts as noise and is damped (method §3).
pub const DAMP_BELOW: f64 = 0.5;

/// From this signal probability on, inclusive, a Fourier mode is inverted (method §3).
pub const INVERT_ABOVE: f64 = 0.68;

/// When a mode of the noise is weighed against the signal, it is amplified by at most the exponential of this
/// number. That is far more than any mode that is inverted needs (Λ < ln(nx/σ)), and its square is finite in
/// 32 bits.
pub const AMPLIFICATION_LIMIT: f64 = 30.0;

/// Beyond this x, exp(-x) underflows to zero in f64, and the reference drops the signal likelihood
/// (method §3b).
pub const UNDERFLOW: f64 = 745.13;

/// The largest amount of diffusion, in cells². It leaves nothing but the mean of a field on any grid, and Λ
/// is still small enough for 32 bits.
pub const MAX_AMOUNT: f64 = 1e6;

/// The smallest and the largest number of cells along an axis; every power of two between them works.
pub const AXIS_RANGE: std::ops::RangeInclusive<usize> = 8..=2048;

/// Diffusion by `amount` (diffusivity × time, in cells²) on a periodic `nx` × `ny` grid of unit cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeatEquation {
    /// Cells along the first axis, x.
    pub nx: usize,
    /// Cells along the second, contiguous axis, y.
    pub ny: usize,
    /// Diffusivity × time in cells², at least 0.
    pub amount: f64,
}

impl HeatEquation {
    /// Diffusion by `amount` cells² on `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both sides are powers of two in [`AXIS_RANGE`] and the amount is from 0 to
    /// [`MAX_AMOUNT`].
    pub fn new(nx: usize, ny: usize, amount: f64) -> Result<Self> {
        for n in [nx, ny] {
            if !n.is_power_of_two() || !AXIS_RANGE.contains(&n) {
                let inside = n.clamp(*AXIS_RANGE.start(), *AXIS_RANGE.end());
                let (below, above) = (1 << inside.ilog2(), inside.next_power_of_two());
                let nearest = if below == above { format!("{below}") } else { format!("{below} or {above}") };
                return Err(Error::usage(format!(
                    "size {nx}x{ny}: each side must be a power of two from {} to {}; \
                     {nearest} would do for {n}",
                    AXIS_RANGE.start(),
                    AXIS_RANGE.end()
                )));
            }
        }
        Self::check_amount(amount)?;
        Ok(Self { nx, ny, amount })
    }

    /// Refuses an amount that is not from 0 to [`MAX_AMOUNT`].
    pub fn check_amount(amount: f64) -> Result<()> {
        if (0.0..=MAX_AMOUNT).contains(&amount) {
            return Ok(());
        }
        Err(Error::usage(format!("amount {amount}: must be a number from 0 to {MAX_AMOUNT:.0} (in cells²)")))
    }

    /// Number of cells, N.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }

    /// Λ = (2π)²·amount·(f_x² + f_y²) ≥ 0 for every Fourier mode, `[nx, ny]` in unshifted FFT order
    /// (method §2).
    pub fn log_kernel(&self) -> Vec<f64> {
        let scale = (2.0 * PI).powi(2) * self.amount;
        let mut table = Vec::with_capacity(self.cells());
        for kx in 0..self.nx {
            let fx = frequency(kx, self.nx);
            for ky in 0..self.ny {
                let fy = frequency(ky, self.ny);
                table.push(scale * (fx * fx + fy * fy));
            }
        }
        table
    }

    /// K = exp(-Λ), the factor by which diffusion shrinks every mode, `[nx, ny]` (method §2).
    pub fn kernel(&self) -> Vec<f64> {
        self.log_kernel().into_iter().map(|log_kernel| (-log_kernel).exp()).collect()
    }
}

/// The largest exponent that is passed to an exponential in this precision: exp of it is finite, and exp of
/// its negative is not zero.
pub fn exponent_limit(precision: DType) -> f64 {
    match precision {
        DType::F16 | DType::F32 => 80.0,
        DType::F64 => 700.0,
    }
}

/// nx·exp(-Λ), the amplitude that the reference expects of a signal in every mode of a residual, `[nx, ny]`.
/// Only the length of the first axis enters, even where the grid is not square (method §3).
pub fn expected_amplitude(heat: &HeatEquation) -> Vec<f64> {
    heat.kernel().into_iter().map(|kernel| heat.nx as f64 * kernel).collect()
}

/// exp(min(Λ, 88)), the inverse of diffusion without regard to noise, `[nx, ny]` (method §3). It is a
/// diagnostic only.
pub fn raw_kernel(heat: &HeatEquation) -> Vec<f64> {
    heat.log_kernel().into_iter().map(|log_kernel| log_kernel.min(88.0).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_kernel_matches_the_figures_of_the_method() {
        let heat = HeatEquation::new(64, 64, 8.0).unwrap();
        let log_kernel = heat.log_kernel();
        assert_eq!(log_kernel[0], 0.0);
        assert!((log_kernel[1] - 0.077106).abs() < 1e-6);
        assert!((log_kernel[32 * 64 + 32] - 157.91).abs() < 1e-2);
        assert_eq!(log_kernel[3], log_kernel[64 - 3]);
        assert!(heat.kernel().iter().all(|&k| k > 0.0 && k <= 1.0));
    }

    #[test]
    fn impossible_sizes_name_the_nearest_that_work() {
        let message = HeatEquation::new(100, 64, 8.0).unwrap_err().to_string();
        assert!(message.contains("64 or 128"), "{message}");
        assert!(HeatEquation::new(4096, 64, 8.0).is_err());
        assert!(HeatEquation::new(64, 0, 8.0).is_err());
        assert!(HeatEquation::new(64, 64, f64::NAN).is_err());
        assert!(HeatEquation::new(64, 64, -1.0).is_err());
        assert!(HeatEquation::new(64, 64, 1e307).is_err());
        assert!(HeatEquation::new(usize::MAX, 64, 8.0).is_err());
    }
}
