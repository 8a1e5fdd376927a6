//! The Tikhonov inverse of an operator, by which a network may be shown what was observed.

use crate::model::Operator;
use crate::model::operator::wave::Wave;
use crate::{Error, Result};

/// What the inverse multiplies a wave with of which the operator leaves `kernel`: K·(1 + λ²)/(K² + λ²). It is
/// 1 where K is 1, so a mean stays, about 1/K where K is far above λ, and at most (1 + λ²)/(2λ).
pub fn gain(kernel: f64, lambda: f64) -> f64 {
    let damping = lambda * lambda;
    kernel * (1.0 + damping) / (kernel * kernel + damping)
}

/// The λ that are possible: with a smaller one rounding is all that is seen, and with a larger one nothing is
/// inverted.
pub const RANGE: std::ops::RangeInclusive<f64> = 1e-8..=1.0;

/// Refuses an impossible λ.
///
/// # Errors
/// [`Error::Usage`], which says what is possible.
pub fn check(lambda: f64) -> Result<()> {
    if RANGE.contains(&lambda) {
        return Ok(());
    }
    let (low, high) = (RANGE.start(), RANGE.end());
    Err(Error::usage(format!("tikhonov {lambda}: must be a number from {low:e} to {high}")))
}

impl Operator {
    /// The Tikhonov inverse with a λ in [`RANGE`], an operator itself: waves are scaled by [`gain`] and
    /// turned back. It is made of no factors.
    pub fn tikhonov(&self, lambda: f64) -> Self {
        let wave = |mode: usize| Wave {
            log_kernel: (-gain(self.kernel()[mode], lambda).ln()).min(Wave::LOST),
            phase: self.phase().map_or(Wave::WHOLE.phase, |phase| phase[mode].conj()),
        };
        Self::of_waves(self.nx, self.ny, &[], wave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::factor::Factor;

    #[test]
    fn strong_waves_are_inverted_and_weak_ones_are_not() {
        let heat = Operator::heat(64, 64, 8.0).unwrap();
        let inverse = heat.tikhonov(1e-3);
        assert_eq!(inverse.kernel()[0], 1.0);
        for (kernel, back) in heat.kernel().iter().zip(inverse.kernel()) {
            match kernel {
                0.1.. => assert!((kernel * back - 1.0).abs() < 2e-4),
                ..1e-5 => assert!(*back < 11.0),
                _ => assert!(*back <= 501.0),
            }
        }
    }

    #[test]
    fn impossible_lambdas_are_refused() {
        for lambda in [0.0, -0.01, 1e-300, 1e-9, 1.1, 1e200, f64::NAN, f64::INFINITY] {
            let said = check(lambda).unwrap_err().to_string();
            assert!(said.contains("must be a number from 1e-8 to 1"), "{said}");
        }
        // What is possible leaves every wave finite, whatever is left of it.
        for (lambda, kernel) in [1e-8, 3e-5, 1.0].into_iter().flat_map(|l| [(l, 0.0), (l, 1e-300), (l, 1e13)])
        {
            assert!(check(lambda).is_ok() && gain(kernel, lambda).is_finite(), "{lambda} {kernel}");
        }
    }

    #[test]
    fn what_was_moved_is_moved_back_and_what_is_lost_stays_lost() {
        let moved = Operator::of(16, 16, &[Factor::Advection([1.0, 3.0])]).unwrap();
        let back = moved.tikhonov(0.5);
        let both = moved.phase().unwrap().iter().zip(back.phase().unwrap()).map(|(a, b)| a * b);
        assert!(both.into_iter().all(|product| (product - 1.0).norm() < 1e-12));
        let poisson = Operator::of(16, 16, &[Factor::Poisson]).unwrap();
        assert!(poisson.loses_mean() && poisson.tikhonov(0.1).loses_mean());
    }
}
