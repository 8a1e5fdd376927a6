//! The training signals as filters of the error's spectrum, in the Fourier form of method §3b.
//!
//! With the error e = x* - x, Ê = F(e), and noise n in the observation, N̂ = F(n), the residual's spectrum is
//! Â = K·Ê + N̂, so nothing is subtracted that could cancel. All exponents are at most 0 or clamped: nothing
//! overflows, not even in 32 bits.

use crate::cpu::Real;
use crate::model::inverse::{AMPLIFICATION_LIMIT, DAMP_BELOW, INVERT_ABOVE, UNDERFLOW, exponent_limit};
use crate::model::{Method, Objective};
use num_complex::Complex;

/// What diffusion does to one Fourier mode.
#[derive(Clone, Copy, Debug)]
pub struct Mode<T> {
    /// Λ ≥ 0.
    pub log_kernel: T,
    /// K = exp(-Λ).
    pub kernel: T,
}

/// How the modes of one sample are weighed.
#[derive(Clone, Copy, Debug)]
pub struct Weighing<T> {
    method: Method,
    /// σ², the energy that noise brings into one mode.
    sigma_squared: T,
    /// 1/(2·nx²).
    signal_scale: T,
}

impl<T: Real> Weighing<T> {
    /// The weighing of a sample of N = `cells` cells with `residual_energy` Σ|Â|² = N·‖r‖²: σ² = ε²·‖r‖² +
    /// N·noise².
    pub fn new(objective: &Objective, residual_energy: T, nx: usize, cells: usize) -> Self {
        let relative = T::of(objective.uncertainty * objective.uncertainty / cells as f64);
        Self {
            method: objective.method,
            sigma_squared: residual_energy * relative + T::of(cells as f64 * objective.noise.powi(2)),
            signal_scale: T::of(0.5 / (nx * nx) as f64),
        }
    }

    /// The spectrum of ∂L/∂x at one mode from the error's, Ê, and the noise's, N̂.
    ///
    /// The residual is Â = K·Ê + N̂. SIP: -(Ê·exp(Λ(q-1)) + N̂·exp(Λq)), where q in [-1, 1] weighs signal
    /// against noise; GD: -K·Â; supervised: -Ê. `mode` holds Λ and K = exp(-Λ), from tables: an exponential
    /// in 32 bits would lose digits at large Λ.
    pub fn signal(&self, mode: Mode<T>, error: Complex<T>, noise: Complex<T>) -> Complex<T> {
        let Mode { log_kernel, kernel } = mode;
        let residual = error.scale(kernel) + noise;
        match self.method {
            Method::Supervised => -error,
            Method::Gd => -residual.scale(kernel),
            Method::Sip => {
                // This is Â·exp(Λ), the residual before diffusion.
                let amplified = error + noise.scale(log_kernel.min(T::of(AMPLIFICATION_LIMIT)).exp());
                let q = self.action(residual.norm_sqr(), amplified.norm_sqr());
                let limit = T::of(exponent_limit(T::PRECISION));
                let inverse = (log_kernel * q).min(limit).exp();
                -(error.scale((log_kernel * (q - T::one())).exp()) + noise.scale(inverse))
            }
        }
    }

    /// q from |Â|² and |Â·exp(Λ)|²: z_s = ½(|Â|·exp(Λ)/nx)², z_n = ½|Â|²/σ², p = 1/(1 + exp(z_s - z_n)), q =
    /// 2p - 1.
    fn action(&self, residual: T, amplified: T) -> T {
        let z_signal = amplified * self.signal_scale;
        if self.sigma_squared <= T::zero() {
            return T::zero(); // a perfect prediction leaves nothing to weigh
        }
        if z_signal > T::of(UNDERFLOW) {
            return -T::one();
        }
        let logit = residual / (T::of(2.0) * self.sigma_squared) - z_signal;
        let limit = T::of(exponent_limit(T::PRECISION));
        let p = T::one() / (T::one() + (-logit.max(-limit).min(limit)).exp());
        if p <= T::of(DAMP_BELOW) || p >= T::of(INVERT_ABOVE) { T::of(2.0) * p - T::one() } else { T::zero() }
    }
}

/// Packed spectra û + i·v̂ `[nx, ny]` of two samples: those of their errors, and those of their noise, if
/// there is any.
pub struct Spectra<'a, T> {
    /// The spectrum of the errors.
    pub error: &'a [Complex<T>],
    /// The spectrum of the noise.
    pub noise: Option<&'a [Complex<T>]>,
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

impl<T: Real> Spectra<'_, T> {
    /// Ê and N̂ of both samples at one mode.
    fn at(&self, kx: usize, ky: usize) -> [(Complex<T>, Complex<T>); 2] {
        let pair = |z: &[Complex<T>]| separate(z, kx, ky, self.nx, self.ny);
        let (u, v) = pair(self.error);
        let zero = Complex::new(T::zero(), T::zero());
        let (noise_u, noise_v) = self.noise.map_or((zero, zero), pair);
        [(u, noise_u), (v, noise_v)]
    }

    /// Σ|Â|² of both samples, with the `modes` `[nx, ny]` of the diffusion.
    pub fn residual_energy(&self, modes: &[Mode<T>]) -> [T; 2] {
        let mut sums = [T::zero(); 2];
        for kx in 0..self.nx {
            let mut row = [T::zero(); 2];
            for ky in 0..self.ny {
                let kernel = modes[kx * self.ny + ky].kernel;
                for (sum, (error, noise)) in row.iter_mut().zip(self.at(kx, ky)) {
                    *sum += (error.scale(kernel) + noise).norm_sqr();
                }
            }
            sums[0] += row[0];
            sums[1] += row[1];
        }
        sums
    }

    /// The packed spectrum of ∂L/∂x of both samples, each with its own weighing.
    pub fn training_signal(&self, modes: &[Mode<T>], weighings: [Weighing<T>; 2]) -> Vec<Complex<T>> {
        let mut packed = Vec::with_capacity(self.nx * self.ny);
        for kx in 0..self.nx {
            for ky in 0..self.ny {
                let mode = modes[kx * self.ny + ky];
                let [(u, noise_u), (v, noise_v)] = self.at(kx, ky);
                let u = weighings[0].signal(mode, u, noise_u);
                let v = weighings[1].signal(mode, v, noise_v);
                packed.push(Complex::new(u.re - v.im, u.im + v.re)); // û + i·v̂
            }
        }
        packed
    }
}

/// The spectra of u and v at (kx, ky): Û = (Z(k) + Z̄(-k))/2, V̂ = (Z(k) - Z̄(-k))/2i.
fn separate<T: Real>(
    z: &[Complex<T>],
    kx: usize,
    ky: usize,
    nx: usize,
    ny: usize,
) -> (Complex<T>, Complex<T>) {
    let here = z[kx * ny + ky];
    let there = z[(nx - kx) % nx * ny + (ny - ky) % ny].conj();
    let half = T::of(0.5);
    let difference = here - there;
    ((here + there).scale(half), Complex::new(difference.im, -difference.re).scale(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(log_kernel: f64) -> Mode<f64> {
        Mode { log_kernel, kernel: (-log_kernel).exp() }
    }

    fn weighing<T: Real>(method: Method, noise: f64, residual_energy: T) -> Weighing<T> {
        Weighing::new(&Objective { noise, ..method.into() }, residual_energy, 64, 4096)
    }

    /// The factor of Ê without noise.
    fn sip(log_kernel: f64, energy: f64, residual_energy: f64) -> f64 {
        let error = Complex::new(energy.sqrt(), 0.0);
        let signal =
            weighing(Method::Sip, 0.0, residual_energy).signal(mode(log_kernel), error, Complex::ZERO);
        if energy == 0.0 { 0.0 } else { signal.re / error.re }
    }

    #[test]
    fn strong_modes_are_inverted_and_lost_ones_damped() {
        // Λ = 1 and a mode far above the noise: q = 1, so the update is the error itself.
        assert_eq!(sip(1.0, 100.0, 1e4), -1.0);
        // Λ = 60: the residual is 1e-26 of a large error, below any noise: p = 0, q = -1.
        assert!((sip(60.0, 1e6, 1e4) / -(-120.0f64).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn corner_cases_follow_the_method() {
        let k = |l: f64| (-l).exp();
        assert_eq!(sip(2.0, 1e-300, 0.0), -k(2.0), "perfect prediction: q = 0");
        assert_eq!(sip(2.0, 1e-300, 1.0), -k(2.0), "an empty mode has p = 1/2, q = 0");
        assert_eq!(sip(0.0, 4.0, 1.0), -1.0, "the mean passes unchanged");
        let beyond = 2.0 * 64.0f64.powi(2) * 746.0;
        assert!((sip(1.0, beyond, 1e4) + k(3.0 - 1.0)).abs() < 1e-15, "amplitude beyond 38.6·n: damped");
        let (error, noise) = (Complex::new(3.0, -1.0), Complex::new(0.5, 2.0));
        let gd = weighing(Method::Gd, 0.1, 1.0).signal(mode(1.5), error, noise);
        assert!((gd + (error.scale(k(1.5)) + noise).scale(k(1.5))).norm() < 1e-15);
        assert_eq!(weighing(Method::Supervised, 0.1, 1.0).signal(mode(1.5), error, noise), -error);
    }

    /// The literal form of method §3 with an absolute σ, for which 64 bits are enough while exp(Λ) is
    /// moderate.
    #[test]
    fn with_noise_the_residual_itself_is_weighed_and_inverted() {
        for (log_kernel, error, noise) in [
            (0.5f64, Complex::new(3.0, 1.0), Complex::new(0.01, -0.02)),
            (5.0, Complex::new(40.0, 1.0), Complex::new(0.06, -0.02)),
            (7.0, Complex::new(-20.0, 9.0), Complex::new(0.03, 0.05)),
            (9.0, Complex::new(1.0, 9.0), Complex::new(-0.11, 0.05)),
        ] {
            let (sigma, n) = (1e-3 * 64.0, 64.0);
            let residual: Complex<f64> = error * (-log_kernel).exp() + noise;
            let s = 0.5 * (-0.5 * (residual.norm() / (n * (-log_kernel).exp())).powi(2)).exp();
            let p = s / (s + 0.5 * (-0.5 * (residual.norm() / sigma).powi(2)).exp());
            let q = if p <= 0.5 || p >= 0.68 { 2.0 * (p - 0.5) } else { 0.0 };
            let expected = -residual * (log_kernel * q).exp();
            let found = weighing(Method::Sip, 1e-3, 0.0).signal(mode(log_kernel), error, noise);
            assert!((found - expected).norm() <= 1e-12 * expected.norm(), "{log_kernel}: {found} {expected}");
        }
    }

    #[test]
    fn single_precision_stays_finite_at_the_extremes() {
        for log_kernel in [0.0f32, 1.0, 157.9, 1e4] {
            for energy in [0.0f32, 1e-38, 1.0, 1e30] {
                for residual in [0.0f32, 1e-38, 1.0, 1e30] {
                    for noise in [0.0f32, 1e-20, 1e-3, 1.0] {
                        let mode = Mode { log_kernel, kernel: (-log_kernel).exp() };
                        let error = Complex::new(energy.sqrt(), 0.0);
                        let n = Complex::new(64.0 * noise, 0.0);
                        let f = weighing(Method::Sip, noise.into(), residual).signal(mode, error, n);
                        assert!(f.norm() <= error.re + 1e4, "{log_kernel} {energy} {residual} {noise}: {f}");
                    }
                }
            }
        }
    }
}
