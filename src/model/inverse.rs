//! What the damped inverse of an operator goes by (method §3).

use crate::model::{DType, Operator};

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
pub fn expected_amplitude(operator: &Operator) -> Vec<f64> {
    operator.kernel().iter().map(|kernel| operator.nx as f64 * kernel).collect()
}

/// exp(min(Λ, 88)), the inverse of diffusion without regard to noise, `[nx, ny]` (method §3). It is a
/// diagnostic only.
pub fn raw_kernel(operator: &Operator) -> Vec<f64> {
    operator.log_kernel().iter().map(|log_kernel| log_kernel.min(88.0).exp()).collect()
}
