//! The power of the waves of fields, ring by ring, and how sure it is.

use crate::restore::measurement::amount::rings::Rings;
use crate::restore::spectral::grid::Grid;

/// The standard deviation of ln V from ring to ring, which no smooth function explains.
const ROUGH: f64 = 0.15;

/// What was measured in every ring, of all fields together.
pub(super) struct Measured {
    /// E, the mean of the waves' squares.
    pub(super) energy: Vec<f64>,
    /// The mean of their fourth powers while fields are added, then half the number of independent waves that
    /// would leave ln E as uncertain as it is.
    pub(super) weight: Vec<f64>,
    fields: f64,
}

impl Measured {
    pub(super) fn new(rings: usize) -> Self {
        Self { energy: vec![0.0; rings], weight: vec![0.0; rings], fields: 0.0 }
    }

    pub(super) fn add(&mut self, grid: &Grid, rings: &Rings, mut field: Vec<f64>) {
        grid.forward(&mut field);
        grid.each_wave(|wave, mode| {
            let (ring, energy) = (rings.ring(mode.squared), field[wave].powi(2));
            self.energy[ring] += energy;
            self.weight[ring] += energy * energy;
        });
        self.fields += 1.0;
    }

    /// `repeats` is by how much a window makes the variance of a mean over waves grow.
    pub(super) fn averaged(mut self, rings: &Rings, repeats: f64) -> Self {
        for ring in 0..rings.waves.len() {
            let waves = rings.waves[ring] * self.fields;
            let energy = self.energy[ring] / waves;
            // The relative variance of one wave's square is 2 where waves are normal, and more where energy
            // gathers along the axes, for instance. That of the ring's mean is a wave's over the number.
            let variance = (self.weight[ring] / waves / energy.powi(2).max(f64::MIN_POSITIVE) - 1.0).max(2.0);
            self.energy[ring] = energy;
            self.weight[ring] = 1.0 / (variance * repeats / waves + ROUGH * ROUGH);
        }
        self
    }
}
