//! Rings of waves that are as narrow for large amounts, which leave only long waves, as for small ones.

use crate::restore::spectral::grid::Grid;
use std::f64::consts::{PI, SQRT_2};

/// Steps of the wavenumber before rings are made of them.
const FINE: usize = 8192;

/// A ring's upper wavenumber is at least this multiple of its lower one...
const GROWTH: f64 = 1.07;

/// ...and it holds at least this many waves.
const FEWEST: f64 = 12.0;

/// Rings of growing wavenumber, as narrow for large amounts, which leave only long waves, as for small ones.
pub(super) struct Rings {
    /// The ring of every fine step of the wavenumber.
    of_step: Vec<usize>,
    pub(super) waves: Vec<f64>,
    /// ln of the root mean square of the wavenumber in each ring.
    pub(super) log_k: Vec<f64>,
    /// The steps that hold waves: their ring, their waves and the mean of |k|² in them.
    steps: Vec<(usize, f64, f64)>,
}

impl Rings {
    pub(super) fn new(grid: &Grid) -> Self {
        let mut found = vec![(0.0, 0.0); FINE];
        grid.each_wave(|_, mode| {
            let step = &mut found[step(mode.squared)];
            *step = (step.0 + 1.0, step.1 + mode.squared);
        });
        let mut of_step = Vec::with_capacity(FINE);
        let (mut ring, mut waves, mut first) = (0usize, 0.0, None);
        for (number, &(count, _)) in found.iter().enumerate() {
            of_step.push(ring);
            waves += count;
            if count > 0.0 {
                first.get_or_insert(number);
            }
            if first.is_some_and(|first| (number + 1) as f64 >= GROWTH * first as f64) && waves >= FEWEST {
                (ring, waves, first) = (ring + 1, 0.0, None);
            }
        }
        // What is left behind the last ring belongs to it.
        let last = if waves < FEWEST { ring.saturating_sub(1) } else { ring };
        of_step.iter_mut().for_each(|ring| *ring = (*ring).min(last));
        let steps: Vec<_> = (0..FINE)
            .filter(|&step| found[step].0 > 0.0)
            .map(|step| (of_step[step], found[step].0, found[step].1 / found[step].0))
            .collect();
        let (mut waves, mut squares) = (vec![0.0; last + 1], vec![0.0; last + 1]);
        for &(ring, count, squared) in &steps {
            waves[ring] += count;
            squares[ring] += count * squared;
        }
        // Only a field of one cell has an empty ring, and that is too small.
        let log_k = squares.iter().zip(&waves).map(|(sum, waves)| 0.5 * (sum / waves).ln()).collect();
        Self { of_step, waves, log_k, steps }
    }

    /// ln of the mean of K² = exp(−2a·|k|²) in every ring.
    pub(super) fn log_kernel2(&self, amount: f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.waves.len()];
        for &(ring, waves, squared) in &self.steps {
            sums[ring] += waves * (-2.0 * amount * squared).exp();
        }
        sums.iter().zip(&self.waves).map(|(sum, waves)| (sum / waves).max(1e-300).ln()).collect()
    }

    /// The ring of a wave with |k|² = `squared`.
    pub(super) fn ring(&self, squared: f64) -> usize {
        self.of_step[step(squared)]
    }
}

fn step(squared: f64) -> usize {
    ((squared.sqrt() / (SQRT_2 * PI) * FINE as f64) as usize).min(FINE - 1)
}
