//! Batch normalisation in training mode followed by an activation, forward and backward (method §5).

use crate::cpu::Real;
use crate::cpu::nn::activation;
use crate::cpu::reduce::sum;
use crate::model::Activation;
use crate::model::unet::{NORM_EPSILON, NORM_MOMENTUM};

/// Mean and sum of squared deviations of `count` values, mergeable without cancellation (Chan et al. 1979).
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments<T> {
    /// Number of values.
    pub count: T,
    /// Their mean.
    pub mean: T,
    /// Σ(z - mean)².
    pub m2: T,
}

impl<T: Real> Moments<T> {
    /// The moments of one plane. The first value is the pivot: sums of differences from it keep the digits
    /// that Σz² would lose.
    pub fn of(plane: &[T]) -> Self {
        let count = T::of(plane.len() as f64);
        let pivot = plane[0];
        let mean = pivot + sum(plane.len(), |i| plane[i] - pivot) / count;
        let m2 = sum(plane.len(), |i| (plane[i] - mean) * (plane[i] - mean));
        Self { count, mean, m2 }
    }

    /// The moments of both sets of values together.
    pub fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if count == T::zero() {
            return self;
        }
        let delta = other.mean - self.mean;
        let weight = other.count / count;
        Self {
            count,
            mean: self.mean + delta * weight,
            m2: self.m2 + other.m2 + delta * delta * self.count * weight,
        }
    }
}

/// One channel's normalisation: ẑ = (z - mean)·rstd, the activation's argument scale·(z - mean) + shift.
///
/// The mean is subtracted first: scale·z + (β - scale·mean) would cancel where mean² ≫ variance, and flip the
/// sign of ReLU's argument for values near zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Norm<T> {
    /// Batch mean of z.
    pub mean: T,
    /// 1/√(variance + ε), with the biased variance.
    pub rstd: T,
    /// γ·rstd.
    pub scale: T,
    /// β.
    pub shift: T,
}

impl<T: Real> Norm<T> {
    /// The normalisation by the batch's `moments`, with the parameters γ and β.
    pub fn new(moments: Moments<T>, gamma: T, beta: T) -> Self {
        let rstd = T::one() / (moments.m2 / moments.count + T::of(NORM_EPSILON)).sqrt();
        let scale = gamma * rstd;
        Self { mean: moments.mean, rstd, scale, shift: beta }
    }

    /// The normalisation without batch norm: the argument is z plus the convolution's `bias`.
    pub fn bias(bias: T) -> Self {
        Self { mean: T::zero(), rstd: T::one(), scale: T::one(), shift: bias }
    }

    /// The normalisation by the running statistics, as in PyTorch's eval mode. z is stored without the
    /// convolution's `bias`, but the running mean includes it.
    pub fn running(mean: T, var: T, bias: T, gamma: T, beta: T) -> Self {
        let mean = mean - bias;
        let rstd = T::one() / (var + T::of(NORM_EPSILON)).sqrt();
        let scale = gamma * rstd;
        Self { mean, rstd, scale, shift: beta }
    }

    /// scale·(z - mean) + shift.
    #[inline(always)]
    pub fn argument(&self, z: T) -> T {
        self.scale * (z - self.mean) + self.shift
    }

    /// ReLU(scale·(z - mean) + shift).
    #[inline(always)]
    pub fn relu(&self, z: T) -> T {
        self.argument(z).max(T::zero())
    }
}

/// What a batch adds to the running statistics: its mean and its unbiased variance.
///
/// z is stored without the convolution's `bias`, but PyTorch's running mean includes it.
pub fn statistics<T: Real>(moments: Moments<T>, bias: T) -> [T; 2] {
    [moments.mean + bias, moments.m2 / (moments.count - T::one())]
}

/// Blends a batch's statistics into the running ones.
pub fn blend<T: Real>(running: &mut [T], statistics: &[T]) {
    let momentum = T::of(NORM_MOMENTUM);
    running.iter_mut().zip(statistics).for_each(|(running, &new)| *running += momentum * (new - *running));
}

/// The activation of values z of one channel.
pub fn activate<T: Real>(function: Activation, norm: Norm<T>, z: &[T], out: &mut [T]) {
    match function {
        // ReLU has a loop of its own, so that the compiler vectorises it; so it has below.
        Activation::Relu => out.iter_mut().zip(z).for_each(|(a, &z)| *a = norm.relu(z)),
        other => out.iter_mut().zip(z).for_each(|(a, &z)| *a = activation::value(other, norm.argument(z))),
    }
}

/// Σg and Σg·ẑ of one plane, where g = ∂L/∂(the activation's argument): the gradients of β and γ.
pub fn backward_sums<T: Real>(function: Activation, norm: Norm<T>, z: &[T], gradient: &[T]) -> [T; 2] {
    match function {
        Activation::Relu => sums_of(Activation::Relu, norm, z, gradient),
        other => sums_of(other, norm, z, gradient),
    }
}

#[inline(always)]
fn sums_of<T: Real>(function: Activation, norm: Norm<T>, z: &[T], gradient: &[T]) -> [T; 2] {
    let g = |i: usize| activation::backward(function, norm.argument(z[i]), gradient[i]);
    [sum(z.len(), g), sum(z.len(), |i| g(i) * ((z[i] - norm.mean) * norm.rstd))]
}

/// Turns ∂L/∂activation of one plane into ∂L/∂z in place: γ·rstd·(g - Σg/n - ẑ·Σgẑ/n), where `sums` are those
/// of the whole batch over n = `count` values.
pub fn backward<T: Real>(
    function: Activation,
    norm: Norm<T>,
    sums: [T; 2],
    count: T,
    z: &[T],
    gradient: &mut [T],
) {
    match function {
        Activation::Relu => backward_of(Activation::Relu, norm, sums, count, z, gradient),
        other => backward_of(other, norm, sums, count, z, gradient),
    }
}

#[inline(always)]
fn backward_of<T: Real>(
    function: Activation,
    norm: Norm<T>,
    sums: [T; 2],
    count: T,
    z: &[T],
    gradient: &mut [T],
) {
    let [mean_g, mean_gz] = sums.map(|s| s / count);
    for (g, &z) in gradient.iter_mut().zip(z) {
        let own = activation::backward(function, norm.argument(z), *g);
        *g = norm.scale * (own - mean_g - (z - norm.mean) * norm.rstd * mean_gz);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_hard_cases_in_single_precision() {
        let wave: Vec<f64> = (0..4096).map(|i| (i as f64 * 0.37).sin()).collect();
        for (offset, spread) in [(10.0, 1.0), (17.3, 1.0), (1000.0, 0.1), (0.0, 1e-3), (10.0, 0.0)] {
            let exact: Vec<f64> = wave.iter().map(|w| f64::from((offset + spread * w) as f32)).collect();
            let single: Vec<f32> = exact.iter().map(|&z| z as f32).collect();
            let whole = Moments::of(&exact);
            let merged = single.chunks(256).map(Moments::of).reduce(Moments::merge).unwrap();
            let error = (f64::from(merged.m2) - whole.m2).abs();
            assert!(error <= 1e-5 * whole.m2, "offset {offset} spread {spread}: {error} of {}", whole.m2);
        }
    }

    #[test]
    fn backward_matches_central_differences() {
        let z: Vec<f64> = (0..40).map(|i| (i as f64 * 1.7).sin() + 0.3).collect();
        let weight: Vec<f64> = (0..40).map(|i| (i as f64 * 0.9).cos()).collect();
        let (gamma, beta) = (0.8, 0.1);
        for function in Activation::ALL {
            let loss = |z: &[f64], gamma: f64, beta: f64| -> f64 {
                let norm = Norm::new(Moments::of(z), gamma, beta);
                let mut out = vec![0.0; z.len()];
                activate(function, norm, z, &mut out);
                out.iter().zip(&weight).map(|(a, w)| a * w).sum()
            };
            let norm = Norm::new(Moments::of(&z), gamma, beta);
            let sums = backward_sums(function, norm, &z, &weight);
            let mut gradient = weight.clone();
            backward(function, norm, sums, 40.0, &z, &mut gradient);
            let h = 1e-6;
            for i in 0..z.len() {
                let shifted = |by: f64| {
                    let mut moved = z.clone();
                    moved[i] += by;
                    loss(&moved, gamma, beta)
                };
                let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
                assert!((numeric - gradient[i]).abs() < 1e-7, "{function} {i}: {numeric} {}", gradient[i]);
            }
            let d_beta = (loss(&z, gamma, beta + h) - loss(&z, gamma, beta - h)) / (2.0 * h);
            let d_gamma = (loss(&z, gamma + h, beta) - loss(&z, gamma - h, beta)) / (2.0 * h);
            assert!((d_beta - sums[0]).abs() < 1e-7 && (d_gamma - sums[1]).abs() < 1e-7, "{function}");
        }
    }
}
