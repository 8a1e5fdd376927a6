//! How large the noise of a measurement is.
//!
//! Diffusion leaves no signal in short waves: what is found there is noise. Noise need not be white (JPEG
//! leaves little in the shortest waves, much in longer ones), and what counts is its level where signal and
//! noise meet. So it is taken from the first waves that are empty, not from all.
//!
//! Which are empty follows from one assumption, that signals have less power in shorter waves. Then the power
//! E/K² of any ring bounds the signal in all shorter waves, and the ring with the least, at which the noise
//! takes over, bounds it best.

use crate::model::DType;
use crate::restore::spectral::grid::Grid;
use crate::restore::spectral::rings::Rings;

/// What is known of the noise beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum NoiseLevel {
    /// Its standard deviation in a cell; what rounding adds is put on top.
    Told(f64),
    /// Nothing: it is estimated for every sample.
    #[default]
    Auto,
}

/// Where a noise level came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It was told.
    Told,
    /// The power in waves that diffusion leaves empty.
    EmptyWaves,
    /// The median of the finest detail, where no wave is empty: diffusion is too weak for that.
    FinestDetail,
    /// The rounding of the numbers, which is more than what was found.
    Rounding,
}

impl Source {
    /// In a sentence: "noise 1e-3 (…)".
    pub fn describe(self) -> &'static str {
        match self {
            Self::Told => "as told, with rounding",
            Self::EmptyWaves => "from waves that were left empty",
            Self::FinestDetail => "from the finest detail",
            Self::Rounding => "that of rounding",
        }
    }
}

/// A ring counts as empty where the signal can have at most this part of its power.
const EMPTY: f64 = 0.1;

/// The noise is the mean over the first empty rings that hold at least this many waves.
const ENOUGH: f64 = 150.0;

/// With fewer empty waves than this there is no estimate.
const TOO_FEW: f64 = 20.0;

/// Where signal gives way to noise in the power E of every ring, and K² in it.
pub(in crate::restore) struct Crossover {
    /// The ring with the least E/K².
    pub(in crate::restore) ring: usize,
    /// That least E/K²: the most power that the signal has in shorter waves.
    pub(in crate::restore) bound: f64,
}

/// None where there are no rings.
pub(in crate::restore) fn crossover(energy: &[f64], kernel2: &[f64]) -> Option<Crossover> {
    let power = |ring: usize| energy[ring] / kernel2[ring].max(f64::MIN_POSITIVE);
    let ring = (0..energy.len()).min_by(|&a, &b| power(a).total_cmp(&power(b)))?;
    Some(Crossover { ring, bound: power(ring) })
}

/// The standard deviation of the noise just above the crossover; none where too few waves are empty.
pub(in crate::restore) fn of_empty_waves(
    rings: &Rings,
    energy: &[f64],
    kernel2: &[f64],
    crossover: &Crossover,
) -> Option<f64> {
    let signal = |ring: usize| crossover.bound * kernel2[ring];
    let is_empty = |ring: &usize| signal(*ring) <= EMPTY * energy[*ring];
    // A ring may hold little by chance: none is empty before the last one that is not.
    let first = (0..rings.count()).rev().find(|ring| !is_empty(ring)).map_or(0, |last| last + 1);
    let (mut waves, mut sum) = (0.0, 0.0);
    for ring in first..rings.count() {
        waves += rings.waves[ring];
        sum += rings.waves[ring] * (energy[ring] - signal(ring));
        if waves >= ENOUGH {
            break;
        }
    }
    (waves >= TOO_FEW).then(|| (sum / waves).sqrt())
}

/// The median of the finest detail over 0.6745, which is the standard deviation of normal noise: of
/// (a - b - c + d)/2 in blocks of two by two cells, or of (a - b)/√2 where a field has one row.
pub(in crate::restore) fn of_finest_detail(field: &[f64], grid: &Grid) -> Option<f64> {
    let [nx, ny] = grid.size();
    let mut details: Vec<f64> = if nx > 1 && ny > 1 {
        let blocks = (0..nx / 2).flat_map(|i| (0..ny / 2).map(move |j| 2 * i * ny + 2 * j));
        blocks
            .map(|at| 0.5 * (field[at] - field[at + 1] - field[at + ny] + field[at + ny + 1]).abs())
            .collect()
    } else {
        field
            .chunks_exact(2)
            .map(|pair| (pair[0] - pair[1]).abs() * std::f64::consts::FRAC_1_SQRT_2)
            .collect()
    };
    let middle = details.len() / 2;
    (!details.is_empty()).then(|| *details.select_nth_unstable_by(middle, f64::total_cmp).1 / 0.6745)
}

/// The standard deviation of what rounding to the numbers' own precision leaves uncertain in a cell: the root
/// mean square of a last place over √12.
pub fn rounding_of_floats(values: &[f64], precision: DType) -> f64 {
    let bits = match precision {
        DType::F16 => 11,
        DType::F32 => 24,
        DType::F64 => 53,
    };
    let last_place =
        |v: f64| if v == 0.0 { 0.0 } else { 2f64.powi(v.abs().log2().floor() as i32 + 1 - bits) };
    // In units of the largest, whose square may be no number. These are powers of two, so no bit is lost.
    let largest = values.iter().map(|&v| last_place(v)).fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    let sum: f64 = values.iter().map(|&v| (last_place(v) / largest).powi(2)).sum();
    largest * (sum / values.len() as f64 / 12.0).sqrt()
}

/// Rounding leaves this part of an observation's norm uncertain in training on observations: that of 32-bit
/// files, or of 32-bit transforms.
pub fn relative_rounding(precision: DType) -> f64 {
    match precision {
        DType::F64 => 1e-7,
        DType::F16 | DType::F32 => 3e-7,
    }
}
