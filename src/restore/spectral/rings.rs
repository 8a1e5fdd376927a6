//! Waves of about the same length, or of which an operator leaves about as much, taken together: the spectrum
//! of one field, averaged over them.

use crate::restore::spectral::grid::{Grid, Mode};
use std::f64::consts::{PI, SQRT_2};

/// Steps of the wavenumber before rings are made of them.
const FINE: usize = 1024;

/// An operator leaves nothing of a wave whose Λ is larger by this much than the least.
const NOTHING_LEFT: f64 = 30.0;

/// A ring is at least this many steps wide, so that there are at most 64 of them...
const WIDTH: usize = FINE / 64;

/// ...and holds at least this many waves: the mean of their squares is then good to a factor of 1.4.
const FEWEST: usize = 12;

/// The waves of a grid in rings. The mean of the field is in none of them.
#[derive(Clone, Debug)]
pub struct Rings {
    /// The ring of every step.
    of_step: Vec<usize>,
    /// The step of every wave; none: that of its wavenumber.
    steps: Option<Vec<u16>>,
    /// Waves in each ring.
    pub waves: Vec<f64>,
    /// The root mean square of the wavenumber in each ring, in radians per cell.
    pub wavenumber: Vec<f64>,
}

impl Rings {
    /// The rings of a grid, by wavenumber; none for a field of one cell.
    pub fn new(grid: &Grid) -> Self {
        Self::by(grid, None)
    }

    /// The waves of a grid by what an operator leaves of them, exp(-Λ), from most to least: the rings of an
    /// operator that does other things in other directions.
    pub fn by_log_kernel(grid: &Grid, log_kernel: &[f64]) -> Self {
        let low = log_kernel[1..].iter().copied().fold(f64::INFINITY, f64::min);
        let high = log_kernel[1..].iter().copied().fold(f64::NEG_INFINITY, f64::max).min(low + NOTHING_LEFT);
        let width = (high - low).max(f64::MIN_POSITIVE);
        let step =
            |log_kernel: &f64| (((log_kernel - low) / width * FINE as f64) as usize).min(FINE - 1) as u16;
        Self::by(grid, Some(log_kernel.iter().map(step).collect()))
    }

    fn by(grid: &Grid, of_waves: Option<Vec<u16>>) -> Self {
        let mut steps = vec![(0usize, 0.0); FINE];
        grid.each_wave(|wave, mode| {
            let step = &mut steps[of_waves.as_ref().map_or_else(|| step(mode), |of| of[wave].into())];
            *step = (step.0 + 1, step.1 + mode.squared);
        });
        let mut rings =
            Self { of_step: Vec::new(), steps: of_waves, waves: Vec::new(), wavenumber: Vec::new() };
        let (mut width, mut waves, mut squares) = (0, 0, 0.0);
        for (number, (count, sum)) in steps.into_iter().enumerate() {
            (width, waves, squares) = (width + 1, waves + count, squares + sum);
            rings.of_step.push(rings.waves.len());
            if (width >= WIDTH && waves >= FEWEST) || (number + 1 == FINE && waves > 0) {
                rings.waves.push(waves as f64);
                rings.wavenumber.push((squares / waves as f64).sqrt());
                (width, waves, squares) = (0, 0, 0.0);
            }
        }
        // What is left behind the last ring belongs to it.
        let last = rings.waves.len().saturating_sub(1);
        rings.of_step.iter_mut().for_each(|ring| *ring = (*ring).min(last));
        rings
    }

    /// Rings.
    pub fn count(&self) -> usize {
        self.waves.len()
    }

    /// The mean over every ring of a number for each wave, `[nx, ny]`.
    pub fn means(&self, grid: &Grid, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.count()];
        let step = |wave: usize, mode| self.steps.as_ref().map_or_else(|| step(mode), |of| of[wave].into());
        grid.each_wave(|wave, mode| sums[self.of_step[step(wave, mode)]] += of(wave));
        sums.iter().zip(&self.waves).map(|(sum, waves)| sum / waves).collect()
    }
}

fn step(mode: Mode) -> usize {
    ((mode.squared.sqrt() / (SQRT_2 * PI) * FINE as f64) as usize).min(FINE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::spectral::grid::Edges;

    #[test]
    fn every_wave_but_the_mean_is_in_one_ring() {
        for edges in [Edges::Periodic, Edges::Insulated] {
            for (nx, ny) in [(1, 1), (1, 2), (3, 3), (64, 64), (200, 31)] {
                let grid = Grid::new(nx, ny, edges).unwrap();
                let rings = Rings::new(&grid);
                assert_eq!(rings.waves.iter().sum::<f64>(), (nx * ny - 1) as f64);
                assert!(rings.wavenumber.windows(2).all(|k| k[0] < k[1]));
                let means = rings.means(&grid, |wave| if wave == 0 { f64::NAN } else { 2.0 });
                assert!(means.iter().all(|&mean| mean == 2.0), "{means:?}");
                assert!(rings.count() <= 64);
            }
        }
    }
}
