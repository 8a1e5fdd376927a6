//! A model of what was measured: power that falls with the wavenumber, S(k) = height·k^−slope.
//!
//! It says what an inverse may expect in waves that the noise covers. It is fitted to the power of every
//! ring, V = S·K² + σ², by maximum likelihood: waves of normal height have −2·log p = log V + E/V each.

/// Steeper falls are not told apart: nothing is left to restore.
const STEEPEST: f64 = 10.0;

/// Rings of less than this part of the crossover's wavenumber say nothing about the waves that matter.
const FROM: f64 = 0.25;

/// The power of a signal's waves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// The power at k = 1 radian per cell.
    pub height: f64,
    /// How it falls.
    pub slope: f64,
}

impl Signal {
    /// No signal at all.
    pub const NONE: Self = Self { height: 0.0, slope: 0.0 };

    /// S of a wave with |k|² = `squared`.
    pub fn power(&self, squared: f64) -> f64 {
        if self.height == 0.0 { 0.0 } else { self.height * squared.powf(-0.5 * self.slope) }
    }

    /// The model that explains the `energy` of rings best: of so many `waves`, at a `wavenumber`, where
    /// diffusion leaves the part `kernel2` of the power, with noise of power `noise` on top.
    pub(in crate::restore) fn fit(
        waves: &[f64],
        wavenumber: &[f64],
        kernel2: &[f64],
        energy: &[f64],
        noise: f64,
        crossover: usize,
    ) -> Self {
        let from = FROM * wavenumber[crossover];
        let rings: Vec<usize> = (0..waves.len()).filter(|&ring| wavenumber[ring] >= from).collect();
        let mut best = (f64::INFINITY, Self::NONE);
        for slope in (0..=40).map(|step| STEEPEST * f64::from(step) / 40.0) {
            // Powers once per slope: one logarithm per ring and height is what the search costs.
            let unit = Self { height: 1.0, slope };
            let left = |&ring: &usize| unit.power(wavenumber[ring].powi(2)) * kernel2[ring];
            let left: Vec<f64> = rings.iter().map(left).collect();
            let cost = |height: f64| -> f64 {
                let of = |(&ring, left): (&usize, &f64)| {
                    let power = height * left + noise;
                    waves[ring] * (power.ln() + energy[ring] / power)
                };
                rings.iter().zip(&left).map(of).sum()
            };
            // Around the least that would explain all power of some ring.
            let explains =
                |(&ring, left): (&usize, &f64)| energy[ring].max(noise) / left.max(f64::MIN_POSITIVE);
            let least = rings.iter().zip(&left).map(explains).fold(f64::INFINITY, f64::min);
            let (low, high) = ((least * 1e-12).ln(), (least * 1e6).ln());
            let height = minimum(low, high, |height| cost(height.exp())).exp();
            let found = cost(height);
            if found < best.0 {
                best = (found, Self { height, slope });
            }
        }
        best.1
    }
}

/// Where a function is least, by a search over the whole range and golden sections around the best place.
fn minimum(low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
    const STEPS: usize = 60;
    let at = |step: usize| low + (high - low) * step as f64 / STEPS as f64;
    let values: Vec<f64> = (0..=STEPS).map(|step| f(at(step))).collect();
    let best = (0..=STEPS).min_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0);
    let (mut low, mut high) = (at(best.saturating_sub(1)), at((best + 1).min(STEPS)));
    let golden = 0.5 * (5f64.sqrt() - 1.0);
    for _ in 0..24 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if f(left) < f(right) { high = right } else { low = left }
    }
    0.5 * (low + high)
}
