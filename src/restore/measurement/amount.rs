//! How much diffusion lies behind an observation, from its spectrum.
//!
//! The power of a ring of waves is V = S·K² + σ² with K² = exp(−2a·|k|²): an amount a bends ln V down by
//! 2a·|k|², ever more steeply, as few fields do by themselves. What S is nobody knows, but something is known
//! of it: pictures of things have S ~ k^−s with a slope s near 3 that wanders along the spectrum. So S is a
//! random function here, the slope a stationary process in ln k, and the amount is what remains likely after
//! all such functions, and all noise levels, have been averaged over: the marginal likelihood, by Laplace's
//! method. A range by the likelihood of one power law would be far too narrow.
//!
//! The constants were calibrated on random rectangles and photographs, diffused by 0.5 to 32 cells², with
//! noise up to 0.01 of the values' range and with values rounded to 8 bits. Of 1200 observations of
//! other rectangles and other pieces of those photographs 818 were answered, and 95 % of the ranges held the
//! truth.

use crate::restore::measurement::dense::Matrix;
use crate::restore::measurement::noise::{NoiseLevel, check_noise};
use crate::restore::measurement::unit::Unit;
use crate::restore::spectral::grid::{Grid, Mode};
use crate::{Error, Result};
use std::f64::consts::{PI, SQRT_2};

/// An amount of diffusion, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Diffusivity × time in cells², above 0.
    pub amount: f64,
    /// The lower end of a range that holds the truth in about 95 of 100 cases like those it was calibrated
    /// on, in cells², above 0.
    pub low: f64,
    /// The upper end of that range, in cells², at most 2.2 times the lower end plus 0.25.
    pub high: f64,
}

/// Steps of the wavenumber before rings are made of them.
const FINE: usize = 8192;

/// A ring's upper wavenumber is at least this multiple of its lower one...
const GROWTH: f64 = 1.07;

/// ...and it holds at least this many waves.
const FEWEST: f64 = 12.0;

/// Fewer rings than this tell nothing.
const FEWEST_RINGS: usize = 8;

/// S is a function of ln k that is linear between knots this far apart.
const KNOTS: f64 = 0.3;

/// The mean of the slope s of S ~ k^−s, the standard deviation of its mean over the spectrum, and the
/// standard deviation and length, in ln k, of its way around that.
const SLOPE: f64 = 2.9;
const SLOPE_OF_ALL: f64 = 0.3;
const SLOPE_ALONG: f64 = 0.8;
const SLOPE_LENGTH: f64 = 0.8;

/// The standard deviation and the length, in ln k, of smooth humps in ln S.
const HUMP: f64 = 0.2;
const HUMP_LENGTH: f64 = 0.4;

/// The standard deviation of ln V from ring to ring, which no smooth function explains.
const ROUGH: f64 = 0.15;

/// The standard deviation of the height of ln S beforehand: so large that it says nothing.
const HEIGHT: f64 = 100.0;

/// That of the logarithm of the noise's power around the least power that a ring has.
const NOISE: f64 = 4.0;

/// Rounding adds at least this part of its nominal standard deviation: less than all, since flat parts of a
/// field, the black background above all, are rounded without an error or with the same one everywhere.
const ROUNDING: f64 = 0.1;

/// Widths √(2a) are as likely as their logarithms beforehand, down to about this one, in cells.
const NARROW: f64 = 0.3;

/// Sharp fields look as if they had been diffused by this much, in cells²: lenses and drawn edges are soft...
const SOFTNESS: f64 = 0.1;

/// ...give or take this.
const SOFTNESS_VARIES: f64 = 0.15;

/// Amounts that are tried, first on all widths up to a quarter of the longer side, then on those that count.
const COARSE: usize = 50;
const DENSE: usize = 60;

/// Amounts whose likelihood is exp(−8) of the best one's do not count.
const COUNTS: f64 = 8.0;

/// The amount is the one below which the truth lies with this probability. Too large an amount costs a
/// restoration two to three times as much as one that is too small by the same part, so it is not one half.
const CAREFUL: f64 = 0.35;

/// The model gives this probability to amounts beyond either end of the range. That fields are not random
/// functions of its kind makes it about 0.03 in fact.
const BEYOND: f64 = 0.01;

/// The mean deviance of rings is below this for 99.5 % of the fields that the constants were calibrated on,
/// and above it for most that were blurred by a disk, a square or along one axis by a Gaussian. Lines that a
/// moving camera leaves look sharp across and are refused for that. With noise of 0.01 of the values' range
/// many disks pass: the noise hides where their spectrum differs.
const MISFIT: f64 = 4.0;

/// An answer's range ends below this multiple of its lower end and a little. The amounts of such answers are
/// good enough for restorations: 5 % lie below 0.78 of the truth and 5 % above 1.16 of it.
const WIDEST: f64 = 2.2;
const WIDEST_PLUS: f64 = 0.25;

/// How much diffusion lies behind the observations `y`, one field `[nx, ny]` of this grid or several that are
/// taken jointly: of the same physics, in the same units, with the same noise. Their numbers are rounded with
/// the standard deviation `rounding`; a noise that is told has the units of `y` too. Neither the unit nor the
/// zero of the values matters.
///
/// It costs a transform of every field.
///
/// # Errors
/// [`Error::Usage`] for a noise that is negative or not finite, and where the data do not tell: for fields
/// that are constant, not finite or too small, sharp fields and pure noise, a blur that is not that of
/// diffusion, and where too wide a range of amounts is likely.
pub fn estimate(grid: &Grid, y: &[f64], rounding: f64, level: NoiseLevel) -> Result<Estimate> {
    let told = match level {
        NoiseLevel::Told(noise) => {
            check_noise(noise)?;
            Some(noise)
        }
        NoiseLevel::Auto => None,
    };
    if y.is_empty() || !y.iter().all(|v| v.is_finite()) {
        return Err(unknown("not every value is a number"));
    }
    let rings = Rings::new(grid);
    if rings.waves.len() < FEWEST_RINGS {
        let [nx, ny] = grid.size();
        return Err(unknown(format!("a field of {nx}x{ny} cells has too few waves")));
    }
    let fields: Vec<_> = y.chunks_exact(grid.cells()).map(|field| (Unit::of(field), field)).collect();
    // One unit for all, which is a power of two and so rounds nothing; a mean for each.
    let scale = fields.iter().map(|(unit, _)| unit.scale).fold(0.0, f64::max);
    let nominal = rounding / scale;
    let mut measured = Measured::new(rings.waves.len());
    for (unit, field) in &fields {
        measured.add(grid, &rings, Unit { scale, ..*unit }.normalised(field));
    }
    let measured = measured.averaged(&rings);
    let all: f64 = measured.energy.iter().zip(&rings.waves).map(|(energy, waves)| energy * waves).sum();
    // Far below the rounding of the values themselves nothing is left of a field.
    let largest = fields.iter().map(|(unit, _)| unit.mean.abs() / scale).fold(1.0, f64::max);
    if all <= rings.waves.iter().sum::<f64>() * (1e-15 * largest).powi(2) {
        return Err(unknown("the field is constant"));
    }
    let floor = (ROUNDING * nominal).powi(2) + 1e-30 * all;
    let model = Model::new(&rings, &measured, floor, told.map(|noise| (noise / scale).powi(2)));
    judged(&model.posterior(grid))
}

fn unknown(why: impl AsRef<str>) -> Error {
    Error::usage(format!("amount: the data do not tell: {}", why.as_ref()))
}

/// What is likely of the amount by which a field, with the softness that it has by itself, was diffused.
struct Posterior {
    amount: f64,
    low: f64,
    high: f64,
    /// The mean deviance of the rings in the best fit.
    misfit: f64,
}

fn judged(posterior: &Posterior) -> Result<Estimate> {
    let &Posterior { amount, low, high, misfit } = posterior;
    let amount = amount - SOFTNESS;
    let low = (low - SOFTNESS - SOFTNESS_VARIES).max(0.0);
    let high = high - SOFTNESS + SOFTNESS_VARIES;
    if misfit > MISFIT {
        return Err(unknown("the spectrum does not fall as diffusion makes it fall; give the amount"));
    }
    if low == 0.0 || amount <= 0.0 {
        // No range is told: where the noise is not white, as that of 8 bits, it need not hold the truth.
        return Err(unknown("the field may not have been diffused at all, or noise hides by how much"));
    }
    if high > WIDEST * low + WIDEST_PLUS {
        let what = format!("any amount from {low:.2} to {high:.2} cells² may be behind it; give the amount");
        return Err(unknown(what));
    }
    Ok(Estimate { amount, low, high })
}

/// Rings of growing wavenumber, as narrow for large amounts, which leave only long waves, as for small ones.
struct Rings {
    /// The ring of every fine step of the wavenumber.
    of_step: Vec<usize>,
    waves: Vec<f64>,
    /// ln of the root mean square of the wavenumber in each ring.
    log_k: Vec<f64>,
    /// The steps that hold waves: their ring, their waves and the mean of |k|² in them.
    steps: Vec<(usize, f64, f64)>,
}

impl Rings {
    fn new(grid: &Grid) -> Self {
        let mut found = vec![(0.0, 0.0); FINE];
        for_each_wave(grid, |_, squared| {
            let step = &mut found[step(squared)];
            *step = (step.0 + 1.0, step.1 + squared);
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
    fn log_kernel2(&self, amount: f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.waves.len()];
        for &(ring, waves, squared) in &self.steps {
            sums[ring] += waves * (-2.0 * amount * squared).exp();
        }
        sums.iter().zip(&self.waves).map(|(sum, waves)| (sum / waves).max(1e-300).ln()).collect()
    }
}

fn step(squared: f64) -> usize {
    ((squared.sqrt() / (SQRT_2 * PI) * FINE as f64) as usize).min(FINE - 1)
}

/// Calls `f` with the index and |k|² of every wave but the mean.
fn for_each_wave(grid: &Grid, mut f: impl FnMut(usize, f64)) {
    let ([nx, ny], [kx, ky]) = (grid.size(), grid.wavenumbers());
    for i in 0..nx {
        for j in usize::from(i == 0)..ny {
            f(i * ny + j, Mode::new(kx[i], ky[j]).squared);
        }
    }
}

/// What was measured in every ring, of all fields together.
struct Measured {
    /// E, the mean of the waves' squares.
    energy: Vec<f64>,
    /// The mean of their fourth powers while fields are added, then half the number of independent waves that
    /// would leave ln E as uncertain as it is.
    weight: Vec<f64>,
    fields: f64,
}

impl Measured {
    fn new(rings: usize) -> Self {
        Self { energy: vec![0.0; rings], weight: vec![0.0; rings], fields: 0.0 }
    }

    fn add(&mut self, grid: &Grid, rings: &Rings, mut field: Vec<f64>) {
        grid.forward(&mut field);
        for_each_wave(grid, |wave, squared| {
            let (ring, energy) = (rings.of_step[step(squared)], field[wave].powi(2));
            self.energy[ring] += energy;
            self.weight[ring] += energy * energy;
        });
        self.fields += 1.0;
    }

    fn averaged(mut self, rings: &Rings) -> Self {
        for ring in 0..rings.waves.len() {
            let waves = rings.waves[ring] * self.fields;
            let energy = self.energy[ring] / waves;
            // The relative variance of one wave's square is 2 where waves are normal, and more where energy
            // gathers along the axes, for instance. That of the ring's mean is a wave's over the number.
            let variance = (self.weight[ring] / waves / energy.powi(2).max(f64::MIN_POSITIVE) - 1.0).max(2.0);
            self.energy[ring] = energy;
            self.weight[ring] = 1.0 / (variance / waves + ROUGH * ROUGH);
        }
        self
    }
}

/// What is unknown of a field, but the amount: ln S at every knot, and the logarithm of the noise's power.
struct Model<'a> {
    rings: &'a Rings,
    measured: &'a Measured,
    /// Every ring's place between two knots: the lower one, and the part of the upper one.
    places: Vec<(usize, f64)>,
    /// What the unknowns are beforehand: their mean and the inverse of their covariance.
    mean: Vec<f64>,
    precision: Matrix,
    /// The power of the noise that is known.
    known: f64,
    /// Whether there is noise besides.
    free: bool,
}

/// One set of the unknowns, and what it makes of the rings.
struct State {
    unknown: Vec<f64>,
    /// S·K² of every ring.
    signal: Vec<f64>,
    /// V of every ring.
    power: Vec<f64>,
    /// The power of the noise besides the known one.
    noise: f64,
    /// −log p, the prior included.
    cost: f64,
}

impl<'a> Model<'a> {
    /// `floor` is the least power of the noise, `told` what is known of it beyond that.
    fn new(rings: &'a Rings, measured: &'a Measured, floor: f64, told: Option<f64>) -> Self {
        let (first, last) = (rings.log_k[0], rings.log_k[rings.log_k.len() - 1]);
        let knots = ((last - first) / KNOTS).ceil() as usize + 1;
        let places = rings.log_k.iter().map(|log_k| {
            let place = (log_k - first) / KNOTS;
            let knot = (place as usize).min(knots - 2);
            (knot, place - knot as f64)
        });
        let energies = &measured.energy;
        let least = energies.iter().copied().fold(f64::INFINITY, f64::min).max(floor);
        let height =
            energies.iter().map(|energy| energy.max(floor).ln()).sum::<f64>() / energies.len() as f64;
        let middle = rings.log_k.iter().sum::<f64>() / rings.log_k.len() as f64;
        let from_middle = |knot: usize| first + KNOTS * knot as f64 - middle;
        let mut mean: Vec<f64> = (0..knots).map(|knot| height - SLOPE * from_middle(knot)).collect();
        mean.push(least.ln());
        let mut precision = covariance(knots, from_middle).inverse().bordered();
        precision[(knots, knots)] = 1.0 / (NOISE * NOISE);
        Self {
            rings,
            measured,
            places: places.collect(),
            mean,
            precision,
            known: floor + told.unwrap_or(0.0),
            free: told.is_none(),
        }
    }

    fn state(&self, unknown: Vec<f64>, log_kernel2: &[f64]) -> State {
        let noise = if self.free { unknown[unknown.len() - 1].min(600.0).exp() } else { 0.0 };
        let log_signal = |(&(knot, part), log_kernel2): (&(usize, f64), &f64)| {
            (1.0 - part) * unknown[knot] + part * unknown[knot + 1] + log_kernel2
        };
        let signal: Vec<f64> = (self.places.iter().zip(log_kernel2))
            .map(|place| log_signal(place).clamp(-650.0, 600.0).exp())
            .collect();
        let power: Vec<f64> = signal.iter().map(|signal| signal + noise + self.known).collect();
        let Measured { energy, weight, .. } = self.measured;
        let off: Vec<f64> = unknown.iter().zip(&self.mean).map(|(unknown, mean)| unknown - mean).collect();
        let prior: f64 = off.iter().zip(self.precision.times(&off)).map(|(a, b)| 0.5 * a * b).sum();
        // −log p of waves of normal height: half of ln V + E/V each.
        let likelihood: f64 =
            (0..power.len()).map(|ring| weight[ring] * (power[ring].ln() + energy[ring] / power[ring])).sum();
        State { unknown, signal, power, noise, cost: prior + likelihood }
    }

    /// The gradient of −log p and its expected second derivatives.
    fn derivatives(&self, state: &State) -> (Vec<f64>, Matrix) {
        let last = self.mean.len() - 1;
        let off: Vec<f64> =
            state.unknown.iter().zip(&self.mean).map(|(unknown, mean)| unknown - mean).collect();
        let (mut gradient, mut second) = (self.precision.times(&off), self.precision.clone());
        for (ring, &(knot, part)) in self.places.iter().enumerate() {
            let (power, weight) = (state.power[ring], self.measured.weight[ring]);
            let of_signal = state.signal[ring] / power;
            // d ln V by the unknowns that it depends on.
            let slopes =
                [(knot, of_signal * (1.0 - part)), (knot + 1, of_signal * part), (last, state.noise / power)];
            let excess = weight * (self.measured.energy[ring] / power - 1.0);
            for (i, slope) in slopes {
                gradient[i] -= slope * excess;
                for (j, other) in slopes {
                    second[(i, j)] += weight * slope * other;
                }
            }
        }
        (gradient, second)
    }

    /// The most likely unknowns for this amount, by Fisher's scoring from those `near`, and −log of the
    /// likelihood of the amount by Laplace's method: −log p + ½·ln det of its second derivatives.
    fn fit(&self, amount: f64, near: &[f64]) -> (State, f64) {
        let log_kernel2 = self.rings.log_kernel2(amount);
        let mut state = self.state(near.to_vec(), &log_kernel2);
        for _ in 0..60 {
            let (gradient, second) = self.derivatives(&state);
            let direction = second.factor().solved(&gradient);
            let downhill: f64 = gradient.iter().zip(&direction).map(|(a, b)| a * b).sum();
            let largest = direction.iter().fold(0f64, |most, d| most.max(d.abs()));
            let mut length = (3.0 / largest.max(1e-12)).min(1.0);
            let mut better = None;
            for _ in 0..30 {
                let next = state.unknown.iter().zip(&direction).map(|(at, d)| at - length * d).collect();
                let next = self.state(next, &log_kernel2);
                if next.cost <= state.cost - 1e-4 * length * downhill {
                    better = Some(next);
                    break;
                }
                length *= 0.5;
            }
            let Some(next) = better else { break };
            let gained = state.cost - next.cost;
            state = next;
            if gained < 1e-4 {
                break;
            }
        }
        let evidence = state.cost + self.derivatives(&state).1.factor().log_determinant() * 0.5;
        (state, evidence)
    }

    /// −log of the likelihood of the amount for each of these widths, given as ln(√(2a) + [`NARROW`]).
    fn scan(&self, widths: &[f64], mut near: Vec<f64>) -> Vec<(State, f64)> {
        let fits = widths.iter().map(|&width| {
            let fit = self.fit(amount(width), &near);
            near.clone_from(&fit.0.unknown);
            fit
        });
        fits.collect()
    }

    fn posterior(&self, grid: &Grid) -> Posterior {
        let longer = grid.size().into_iter().max().unwrap_or(1) as f64;
        let widths = spaced(NARROW.ln(), (NARROW + 0.25 * longer).ln(), COARSE);
        let up = self.scan(&widths, self.mean.clone());
        // From the other side as well, since a search from one may end in a lesser maximum.
        let turned: Vec<f64> = widths.iter().rev().copied().collect();
        let down = self.scan(&turned, up[COARSE - 1].0.unknown.clone());
        let best: Vec<&(State, f64)> =
            up.iter().zip(down.iter().rev()).map(|(a, b)| if a.1 <= b.1 { a } else { b }).collect();
        let least = best.iter().map(|fit| fit.1).fold(f64::INFINITY, f64::min);
        let counts = |at: &usize| best[*at].1 < least + COUNTS;
        let from = (0..COARSE).find(counts).unwrap_or(0).saturating_sub(1);
        let to = ((0..COARSE).rev().find(counts).unwrap_or(COARSE - 1) + 1).min(COARSE - 1);
        let widths = spaced(widths[from], widths[to], DENSE);
        let fits = self.scan(&widths, best[from].0.unknown.clone());
        let least = fits.iter().map(|fit| fit.1).fold(f64::INFINITY, f64::min);
        let likely: Vec<f64> = fits.iter().map(|fit| (least - fit.1).exp()).collect();
        let at = |part: f64| amount(quantile(&widths, &likely, part));
        let misfit = fits.iter().find(|fit| fit.1 == least).map_or(f64::INFINITY, |fit| self.misfit(&fit.0));
        Posterior { amount: at(CAREFUL), low: at(BEYOND), high: at(1.0 - BEYOND), misfit }
    }

    /// The mean over rings of −2·log of the likelihood, against that of rings that are fitted exactly.
    fn misfit(&self, state: &State) -> f64 {
        let Measured { energy, weight, .. } = self.measured;
        let of = |ring: usize| {
            let ratio = energy[ring].max(f64::MIN_POSITIVE) / state.power[ring];
            2.0 * weight[ring] * (ratio - 1.0 - ratio.ln())
        };
        (0..energy.len()).map(of).sum::<f64>() / energy.len() as f64
    }
}

/// a from ln(√(2a) + [`NARROW`]).
fn amount(width: f64) -> f64 {
    0.5 * (width.exp() - NARROW).max(0.0).powi(2)
}

fn spaced(from: f64, to: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| from + (to - from) * i as f64 / (count - 1) as f64).collect()
}

/// Where this part of what is `likely` lies below.
fn quantile(values: &[f64], likely: &[f64], part: f64) -> f64 {
    let all: f64 = likely.iter().sum();
    let mut below = 0.0;
    let mut last = (values[0], 0.0);
    for (&value, likely) in values.iter().zip(likely) {
        // Half of a value's own share lies below it.
        let at = (below + 0.5 * likely) / all;
        if at >= part {
            let between = if at > last.1 { ((part - last.1) / (at - last.1)).clamp(0.0, 1.0) } else { 1.0 };
            return last.0 + (value - last.0) * between;
        }
        (below, last) = (below + likely, (value, at));
    }
    last.0
}

/// The covariance of ln S at the knots: a height, a slope of the whole, the integral of a slope that wanders
/// with the correlation exp(−distance/length), and humps of normal shape.
fn covariance(knots: usize, from_middle: impl Fn(usize) -> f64) -> Matrix {
    /// Steps of the integral between two knots.
    const PARTS: usize = 6;
    let width = KNOTS / PARTS as f64;
    let mut wandering = Matrix::zero(knots);
    for i in 0..(knots - 1) * PARTS {
        for j in 0..(knots - 1) * PARTS {
            let distance = width * i.abs_diff(j) as f64;
            let both = (SLOPE_ALONG * width).powi(2) * (-distance / SLOPE_LENGTH).exp();
            // Counted here at the first knot behind both steps, and carried on to all others below.
            wandering[(i / PARTS + 1, j / PARTS + 1)] += both;
        }
    }
    for i in 1..knots {
        for j in 1..knots {
            wandering[(i, j)] += wandering[(i - 1, j)] + wandering[(i, j - 1)] - wandering[(i - 1, j - 1)];
        }
    }
    let mut covariance = wandering;
    for i in 0..knots {
        for j in 0..knots {
            let distance = KNOTS * i.abs_diff(j) as f64;
            covariance[(i, j)] += HEIGHT * HEIGHT
                + SLOPE_OF_ALL * SLOPE_OF_ALL * from_middle(i) * from_middle(j)
                + HUMP * HUMP * (-0.5 * (distance / HUMP_LENGTH).powi(2)).exp();
        }
        // So that it has an inverse.
        covariance[(i, i)] += 1e-4;
    }
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::heat::rasterise::rasterise;
    use crate::model::rectangles::draw;
    use crate::model::rng::{Purpose, Random};
    use crate::restore::spectral::grid::Edges;
    use std::f64::consts::TAU;

    fn rectangles([nx, ny]: [usize; 2], sample: u64) -> Vec<f64> {
        let mut field = vec![0.0; nx * ny];
        rasterise(&draw(Purpose::Generated, 0, 0, sample, nx, ny), nx, ny, &mut field);
        field
    }

    /// Discs of random grey with stripes on them, the nearer ones on top.
    fn picture([nx, ny]: [usize; 2], seed: u64) -> Vec<f64> {
        let mut random = Random::new(Purpose::Cases, seed, 0, 0);
        let mut field = vec![0.5; nx * ny];
        for _ in 0..400 {
            let radius = 2.0 * random.between(1e-3, 1.0).powf(-0.5);
            let center = [random.between(0.0, nx as f64), random.between(0.0, ny as f64)];
            let (grey, depth) = (random.uniform(), random.between(0.0, 0.1));
            let [kx, ky] = [0, 1].map(|_| random.between(-2.0, 2.0));
            for (at, value) in field.iter_mut().enumerate() {
                let [x, y] = [(at / ny) as f64, (at % ny) as f64];
                if (x - center[0]).hypot(y - center[1]) < radius {
                    *value = grey + depth * (kx * x + ky * y).sin();
                }
            }
        }
        field
    }

    fn normal(random: &mut Random) -> f64 {
        (-2.0 * (1.0 - random.uniform()).ln()).sqrt() * (TAU * random.uniform()).cos()
    }

    fn scaled(grid: &Grid, x: &[f64], kernel: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let ([kx, ky], mut waves) = (grid.wavenumbers(), x.to_vec());
        grid.forward(&mut waves);
        for (at, wave) in waves.iter_mut().enumerate() {
            *wave *= kernel(kx[at / ky.len()], ky[at % ky.len()]);
        }
        grid.inverse(&mut waves);
        waves
    }

    fn with_noise(mut y: Vec<f64>, noise: f64) -> Vec<f64> {
        let mut random = Random::new(Purpose::Noise, 3, 0, y.len() as u64);
        y.iter_mut().for_each(|v| *v += noise * normal(&mut random));
        y
    }

    fn observed(grid: &Grid, x: &[f64], amount: f64, noise: f64) -> Vec<f64> {
        with_noise(scaled(grid, x, |kx, ky| (-amount * (kx * kx + ky * ky)).exp()), noise)
    }

    fn grid(size: [usize; 2], edges: Edges) -> Grid {
        Grid::new(size[0], size[1], edges).unwrap()
    }

    fn assert_found(what: &str, truth: f64, off: f64, found: Result<Estimate>) {
        let Estimate { amount, low, high } = found.unwrap_or_else(|error| panic!("{what} {truth}: {error}"));
        assert!(low <= truth && truth <= high, "{what} {truth}: {low} to {high}");
        assert!((amount / truth - 1.0).abs() <= off, "{what} {truth}: {amount}");
        assert!(0.0 < low && low < amount && amount < high);
    }

    fn refusal(found: Result<Estimate>) -> String {
        match found {
            Err(Error::Usage(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_amount_behind_rectangles_is_found() {
        for (size, edges) in
            [([64, 64], Edges::Periodic), ([100, 75], Edges::Periodic), ([90, 128], Edges::Insulated)]
        {
            let (grid, x) = (grid(size, edges), rectangles(size, 4));
            for amount in [2.0, 8.0, 32.0] {
                for (noise, off) in [(1e-6, 0.1), (1e-4, 0.15), (1e-3, 0.2)] {
                    let y = observed(&grid, &x, amount, noise);
                    let found = estimate(&grid, &y, 1e-8, NoiseLevel::Auto);
                    assert_found(&format!("{size:?} {noise}"), amount, off, found);
                }
            }
        }
    }

    #[test]
    fn the_amount_behind_pictures_is_found() {
        for (size, edges) in [([96, 131], Edges::Insulated), ([128, 128], Edges::Periodic)] {
            let (grid, x) = (grid(size, edges), picture(size, 7));
            for amount in [2.0, 8.0, 32.0] {
                for (noise, off) in [(1e-6, 0.15), (1e-4, 0.2), (1e-3, 0.25)] {
                    let y = observed(&grid, &x, amount, noise);
                    let found = estimate(&grid, &y, 1e-8, NoiseLevel::Auto);
                    assert_found(&format!("{size:?} {noise}"), amount, off, found);
                }
            }
        }
    }

    #[test]
    fn units_and_offsets_do_not_matter() {
        let (grid, x) = (grid([64, 64], Edges::Periodic), rectangles([64, 64], 1));
        let y = observed(&grid, &x, 4.0, 1e-3);
        let expected = estimate(&grid, &y, 0.0, NoiseLevel::Auto).unwrap();
        for (scale, offset) in [(1e-6, 0.0), (-1.0, 3.0), (1e9, -1e10), (1e-200, 0.0), (1e150, 0.0)] {
            let moved: Vec<f64> = y.iter().map(|v| v * scale + offset).collect();
            let found = estimate(&grid, &moved, 0.0, NoiseLevel::Auto).unwrap();
            for (found, expected) in
                [(found.amount, expected.amount), (found.low, expected.low), (found.high, expected.high)]
            {
                assert!((found / expected - 1.0).abs() < 1e-3, "{scale} {offset}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn a_noise_that_is_told_is_believed() {
        let (grid, x) = (grid([64, 64], Edges::Periodic), rectangles([64, 64], 2));
        let y = observed(&grid, &x, 4.0, 1e-3);
        let auto = estimate(&grid, &y, 0.0, NoiseLevel::Auto).unwrap();
        let told = estimate(&grid, &y, 0.0, NoiseLevel::Told(1e-3)).unwrap();
        assert_found("told", 4.0, 0.2, Ok(told));
        assert!(told.high - told.low <= 1.05 * (auto.high - auto.low), "{told:?}, {auto:?}");
        for noise in [-1.0, f64::NAN] {
            assert!(refusal(estimate(&grid, &y, 0.0, NoiseLevel::Told(noise))).starts_with("noise"));
        }
    }

    #[test]
    fn several_fields_are_taken_jointly() {
        let grid = grid([64, 64], Edges::Periodic);
        let one = |sample| observed(&grid, &rectangles([64, 64], sample), 8.0, 3e-3);
        let all: Vec<f64> = (0..16).flat_map(|sample| one(sample).into_iter().map(|v| v + 5.0)).collect();
        let joint = estimate(&grid, &all, 0.0, NoiseLevel::Auto).unwrap();
        assert_found("joint", 8.0, 0.15, Ok(joint));
    }

    #[test]
    fn fields_that_do_not_tell_are_refused() {
        let size = [64, 64];
        let periodic = grid(size, Edges::Periodic);
        let of = |y: &[f64]| refusal(estimate(&periodic, y, 0.0, NoiseLevel::Auto));
        assert!(of(&[0.1; 4096]).ends_with("the field is constant"));
        assert!(of(&[0.0; 4096]).ends_with("the field is constant"));
        assert!(of(&[f64::NAN; 4096]).ends_with("not every value is a number"));
        assert!(of(&with_noise(vec![0.0; 4096], 1.0)).contains("may not have been diffused"));
        for (x, noise) in [(rectangles(size, 1), 1e-2), (picture(size, 2), 1e-3), (picture(size, 3), 5e-2)] {
            let what = of(&with_noise(x, noise));
            assert!(what.contains("may not have been diffused"), "{what}");
        }
        let wide = of(&observed(&periodic, &rectangles(size, 1), 0.5, 1e-2));
        assert!(wide.starts_with("amount: the data do not tell: "), "{wide}");
        let small = grid([8, 8], Edges::Insulated);
        let what = refusal(estimate(&small, &[1.0; 64], 0.0, NoiseLevel::Auto));
        assert_eq!(what, "amount: the data do not tell: a field of 8x8 cells has too few waves");
        for size in [[1, 1], [1, 2], [3, 1]] {
            let tiny = grid(size, Edges::Periodic);
            refusal(estimate(&tiny, &[1.0, 2.0, 4.0][..tiny.cells()], 0.0, NoiseLevel::Auto));
        }
    }

    #[test]
    fn what_was_blurred_otherwise_is_refused() {
        let size = [128, 128];
        let (grid, x) = (grid(size, Edges::Periodic), picture(size, 5));
        // Along one axis only, and the square and the line that a moving camera leaves.
        let box_of =
            |k: f64, n: f64| if k == 0.0 { 1.0 } else { (0.5 * n * k).sin() / (n * (0.5 * k).sin()) };
        let one_way = scaled(&grid, &x, |kx, _| (-4.0 * kx * kx).exp());
        let square = scaled(&grid, &x, |kx, ky| box_of(kx, 5.0) * box_of(ky, 5.0));
        let line = scaled(&grid, &x, |kx, _| box_of(kx, 7.0));
        for (name, y) in [("one way", one_way), ("square", square), ("line", line)] {
            let what = refusal(estimate(&grid, &with_noise(y, 1e-4), 0.0, NoiseLevel::Auto));
            assert!(what.starts_with("amount: the data do not tell"), "{name}: {what}");
        }
    }
}
