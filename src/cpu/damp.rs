//! The two training signals as filters of the error's spectrum, in the Fourier form of SPEC 3b.
//!
//! With the error e = x* - x and Ê = F(e), the residual's spectrum is Â = K·Ê, so nothing is subtracted that
//! could cancel. All exponents are at most 0 or clamped: nothing overflows, in 32 bits either.

use super::Real;
use crate::model::Method;
use crate::model::heat::{DAMP_BELOW, INVERT_ABOVE, UNCERTAINTY, UNDERFLOW, exponent_limit};
use num_complex::Complex;

/// What diffusion does to one Fourier mode.
#[derive(Clone, Copy, Debug)]
pub struct Mode<T> {
    /// Λ.
    pub log_kernel: T,
    /// K = exp(-Λ).
    pub kernel: T,
}

/// The factor that turns Ê into the spectrum of ∂L/∂x for one mode.
///
/// SIP: -exp(Λ(q-1)), where q in [-1, 1] weighs signal against noise; GD: -K² = -exp(-2Λ).
/// `energy` = |Ê|², `residual_energy` = Σ|Â|² over all modes = N·‖r‖².
///
/// `mode` holds Λ and K = exp(-Λ), from tables: an exponential in 32 bits would lose digits at large Λ.
pub fn factor<T: Real>(
    method: Method,
    mode: Mode<T>,
    energy: T,
    residual_energy: T,
    nx: usize,
    cells: usize,
) -> T {
    let two = T::of(2.0);
    let q = match method {
        Method::Gd => return -mode.kernel * mode.kernel,
        Method::Sip => {
            // z_s = ½(|Ê|/nx)², z_n = ½|Â|²/σ² with σ² = ε²‖r‖².
            let z_signal = energy / T::of(2.0 * (nx * nx) as f64);
            let amplitude = mode.kernel * mode.kernel * energy;
            let sigma_squared = residual_energy * T::of(UNCERTAINTY * UNCERTAINTY / cells as f64);
            if sigma_squared <= T::zero() {
                T::zero() // a perfect prediction: nothing to weigh
            } else if z_signal > T::of(UNDERFLOW) {
                -T::one()
            } else {
                let logit = amplitude / (two * sigma_squared) - z_signal;
                let limit = T::of(exponent_limit(T::PRECISION));
                let p = T::one() / (T::one() + (-logit.max(-limit).min(limit)).exp());
                if p <= T::of(DAMP_BELOW) || p >= T::of(INVERT_ABOVE) {
                    two * p - T::one()
                } else {
                    T::zero()
                }
            }
        }
    };
    -(mode.log_kernel * (q - T::one())).exp()
}

/// Σ|K·Û|² and Σ|K·V̂|² of two fields packed as u + i·v; `spectrum` and `modes` are `[nx, ny]`.
pub fn residual_energy<T: Real>(spectrum: &[Complex<T>], modes: &[Mode<T>], nx: usize, ny: usize) -> [T; 2] {
    let mut sums = [T::zero(); 2];
    for kx in 0..nx {
        let mut row = [T::zero(); 2];
        for ky in 0..ny {
            let (u, v) = separate(spectrum, kx, ky, nx, ny);
            let kernel = modes[kx * ny + ky].kernel;
            row[0] += kernel * kernel * u.norm_sqr();
            row[1] += kernel * kernel * v.norm_sqr();
        }
        sums[0] += row[0];
        sums[1] += row[1];
    }
    sums
}

/// Applies [`factor`] to both fields of a packed spectrum.
pub fn damp<T: Real>(
    method: Method,
    spectrum: &[Complex<T>],
    modes: &[Mode<T>],
    residual_energy: [T; 2],
    nx: usize,
    ny: usize,
) -> Vec<Complex<T>> {
    let mut damped = Vec::with_capacity(nx * ny);
    for kx in 0..nx {
        for ky in 0..ny {
            let (u, v) = separate(spectrum, kx, ky, nx, ny);
            let mode = modes[kx * ny + ky];
            let [fu, fv] = [(u, residual_energy[0]), (v, residual_energy[1])]
                .map(|(value, sum)| factor(method, mode, value.norm_sqr(), sum, nx, nx * ny));
            // û·fu + i·v̂·fv
            damped.push(Complex::new(u.re * fu - v.im * fv, u.im * fu + v.re * fv));
        }
    }
    damped
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

    fn sip(log_kernel: f64, energy: f64, residual_energy: f64) -> f64 {
        factor(Method::Sip, mode(log_kernel), energy, residual_energy, 64, 4096)
    }

    #[test]
    fn strong_modes_are_inverted_and_lost_ones_damped() {
        // Λ = 1 and a mode far above the noise: q = 1, so the update is the error itself.
        assert_eq!(sip(1.0, 100.0, 1e4), -1.0);
        // Λ = 60: the residual is 1e-26 of a large error, below any noise: p = 0, q = -1.
        assert!((sip(60.0, 1e6, 1e4) / -(-120.0f64).exp() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn corner_cases_follow_the_spec() {
        let k = |l: f64| (-l).exp();
        assert_eq!(sip(2.0, 0.0, 0.0), -k(2.0), "perfect prediction: q = 0");
        assert_eq!(sip(2.0, 0.0, 1.0), -k(2.0), "an empty mode has p = 1/2, q = 0");
        assert_eq!(sip(0.0, 5.0, 1.0), -1.0, "the mean passes unchanged");
        let beyond = 2.0 * 64.0f64.powi(2) * 746.0;
        assert!((sip(1.0, beyond, 1e4) + k(2.0)).abs() < 1e-15, "amplitude beyond 38.6·n: damped");
        let gd = factor(Method::Gd, mode(1.5), 3.0, 1.0, 64, 4096);
        assert!((gd + k(3.0)).abs() < 1e-15);
    }

    #[test]
    fn single_precision_stays_finite_at_the_extremes() {
        for log_kernel in [0.0f32, 1.0, 157.9, 1e4] {
            for energy in [0.0f32, 1e-38, 1.0, 1e30] {
                for residual in [0.0f32, 1e-38, 1.0, 1e30] {
                    let mode = Mode { log_kernel, kernel: (-log_kernel).exp() };
                    let f = factor(Method::Sip, mode, energy, residual, 64, 4096);
                    assert!((-1.0..=0.0).contains(&f), "{log_kernel} {energy} {residual}: {f}");
                }
            }
        }
    }
}
