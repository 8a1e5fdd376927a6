//! A network sees observations at the scale that it was trained at, whatever their unit.
//!
//! Diffusion is linear and keeps the mean, so x may be measured in any unit and from any zero. A network
//! knows one of each. An observation is moved and stretched to the mean and the spread of those that the
//! network has learned from, and the prediction back: a constant that is added to the observation is added
//! to the prediction, and a positive factor multiplies it.

use crate::cpu::reduce::mean;
use crate::model::TrainedFor;

/// Observations `[batch, cells]` in their own units, which a network is to see in its own.
pub struct AtScale<'a> {
    scale: &'a TrainedFor,
    cells: usize,
    /// The mean and the spread of every observation.
    units: Vec<(f64, f64)>,
}

impl<'a> AtScale<'a> {
    /// For observations y `[batch, cells]` and a network that was trained for `scale`. None for one that does
    /// not say so, and for other operators than diffusion, which need not leave a constant as it is: such a
    /// network sees them as they are.
    pub fn new(scale: Option<&'a TrainedFor>, y: &[f64], cells: usize) -> Option<Self> {
        let scale = scale.filter(|scale| scale.spread > 0.0 && scale.amount.is_some())?;
        Some(Self { scale, cells, units: y.chunks_exact(cells).map(unit).collect() })
    }

    /// What the network sees of these observations, or of what a filter that leaves means has made of them.
    pub fn seen(&self, y: &[f64]) -> Vec<f64> {
        let Self { scale, cells, units } = self;
        let fields = y.chunks_exact(*cells).zip(units);
        let seen = fields.flat_map(|(y, (mean, spread))| {
            y.iter().map(move |v| (v - mean) / spread * scale.spread + scale.mean)
        });
        seen.collect()
    }

    /// Takes its predictions back into the units of the observations.
    pub fn back(&self, x: &mut [f64]) {
        let Self { scale, cells, units } = self;
        for (x, (mean, spread)) in x.chunks_exact_mut(*cells).zip(units) {
            x.iter_mut().for_each(|v| *v = (*v - scale.mean) / scale.spread * spread + mean);
        }
    }
}

/// The mean and the standard deviation of a field; 1 instead of 0 where it is constant.
fn unit(y: &[f64]) -> (f64, f64) {
    let mean = mean(y);
    // By the largest deviation first, so that no square overflows or vanishes.
    let largest = y.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return (mean, 1.0);
    }
    let squares: f64 = y.iter().map(|v| ((v - mean) / largest).powi(2)).sum();
    (mean, largest * (squares / y.len() as f64).sqrt())
}
