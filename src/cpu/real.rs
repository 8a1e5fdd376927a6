//! The scalar of the CPU engine: every stage is generic over [`Real`], f32 to be fast and f64 to be a reference.

use crate::model::Precision;

/// `f32` or `f64`.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + std::iter::Sum + Send + Sync + Default + std::fmt::Debug + 'static
{
    /// Which of the two.
    const PRECISION: Precision;

    /// The nearest value to `value`.
    fn of(value: f64) -> Self;

    /// The same value in double precision.
    fn f64(self) -> f64;
}

impl Real for f32 {
    const PRECISION: Precision = Precision::F32;

    fn of(value: f64) -> Self {
        value as f32
    }

    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const PRECISION: Precision = Precision::F64;

    fn of(value: f64) -> Self {
        value
    }

    fn f64(self) -> f64 {
        self
    }
}
