//! What observes a field: a linear, shift-invariant operator, which is a table of factors in Fourier space
//! and nothing else (method §2).

pub mod amounts;
pub mod factor;
pub mod formula;
pub mod point_spread;
pub mod tikhonov;
pub mod wave;
pub mod waves;

use crate::model::fourier::Axis;
use crate::model::operator::factor::Factor;
use crate::model::operator::wave::Wave;
use crate::model::operator::waves::Waves;
use crate::{Error, Result};
use num_complex::Complex;
use std::sync::Arc;

/// The smallest and the largest number of cells along an axis; every power of two between them works.
pub const AXIS_RANGE: std::ops::RangeInclusive<usize> = 8..=2048;

/// An operator on a periodic `nx` × `ny` grid of unit cells: y = F⁻¹(H·F(x)) with H = exp(-Λ + iφ).
///
/// H(-k) is the conjugate of H(k), so that real fields stay real. Copies share their tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Cells along the first axis, x.
    pub nx: usize,
    /// Cells along the second, contiguous axis, y.
    pub ny: usize,
    tables: Arc<Tables>,
}

#[derive(Debug, PartialEq)]
struct Tables {
    /// What it is made of; none where somebody else has made the table.
    factors: Vec<Factor>,
    log_kernel: Vec<f64>,
    kernel: Vec<f64>,
    phase: Option<Vec<Complex<f64>>>,
}

impl Operator {
    /// Diffusion by `amount` (diffusivity × time, in cells²) on `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both sides are powers of two in [`AXIS_RANGE`] and the amount is from 0 to
    /// [`MAX_AMOUNT`](factor::MAX_AMOUNT).
    pub fn heat(nx: usize, ny: usize, amount: f64) -> Result<Self> {
        Self::of(nx, ny, &[Factor::heat([amount; 2])?])
    }

    /// The product of these factors; of none, the identity.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both sides are powers of two in [`AXIS_RANGE`], and where a point spread
    /// function is larger than the grid.
    pub fn of(nx: usize, ny: usize, factors: &[Factor]) -> Result<Self> {
        check_size(nx, ny)?;
        let waves = Waves::new(factors, [nx, ny].map(Axis::periodic))?;
        let operator = Self::of_waves(nx, ny, factors, |mode| waves.at(mode / ny, mode % ny));
        // What amplifies so much leaves no digit of anything else in 32 bits.
        match operator.log_kernel().iter().find(|log_kernel| **log_kernel < -MOST_AMPLIFIED) {
            None => Ok(operator),
            Some(log_kernel) => {
                let times = (-log_kernel).exp();
                let what = format!(
                    "operator: amplifies a wave {times:.1e} times; leave factors out, or weaken them"
                );
                Err(Error::usage(what))
            }
        }
    }

    /// The operator with the factor H = `wave`(f) at the frequency f = `[fx, fy]`, in cycles per cell from
    /// -½ to ½. Where H(-f) is not the conjugate of H(f), as at the highest frequencies of a shift by a
    /// part of a cell, the mean of the two is taken.
    ///
    /// # Errors
    /// [`Error::Usage`] unless both sides are powers of two in [`AXIS_RANGE`].
    pub fn with(nx: usize, ny: usize, wave: impl Fn([f64; 2]) -> Wave) -> Result<Self> {
        check_size(nx, ny)?;
        let [x, y] = [nx, ny].map(Axis::periodic);
        let at = |i: usize, j: usize| wave([x.frequency(i), y.frequency(j)]);
        let met = |mode: usize| {
            let (i, j) = (mode / ny, mode % ny);
            at(i, j).meet(&at(x.opposite(i), y.opposite(j)))
        };
        Ok(Self::of_waves(nx, ny, &[], met))
    }

    fn of_waves(nx: usize, ny: usize, factors: &[Factor], wave: impl Fn(usize) -> Wave) -> Self {
        let (mut log_kernel, mut phase) = (Vec::with_capacity(nx * ny), Vec::with_capacity(nx * ny));
        for mode in 0..nx * ny {
            let wave = wave(mode);
            log_kernel.push(wave.log_kernel);
            phase.push(wave.phase);
        }
        let has_phase = phase.iter().any(|phase| *phase != Complex::ONE);
        let tables = Tables {
            factors: factors.to_vec(),
            kernel: log_kernel.iter().map(|log_kernel| (-log_kernel).exp()).collect(),
            log_kernel,
            phase: has_phase.then_some(phase),
        };
        Self { nx, ny, tables: Arc::new(tables) }
    }

    /// What it is made of; nothing where it was made by [`Operator::with`].
    pub fn factors(&self) -> &[Factor] {
        &self.tables.factors
    }

    /// Whether nothing is left of the mean of a field.
    pub fn loses_mean(&self) -> bool {
        self.log_kernel()[0] >= Wave::LOST
    }

    /// The amount of diffusion, in cells², where it is that of the heat equation and the same along both
    /// axes.
    pub fn amount(&self) -> Option<f64> {
        match self.tables.factors[..] {
            [Factor::Heat([x, y])] if x == y => Some(x),
            _ => None,
        }
    }

    /// Short words for tables, such as `a=8`, or `disk`.
    pub fn describe(&self) -> String {
        match (self.amount(), &self.tables.factors[..]) {
            (Some(amount), _) => format!("a={amount}"),
            (None, []) => "of a table".to_owned(),
            (None, factors) => factors.iter().map(Factor::name).collect::<Vec<_>>().join("+"),
        }
    }

    /// Number of cells, N.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }

    /// Λ = -ln|H| for every Fourier mode, `[nx, ny]` in unshifted FFT order. It is negative where the
    /// operator amplifies, and [`Wave::LOST`] where H is zero.
    pub fn log_kernel(&self) -> &[f64] {
        &self.tables.log_kernel
    }

    /// K = |H| = exp(-Λ), the factor by which the operator scales every mode, `[nx, ny]`.
    pub fn kernel(&self) -> &[f64] {
        &self.tables.kernel
    }

    /// exp(iφ) of every mode, `[nx, ny]`; none where H is real and positive everywhere.
    pub fn phase(&self) -> Option<&[Complex<f64>]> {
        self.tables.phase.as_deref()
    }
}

/// The logarithm of the largest factor that an operator may have.
const MOST_AMPLIFIED: f64 = 30.0;

/// Refuses a grid that the operators of training do not work on.
pub fn check_size(nx: usize, ny: usize) -> Result<()> {
    for n in [nx, ny] {
        if !n.is_power_of_two() || !AXIS_RANGE.contains(&n) {
            let inside = n.clamp(*AXIS_RANGE.start(), *AXIS_RANGE.end());
            let (below, above) = (1 << inside.ilog2(), inside.next_power_of_two());
            let nearest = if below == above { format!("{below}") } else { format!("{below} or {above}") };
            return Err(Error::usage(format!(
                "size {nx}x{ny}: each side must be a power of two from {} to {}; {nearest} would do for {n}",
                AXIS_RANGE.start(),
                AXIS_RANGE.end()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_kernel_matches_the_figures_of_the_method() {
        let heat = Operator::heat(64, 64, 8.0).unwrap();
        let log_kernel = heat.log_kernel();
        assert_eq!(log_kernel[0], 0.0);
        assert!((log_kernel[1] - 0.077106).abs() < 1e-6);
        assert!((log_kernel[32 * 64 + 32] - 157.91).abs() < 1e-2);
        assert_eq!(log_kernel[3], log_kernel[64 - 3]);
        assert!(heat.kernel().iter().all(|&k| k > 0.0 && k <= 1.0));
    }

    #[test]
    fn impossible_sizes_name_the_nearest_that_work() {
        let message = Operator::heat(100, 64, 8.0).unwrap_err().to_string();
        assert!(message.contains("64 or 128"), "{message}");
        assert!(Operator::heat(4096, 64, 8.0).is_err());
        assert!(Operator::heat(64, 0, 8.0).is_err());
        assert!(Operator::heat(64, 64, f64::NAN).is_err());
        assert!(Operator::heat(64, 64, -1.0).is_err());
        assert!(Operator::heat(64, 64, 1e307).is_err());
        assert!(Operator::heat(usize::MAX, 64, 8.0).is_err());
    }
}
