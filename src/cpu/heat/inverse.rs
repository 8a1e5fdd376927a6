//! The damped inverse of a given residual (method §3). It is the SIP update where the truth is unknown.
//!
//! Every sample has a transform of its own, unlike in [`damp`](crate::cpu::heat::damp): if a large sample
//! were packed together with a small one, its rounding errors would be taken for the small one's signal.

use crate::cpu::Real;
use crate::cpu::heat::fft::{Fft, pack};
use crate::cpu::heat::physics::{phase_in, unwind};
use crate::cpu::reduce::sum;
use crate::model::Operator;
use crate::model::inverse::{DAMP_BELOW, INVERT_ABOVE, UNDERFLOW, expected_amplitude, exponent_limit};
use num_complex::Complex;
use rayon::prelude::*;

/// The inverse of a batch of residuals, with its diagnostics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inverted<T> {
    /// The update dx = Re F⁻¹(κ·exp(-iφ)·Â), `[batch, nx, ny]`.
    pub dx: Vec<T>,
    /// |Â|, `[batch, nx, ny]`.
    pub amp: Vec<T>,
    /// p, the probability that a mode is signal, `[batch, nx, ny]`; ½ for a residual of zero.
    pub sig_prob: Vec<T>,
    /// κ, the factor of every mode, `[batch, nx, ny]`.
    pub kernel: Vec<T>,
    /// √Σ(σκ)²/nx, the noise that remains in dx, `[batch]`.
    pub uncertainty: Vec<T>,
}

impl<T: Copy> Inverted<T> {
    /// Appends the samples of `other`.
    pub fn append(&mut self, other: &mut Self) {
        self.dx.append(&mut other.dx);
        self.amp.append(&mut other.amp);
        self.sig_prob.append(&mut other.sig_prob);
        self.kernel.append(&mut other.kernel);
        self.uncertainty.append(&mut other.uncertainty);
    }
}

/// The signal probability p and the factor κ of one mode.
///
/// `amplitude` = |Â|, `expected` = E = nx·exp(-Λ), `sigma` = ε·‖r‖. p = s/(s + n) with s = ½·exp(-z_s),
/// z_s = ½(|Â|/E)², and n = ½·exp(-z_n), z_n = ½(|Â|/σ)². Where s or n underflows in the reference's 64 bits
/// (z > 745.13), p is 0 or 1 as there. Where one of them is too small for T but not for the reference, p is
/// computed as the logistic function of z_n - z_s, which is the same number.
pub fn damping<T: Real>(amplitude: T, log_kernel: T, expected: T, sigma: T) -> (T, T) {
    let (one, two) = (T::one(), T::of(2.0));
    let ratio_limit = T::of((2.0 * UNDERFLOW).sqrt());
    let limit = T::of(exponent_limit(T::PRECISION));
    let p = if sigma <= T::zero() {
        T::of(0.5) // a residual of zero leaves nothing to weigh: κ = 1
    } else if expected <= T::zero() || amplitude > ratio_limit * expected {
        T::zero()
    } else if amplitude > ratio_limit * sigma {
        one
    } else {
        let z = |scale: T| T::of(0.5) * (amplitude / scale).powi(2);
        let (z_signal, z_noise) = (z(expected), z(sigma));
        if z_signal.max(z_noise) < limit {
            let (signal, noise) = ((-z_signal).exp(), (-z_noise).exp());
            signal / (signal + noise)
        } else {
            one / (one + (z_signal - z_noise).max(-limit).min(limit).exp())
        }
    };
    let q = if p <= T::of(DAMP_BELOW) || p >= T::of(INVERT_ABOVE) { two * p - one } else { T::zero() };
    (p, (log_kernel * q).max(-limit).min(limit).exp())
}

/// √Σ(σκ)²/nx for the factors κ of one sample.
pub fn propagated_uncertainty(kernel: impl Iterator<Item = f64>, sigma: f64, nx: usize) -> f64 {
    kernel.map(|k| (sigma * k).powi(2)).sum::<f64>().sqrt() / nx as f64
}

/// σ = √Σ(ε·r)² = ε·‖r‖ of one sample, summed in f64 whatever the field's precision.
pub fn sigma<T: Real>(residual: &[T], uncertainty: f64) -> f64 {
    let u = |i: usize| uncertainty * residual[i].f64();
    sum(residual.len(), |i| u(i) * u(i)).sqrt()
}

/// The inverse of residuals `[batch, nx, ny]` with the relative `uncertainty` ε.
pub fn invert<T: Real>(heat: &Operator, uncertainty: f64, residual: &[T]) -> Inverted<T> {
    let sigmas: Vec<f64> = residual.chunks(heat.cells()).map(|r| sigma(r, uncertainty)).collect();
    invert_above(heat, &sigmas, residual)
}

/// The inverse of residuals `[batch, nx, ny]` whose noise has the amplitude σ in every mode, `sigmas`
/// `[batch]`. σ is the standard deviation of the noise in a cell times √N.
pub fn invert_above<T: Real>(heat: &Operator, sigmas: &[f64], residual: &[T]) -> Inverted<T> {
    let (nx, ny) = (heat.nx, heat.ny);
    let fft = Fft::<T>::new(nx, ny);
    let tables: Vec<(T, T)> = heat
        .log_kernel()
        .iter()
        .zip(expected_amplitude(heat))
        .map(|(&log_kernel, expected)| (T::of(log_kernel), T::of(expected)))
        .collect();
    let phase = phase_in::<T>(heat);
    let samples: Vec<Inverted<T>> = residual
        .par_chunks(nx * ny)
        .zip(sigmas)
        .map(|(residual, &sigma)| {
            let mut spectrum: Vec<Complex<T>> = pack(residual, None);
            fft.forward(&mut spectrum);
            unwind(&mut spectrum, phase.as_deref());
            let mut sample = Inverted::default();
            for (value, &(log_kernel, expected)) in spectrum.iter_mut().zip(&tables) {
                let amplitude = value.norm();
                let (p, kappa) = damping(amplitude, log_kernel, expected, T::of(sigma));
                *value = value.scale(kappa);
                sample.amp.push(amplitude);
                sample.sig_prob.push(p);
                sample.kernel.push(kappa);
            }
            fft.inverse(&mut spectrum);
            sample.dx = spectrum.iter().map(|value| value.re).collect();
            let left = propagated_uncertainty(sample.kernel.iter().map(|k| k.f64()), sigma, nx);
            sample.uncertainty.push(T::of(left));
            sample
        })
        .collect();
    let mut all = Inverted::default();
    for mut sample in samples {
        all.append(&mut sample);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};

    /// Method §3 word by word, for numbers at which nothing is subnormal.
    fn literal(amplitude: f64, log_kernel: f64, nx: f64, sigma: f64) -> (f64, f64) {
        let expected = nx * (-log_kernel).exp();
        let s = 0.5 * (-0.5 * (amplitude / expected).powi(2)).exp();
        let s = if s.is_finite() { s } else { 0.0 };
        let n = 0.5 * (-0.5 * (amplitude / sigma).powi(2)).exp();
        let p = if s + n == 0.0 { 0.0 } else { s / (s + n) };
        let q = if p <= 0.5 || p >= 0.68 { 2.0 * (p - 0.5) } else { 0.0 };
        (p, (log_kernel * q).exp())
    }

    #[test]
    fn agrees_with_the_method_word_by_word() {
        let mut random = Random::new(Purpose::Cases, 7, 0, 0);
        let mut inverted = 0;
        for _ in 0..100_000 {
            let log_kernel = random.between(0.0, 60.0);
            let sigma = 10f64.powf(random.between(-8.0, 0.0));
            // Amplitudes of up to 30 σ or 30 E are those that decide between signal and noise.
            let scale = if random.uniform() < 0.5 { sigma } else { 64.0 * (-log_kernel).exp() };
            let amplitude = scale * random.between(0.0, 30.0);
            let ours = damping(amplitude, log_kernel, 64.0 * (-log_kernel).exp(), sigma);
            let reference = literal(amplitude, log_kernel, 64.0, sigma);
            inverted += usize::from(reference.1 > 1.0);
            if [0.5, 0.68].iter().any(|t| (reference.0 - t).abs() < 1e-12) {
                continue; // either side of the threshold is right
            }
            assert!((ours.0 - reference.0).abs() <= 1e-13, "{ours:?} {reference:?}");
            assert!((ours.1 / reference.1 - 1.0).abs() <= 1e-11, "{ours:?} {reference:?}");
        }
        assert!(inverted > 10_000);
    }

    #[test]
    fn corner_cases_follow_the_method() {
        let k = |l: f64| (-l).exp();
        assert_eq!(damping(0.0, 2.0, 64.0 * k(2.0), 0.0), (0.5, 1.0), "a residual of zero");
        assert_eq!(damping(0.0, 2.0, 64.0 * k(2.0), 1.0), (0.5, 1.0), "an empty mode");
        assert_eq!(damping(5.0, 0.0, 64.0, 1e-5).1, 1.0, "the mean passes");
        assert_eq!(damping(38.7 * 64.0, 0.0, 64.0, 1e-5), (0.0, 1.0));
        let (p, kappa) = damping(38.7 * 64.0 * k(1.0), 1.0, 64.0 * k(1.0), 1e-5);
        assert_eq!((p, kappa), (0.0, k(1.0)), "an amplitude beyond 38.6·n is damped");
        let (p, kappa) = damping(38.5 * 64.0 * k(1.0), 1.0, 64.0 * k(1.0), 1e-5);
        assert_eq!((p, kappa), (1.0, 1f64.exp()), "one below is inverted");
        assert_eq!(damping(1e-3, 2000.0, 0.0, 1e-5).0, 0.0, "E underflows");
    }

    #[test]
    fn nothing_is_undefined_in_single_precision_either() {
        for log_kernel in [0.0f32, 1.0, 50.0, 158.0, 1e5] {
            for amplitude in [0.0f32, 1e-30, 1.0, 1e30] {
                for sigma in [0.0f32, 1e-30, 1.0, 1e30] {
                    let expected = (64.0 * (-f64::from(log_kernel)).exp()) as f32;
                    let (p, kappa) = damping(amplitude, log_kernel, expected, sigma);
                    assert!((0.0..=1.0).contains(&p) && kappa.is_finite(), "{p} {kappa}");
                }
            }
        }
    }

    #[test]
    fn zero_stays_zero_and_a_constant_passes_beside_anything() {
        let heat = Operator::heat(16, 32, 8.0).unwrap();
        let mut random = Random::new(Purpose::Cases, 8, 0, 0);
        let noise: Vec<f64> = (0..512).map(|_| 1e6 * random.between(-1.0, 1.0)).collect();
        let residual = [vec![0.0; 512], noise, vec![0.3; 512]].concat();
        let inverted = invert(&heat, 1e-6, &residual);
        assert!(inverted.dx[..512].iter().all(|&v| v == 0.0));
        assert!(inverted.kernel[..512].iter().all(|&v| v == 1.0));
        assert!(inverted.dx.iter().all(|v| v.is_finite()));
        assert!(inverted.dx[1024..].iter().all(|&v| (v - 0.3).abs() < 1e-15));
    }

    #[test]
    fn a_diffused_smooth_field_comes_back() {
        let heat = Operator::heat(32, 32, 2.0).unwrap();
        let wave =
            |i: usize| (std::f64::consts::TAU * (2.0 * (i / 32) as f64 + (i % 32) as f64) / 32.0).sin();
        let field: Vec<f64> = (0..1024).map(wave).collect();
        let mut diffused = vec![0.0; 1024];
        crate::cpu::heat::physics::Physics::new(&heat).diffuse(&field, &mut diffused);
        let inverted = invert(&heat, 1e-6, &diffused);
        for (a, b) in inverted.dx.iter().zip(&field) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
