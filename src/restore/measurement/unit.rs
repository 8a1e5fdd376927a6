//! The unit that a sample is worked on in.

use crate::cpu::reduce::mean;

/// The zero and the unit that a sample's values are measured in while it is restored.
#[derive(Clone, Copy)]
pub(in crate::restore) struct Unit {
    pub(in crate::restore) mean: f64,
    /// A power of two, so that it rounds nothing.
    pub(in crate::restore) scale: f64,
}

impl Unit {
    pub(in crate::restore) fn of(y: &[f64]) -> Self {
        let mean = mean(y);
        let largest = y.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
        let scale = if largest > 0.0 { 2f64.powi(largest.log2().floor().max(-1000.0) as i32) } else { 1.0 };
        Self { mean, scale }
    }

    pub(in crate::restore) fn normalised(&self, y: &[f64]) -> Vec<f64> {
        y.iter().map(|v| (v - self.mean) / self.scale).collect()
    }

    /// Where the observation's own zero lies.
    pub(in crate::restore) fn zero(&self) -> f64 {
        -self.mean / self.scale
    }
}
