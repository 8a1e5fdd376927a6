//! From per-sample losses to the numbers people read.

use crate::io::tables::metrics::MetricsRow;
use crate::model::Losses;
use std::fmt;

/// Mean, population standard deviation, minimum and maximum; prints as `mean ± std (min...max)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Arithmetic mean.
    pub mean: f64,
    /// Root of the mean squared deviation.
    pub std: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Statistics {
    /// The statistics of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { mean, std: variance.sqrt(), min, max }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.4} ± {:.4} ({:.4}...{:.4})", self.mean, self.std, self.min, self.max)
    }
}

/// Four digits, whatever the magnitude.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || !value.is_finite() => format!("{value}"),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size => format!("{value:.*}", (3 - size.log10().floor() as i32).max(0) as usize),
    }
}

/// The row of `metrics.csv` for one step; `seconds` counts from the start of the training loop.
pub fn row(step: u64, losses: &Losses, seconds: f64) -> MetricsRow {
    let x_l2 = Statistics::of(&losses.x_l2);
    MetricsRow {
        step,
        loss_mean: Statistics::of(&losses.loss).mean,
        x_l2_mean: x_l2.mean,
        x_l2_std: x_l2.std,
        x_l2_min: x_l2.min,
        x_l2_max: x_l2.max,
        y_l2_mean: Statistics::of(&losses.y_l2).mean,
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_print_as_documented() {
        let statistics = Statistics::of(&[1.0, 3.0]);
        assert_eq!(statistics.to_string(), "2.0000 ± 1.0000 (1.0000...3.0000)");
    }

    #[test]
    fn numbers_keep_their_digits_at_every_magnitude() {
        let values = [0.0, 5.6789e-9, 0.012345, 1.0, 22.27039, 213.6672, 4567.89, f64::NAN].map(number);
        assert_eq!(values, ["0", "5.68e-9", "0.01235", "1.000", "22.27", "213.7", "4568", "NaN"]);
    }
}
