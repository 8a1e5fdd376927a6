//! The spectrum of one observation: what is signal in it, what is noise, and where they meet.

use crate::cpu::reduce::mean;
use crate::restore::blur::Blur;
use crate::restore::measurement::noise::{self, Crossover, NoiseLevel, Source};
use crate::restore::measurement::signal::Signal;
use crate::restore::spectral::rings::Rings;
use std::f64::consts::{PI, SQRT_2};

/// An operator that leaves more than this part of a wave's power takes next to nothing of it.
const KEPT: f64 = 0.5;

/// What one sample tells. Its mean has no part in any of it.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// The mean of the field.
    pub mean: f64,
    /// The standard deviation of its cells.
    pub spread: f64,
    /// The standard deviation of the noise in a cell, and in every wave, that methods reckon with.
    pub noise: f64,
    /// Where that came from.
    pub source: Source,
    /// What the sample itself says of its noise; none where it says nothing.
    pub found: Option<f64>,
    /// The power of the signal.
    pub signal: Signal,
    /// The most power that the signal can have in waves beyond those that stand out of the noise.
    pub bound: f64,
    /// How many waves can be told: Σ S·K²/(S·K² + σ²).
    pub told: f64,
    /// The wavenumber, in radians per cell, from which on the noise covers the signal that the operator has
    /// left, √S·K = σ; none where the signal stands out of it on every wave of the grid.
    ///
    /// Of diffusion, and solved for the wavelength, it is Burgholzer's δ = π·√(amount/ln SNR), the half
    /// wavelength of the shortest wave that can be told, where SNR is the ratio of amplitudes √S/σ in that
    /// wave (J. Appl. Phys. 131, 211101).
    pub cutoff: Option<f64>,
}

/// What all samples of one size share.
pub struct Analyser<'a> {
    blur: &'a Blur,
    rings: Rings,
    /// The mean of K² in every ring.
    kernel2: Vec<f64>,
    /// The same in rings of waves of which the operator leaves about as much: there its noise is looked for,
    /// if it does not leave the less the shorter a wave is.
    by_kernel: Option<(Rings, Vec<f64>)>,
}

impl<'a> Analyser<'a> {
    /// For observations of this diffusion.
    pub fn new(blur: &'a Blur) -> Self {
        let grid = blur.grid();
        let rings = Rings::new(grid);
        let table = blur.table(|_, wave| wave.size().powi(2));
        let kernel2 = rings.means(grid, |wave| table[wave]);
        let by_kernel = (!blur.falls() && grid.cells() > 1).then(|| {
            let rings = Rings::by_log_kernel(grid, &blur.table(|_, wave| wave.log_kernel));
            let kernel2 = rings.means(grid, |wave| table[wave]);
            (rings, kernel2)
        });
        Self { blur, rings, kernel2, by_kernel }
    }

    /// What the sample `y` `[nx, ny]` tells, whose numbers are rounded with this standard deviation.
    pub fn analyse(&self, y: &[f64], level: NoiseLevel, rounding: f64) -> Spectrum {
        let grid = self.blur.grid();
        // Of equal values exactly, lest the last place of their sum pass for waves.
        let mean = if y.iter().all(|v| *v == y[0]) { y[0] } else { mean(y) };
        let mut waves: Vec<f64> = y.iter().map(|v| v - mean).collect();
        grid.forward(&mut waves);
        let energy = self.rings.means(grid, |wave| waves[wave].powi(2));
        let total: f64 = energy.iter().zip(&self.rings.waves).map(|(e, waves)| e * waves).sum();
        let spread = (total / y.len() as f64).sqrt();
        let floor = rounding.hypot(self.blur.rounding() * spread).max(f64::MIN_POSITIVE.sqrt());
        let crossover = noise::crossover(&energy, &self.kernel2);
        let empty = match &self.by_kernel {
            None => of_empty_waves(&self.rings, &energy, &self.kernel2),
            Some((rings, kernel2)) => {
                of_empty_waves(rings, &rings.means(grid, |wave| waves[wave].powi(2)), kernel2)
            }
        };
        let (found, source) = match empty {
            Some(found) => (Some(found), Source::EmptyWaves),
            None => (noise::of_finest_detail(y, grid), Source::FinestDetail),
        };
        let (noise, source_of_noise) = match (level, found) {
            (NoiseLevel::Told(told), _) => (told.hypot(floor), Source::Told),
            (NoiseLevel::Auto, Some(found)) if found > floor => (found, source),
            _ => (floor, Source::Rounding),
        };
        // The finest detail is mostly noise where an operator has taken it away, and signal where it has not.
        let smooths = self.blur.falls() && self.blur.keeps_unit();
        let found = found.filter(|_| smooths || source != Source::FinestDetail);
        let (signal, bound) = match &crossover {
            Some(Crossover { ring, bound }) => {
                let Rings { waves, wavenumber, .. } = &self.rings;
                let power = noise * noise;
                // Where the operator takes next to nothing away, the signal ends before it does.
                let ends = |ring: &usize| self.kernel2[*ring] > KEPT && energy[*ring] <= 2.0 * power;
                let ring = (0..*ring).find(ends).unwrap_or(*ring);
                (Signal::fit(waves, wavenumber, &self.kernel2, &energy, power, ring), *bound)
            }
            None => (Signal::NONE, 0.0),
        };
        let share = |squared: f64, kernel2: f64| {
            let seen = signal.power(squared) * kernel2;
            seen / (seen + noise * noise)
        };
        let of_ring = |ring: usize| share(self.rings.wavenumber[ring].powi(2), self.kernel2[ring]);
        let told = (0..energy.len()).map(|ring| self.rings.waves[ring] * of_ring(ring)).sum();
        let cutoff = match self.blur.falls() {
            true => cutoff(|k| {
                self.blur.radial(k * k).is_some_and(|wave| share(k * k, wave.size().powi(2)) > 0.5)
            }),
            // The first ring beyond all that stand out.
            false => (0..energy.len())
                .rev()
                .find(|&ring| of_ring(ring) > 0.5)
                .map_or_else(|| self.rings.wavenumber.first(), |last| self.rings.wavenumber.get(last + 1))
                .copied(),
        };
        // No wave is longer than the field, back and forth.
        let [nx, ny] = grid.size();
        let cutoff = cutoff.map(|k| k.max(PI / nx.max(ny) as f64));
        Spectrum { mean, spread, noise, source: source_of_noise, found, signal, bound, told, cutoff }
    }
}

/// The standard deviation of the noise, where it is alone in some of these rings.
fn of_empty_waves(rings: &Rings, energy: &[f64], kernel2: &[f64]) -> Option<f64> {
    let crossover = noise::crossover(energy, kernel2)?;
    noise::of_empty_waves(rings, energy, kernel2, &crossover)
}

impl Spectrum {
    /// That of a field without signal and noise.
    pub const NOTHING: Self = Self {
        mean: 0.0,
        spread: 0.0,
        noise: 0.0,
        source: Source::Rounding,
        found: None,
        signal: Signal::NONE,
        bound: 0.0,
        told: 0.0,
        cutoff: None,
    };

    /// The same of a field whose values are multiplied by `scale` and then moved by `mean`.
    pub(in crate::restore) fn in_units(mut self, mean: f64, scale: f64) -> Self {
        self.mean = self.mean * scale + mean;
        self.spread *= scale;
        self.noise *= scale;
        self.found = self.found.map(|found| found * scale);
        self.signal.height *= scale * scale;
        self.bound *= scale * scale;
        self
    }

    /// The energy Σ(y - P(x))² that a restoration of `cells` cells leaves where it fits the waves that can be
    /// told, and nothing else.
    pub fn unexplained(&self, cells: usize) -> f64 {
        self.noise * self.noise * (cells as f64 - self.told).max(0.0)
    }
}

/// The wavenumber up to which something stands out, along the longest waves that a grid has at most.
fn cutoff(stands_out: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = (1e-6, SQRT_2 * PI);
    if stands_out(high) {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if stands_out(middle) { low = middle } else { high = middle }
    }
    Some(low)
}
