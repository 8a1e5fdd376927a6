//! Gaussian noise on observations.

use crate::model::rng::{Purpose, Random};
use crate::{Error, Result};
use std::f64::consts::TAU;

/// Independent normal numbers of mean 0 and standard deviation `std`, in units of the field, for the `cells`
/// of one sample. Their stream is keyed by (purpose, seed, step, sample), so that any sample can be drawn
/// again alone. They are rounded to 32 bits, which every engine holds exactly.
pub fn draw(purpose: Purpose, seed: u64, step: u64, sample: u64, cells: usize, std: f64) -> Vec<f64> {
    let mut random = Random::new(purpose, seed, step, sample);
    let pairs = (0..cells.div_ceil(2)).flat_map(|_| {
        // Box and Muller make two normal numbers from two uniform ones. 1 - u lies in (0, 1]: its logarithm
        // is finite.
        let radius = std * (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
        let (sin, cos) = (TAU * random.uniform()).sin_cos();
        [radius * cos, radius * sin]
    });
    pairs.take(cells).map(|n| f64::from(n as f32)).collect()
}

/// Refuses a noise that is no standard deviation.
pub fn check(noise: f64) -> Result<()> {
    if noise >= 0.0 && noise.is_finite() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "noise {noise}: the standard deviation of a cell's noise, a number from 0 (nothing but rounding)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_moments_of_a_normal_distribution() {
        let noise = draw(Purpose::Cases, 3, 0, 0, 100_000, 0.5);
        let moment = |power: i32| noise.iter().map(|n| (n / 0.5).powi(power)).sum::<f64>() / 1e5;
        for (power, expected) in [(1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)] {
            assert!((moment(power) - expected).abs() < 0.05, "{power}: {}", moment(power));
        }
        assert!(noise.iter().all(|&n| f64::from(n as f32) == n));
        let neighbours = noise.windows(2).map(|n| n[0] * n[1]).sum::<f64>() / 0.25 / 1e5;
        assert!(neighbours.abs() < 0.02, "{neighbours}");
    }

    #[test]
    fn an_odd_number_of_cells_is_drawn_too_and_samples_differ() {
        let [a, b] = [0, 1].map(|sample| draw(Purpose::Cases, 3, 0, sample, 7, 1.0));
        assert_eq!(a.len(), 7);
        assert_ne!(a, b);
        assert_eq!(a, draw(Purpose::Cases, 3, 0, 0, 7, 1.0));
    }
}
