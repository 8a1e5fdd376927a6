//! What a spectrum says of one amount: its most likely S and noise, and the likelihood of the amount itself.

use crate::restore::measurement::amount::dense::Matrix;
use crate::restore::measurement::amount::measured::Measured;
use crate::restore::measurement::amount::rings::Rings;

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

/// The standard deviation of the height of ln S beforehand: so large that it says nothing.
const HEIGHT: f64 = 100.0;

/// That of the logarithm of the noise's power around the least power that a ring has.
const NOISE: f64 = 4.0;

/// What is unknown of a field, but the amount: ln S at every knot, and the logarithm of the noise's power.
pub(super) struct Model<'a> {
    rings: &'a Rings,
    measured: &'a Measured,
    /// Every ring's place between two knots: the lower one, and the part of the upper one.
    places: Vec<(usize, f64)>,
    /// What the unknowns are beforehand: their mean and the inverse of their covariance.
    pub(super) mean: Vec<f64>,
    precision: Matrix,
    /// The power of the noise that is known.
    known: f64,
    /// Whether there is noise besides.
    free: bool,
}

/// One set of the unknowns, and what it makes of the rings.
pub(super) struct State {
    pub(super) unknown: Vec<f64>,
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
    pub(super) fn new(rings: &'a Rings, measured: &'a Measured, floor: f64, told: Option<f64>) -> Self {
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
    pub(super) fn fit(&self, amount: f64, near: &[f64]) -> (State, f64) {
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

    /// The mean over rings of −2·log of the likelihood, against that of rings that are fitted exactly.
    pub(super) fn misfit(&self, state: &State) -> f64 {
        let Measured { energy, weight, .. } = self.measured;
        let of = |ring: usize| {
            let ratio = energy[ring].max(f64::MIN_POSITIVE) / state.power[ring];
            2.0 * weight[ring] * (ratio - 1.0 - ratio.ln())
        };
        (0..energy.len()).map(of).sum::<f64>() / energy.len() as f64
    }
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
