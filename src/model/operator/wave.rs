//! What an operator does to one Fourier mode.

use num_complex::Complex;

/// What happens to one Fourier mode: H = exp(-Λ)·exp(iφ).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wave {
    /// Λ = -ln|H|.
    pub log_kernel: f64,
    /// exp(iφ).
    pub phase: Complex<f64>,
}

impl Wave {
    /// Λ of a mode of which nothing is left. Its exponential is zero in every precision, and twice of it is
    /// still small enough for 32 bits.
    pub const LOST: f64 = 1e4;

    /// A mode that stays as it is.
    pub const WHOLE: Self = Self::shrunk(0.0);

    /// A mode that is scaled by exp(-Λ).
    pub const fn shrunk(log_kernel: f64) -> Self {
        Self { log_kernel, phase: Complex::ONE }
    }

    /// A mode that is multiplied by H.
    pub fn of(factor: Complex<f64>) -> Self {
        let size = factor.norm();
        let log_kernel = -size.ln();
        match log_kernel < Self::LOST {
            true if factor.im == 0.0 => Self { log_kernel, phase: factor.re.signum().into() },
            true => Self { log_kernel, phase: factor.unscale(size) },
            false => Self::shrunk(Self::LOST),
        }
    }

    /// |H|, which is 0 where nothing is left.
    pub fn size(self) -> f64 {
        (-self.log_kernel).exp()
    }

    /// Both factors one after the other.
    pub fn times(self, other: Self) -> Self {
        let log_kernel = (self.log_kernel + other.log_kernel).min(Self::LOST);
        Self { log_kernel, phase: self.phase * other.phase }
    }

    /// The mean of H here and the conjugate of H at the opposite mode, which keeps real fields real.
    pub(super) fn meet(&self, opposite: &Self) -> Self {
        if self.log_kernel == opposite.log_kernel && self.phase == opposite.phase.conj() {
            return *self;
        }
        let factor = |wave: &Self| wave.phase.scale((-wave.log_kernel).exp());
        Self::of((factor(self) + factor(opposite).conj()).scale(0.5))
    }
}
