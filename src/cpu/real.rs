//! The scalar of the CPU engine: every stage is generic over [`Real`], f32 for speed and f64 for reference.

use crate::model::DType;
use num_traits::{Float, NumAssign};
use rayon::prelude::*;
use std::fmt::Debug;
use std::iter::Sum;

/// `f32` or `f64`.
pub trait Real: Float + NumAssign + Sum + Send + Sync + Default + Debug + 'static {
    /// Which of the two types this is.
    const PRECISION: DType;

    /// The value nearest to `value`.
    fn of(value: f64) -> Self;

    /// The same value in double precision.
    fn f64(self) -> f64;
}

impl Real for f32 {
    const PRECISION: DType = DType::F32;

    fn of(value: f64) -> Self {
        value as f32
    }

    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    const PRECISION: DType = DType::F64;

    fn of(value: f64) -> Self {
        value
    }

    fn f64(self) -> f64 {
        self
    }
}

/// The nearest values of the other precision.
pub(crate) fn convert<A: Real, B: Real>(from: &[A], to: &mut [B]) {
    to.par_iter_mut().zip(from).with_min_len(4096).for_each(|(b, a)| *b = B::of(a.f64()));
}
