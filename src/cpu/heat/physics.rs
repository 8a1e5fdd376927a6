//! Diffusion and the training signal for whole batches: rayon over pairs of samples (method §2 and §3b).

use crate::cpu::Real;
use crate::cpu::heat::damp::{Mode, Spectra, Weighing};
use crate::cpu::heat::fft::{Fft, pack};
use crate::model::{Objective, Operator};
use num_complex::Complex;
use rayon::prelude::*;

/// The tables of one operator in the number type T.
pub struct Physics<T> {
    nx: usize,
    ny: usize,
    modes: Vec<Mode<T>>,
    /// exp(iφ) of every mode, where there is any.
    phase: Option<Vec<Complex<T>>>,
    fft: Fft<T>,
}

impl<T: Real> Physics<T> {
    /// Rounds the operator's tables.
    pub fn new(operator: &Operator) -> Self {
        Self { phase: phase_in(operator), ..Self::with_kernel(operator, operator.kernel()) }
    }

    /// A filter by `kernel` `[nx, ny]` on the operator's grid. It must be real and even.
    pub fn with_kernel(operator: &Operator, kernel: &[f64]) -> Self {
        let tables = operator.log_kernel().iter().zip(kernel);
        Self {
            nx: operator.nx,
            ny: operator.ny,
            modes: tables.map(|(&l, &k)| Mode { log_kernel: T::of(l), kernel: T::of(k) }).collect(),
            phase: None,
            fft: Fft::new(operator.nx, operator.ny),
        }
    }

    /// y = P(x) = F⁻¹(H·F(x)) for `[batch, nx, ny]` fields.
    pub fn diffuse(&self, x: &[T], y: &mut [T]) {
        self.filter(x, y, |_, spectrum| {
            for (value, mode) in spectrum.iter_mut().zip(&self.modes) {
                *value = value.scale(mode.kernel);
            }
            if let Some(phase) = &self.phase {
                spectrum.iter_mut().zip(phase).for_each(|(value, phase)| *value *= *phase);
            }
            [T::zero(); 2]
        });
    }

    /// Writes ∂L/∂x to `signal`, from the `error` x* - x and the observation's `noise` n, all `[batch, nx,
    /// ny]`. Returns ‖r‖² = ‖P(x* - x) + n‖² of every sample.
    pub fn training_signal(
        &self,
        objective: &Objective,
        error: &[T],
        noise: Option<&[T]>,
        signal: &mut [T],
    ) -> Vec<T> {
        let (nx, ny, cells) = (self.nx, self.ny, self.nx * self.ny);
        let energies = self.filter(error, signal, |pair, spectrum| {
            let noise = noise.map(|noise| {
                let mut noise = pack_pair(&noise[2 * pair * cells..], cells);
                self.fft.forward(&mut noise);
                unwind(&mut noise, self.phase.as_deref());
                noise
            });
            let spectra = Spectra { error: spectrum, noise: noise.as_deref(), nx, ny };
            let energy = spectra.residual_energy(&self.modes);
            let weighings = energy.map(|energy| Weighing::new(objective, energy, nx, cells));
            *spectrum = spectra.training_signal(&self.modes, weighings);
            energy.map(|e| e / T::of(cells as f64))
        });
        energies.into_iter().flatten().take(error.len() / cells).collect()
    }

    /// Applies `f` to the spectra of pairs of samples packed as u + i·v. A filter that is real and even keeps
    /// u and v apart. Returns what `f` returns for every pair.
    fn filter(
        &self,
        input: &[T],
        output: &mut [T],
        f: impl Fn(usize, &mut Vec<Complex<T>>) -> [T; 2] + Sync,
    ) -> Vec<[T; 2]> {
        let cells = self.nx * self.ny;
        input
            .par_chunks(2 * cells)
            .zip(output.par_chunks_mut(2 * cells))
            .enumerate()
            .map(|(pair, (input, output))| {
                let mut spectrum = pack_pair(input, cells);
                self.fft.forward(&mut spectrum);
                let result = f(pair, &mut spectrum);
                self.fft.inverse(&mut spectrum);
                let (u, v) = output.split_at_mut(cells);
                for (u, mode) in u.iter_mut().zip(&spectrum) {
                    *u = mode.re;
                }
                for (v, mode) in v.iter_mut().zip(&spectrum) {
                    *v = mode.im;
                }
                result
            })
            .collect()
    }
}

/// exp(iφ) in the number type T.
pub(super) fn phase_in<T: Real>(operator: &Operator) -> Option<Vec<Complex<T>>> {
    let narrow = |phase: &Complex<f64>| Complex::new(T::of(phase.re), T::of(phase.im));
    operator.phase().map(|phase| phase.iter().map(narrow).collect())
}

/// Times exp(-iφ). What is left of an observation's spectrum is that of an operator without a phase, since
/// the training signal of the error needs none (method §3c).
pub(super) fn unwind<T: Real>(spectrum: &mut [Complex<T>], phase: Option<&[Complex<T>]>) {
    for (value, phase) in spectrum.iter_mut().zip(phase.unwrap_or_default()) {
        *value *= phase.conj();
    }
}

/// u + i·v of the first two fields of `cells` cells; v is zero where there is only one.
fn pack_pair<T: Real>(fields: &[T], cells: usize) -> Vec<Complex<T>> {
    pack(&fields[..cells], fields.get(cells..2 * cells))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Method;
    use crate::model::rng::{Purpose, Random};

    fn noise(n: usize, stream: u64) -> Vec<f64> {
        let mut random = Random::new(Purpose::Cases, 2, stream, 0);
        (0..n).map(|_| random.between(-1.0, 1.0)).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn a_plane_wave_decays_by_its_kernel_and_the_mean_stays() {
        let heat = Operator::heat(16, 32, 3.0).unwrap();
        let physics = Physics::<f64>::new(&heat);
        let wave = |x: usize, y: usize| {
            (std::f64::consts::TAU * (2.0 * x as f64 / 16.0 - 3.0 * y as f64 / 32.0)).cos()
        };
        let input: Vec<f64> = (0..512).map(|i| 0.7 + wave(i / 32, i % 32)).collect();
        let mut output = vec![0.0; 512];
        physics.diffuse(&input, &mut output);
        let k = heat.kernel()[2 * 32 + 29];
        for (i, &value) in output.iter().enumerate() {
            assert!((value - 0.7 - k * wave(i / 32, i % 32)).abs() < 1e-13);
        }
    }

    #[test]
    fn diffusion_is_self_adjoint_and_gd_is_its_square() {
        let heat = Operator::heat(8, 16, 0.7).unwrap();
        let physics = Physics::<f64>::new(&heat);
        let (a, b) = (noise(3 * 128, 0), noise(3 * 128, 1));
        let apply = |x: &[f64]| {
            let mut y = vec![0.0; x.len()];
            physics.diffuse(x, &mut y);
            y
        };
        let (left, right) = (dot(&apply(&a), &b), dot(&a, &apply(&b)));
        assert!((left - right).abs() < 1e-12);
        let mut signal = vec![0.0; a.len()];
        let energies = physics.training_signal(&Method::Gd.into(), &a, None, &mut signal);
        let once = apply(&a);
        for (s, t) in signal.iter().zip(apply(&once)) {
            assert!((s + t).abs() < 1e-13);
        }
        for (sample, energy) in energies.iter().enumerate() {
            let r = &once[sample * 128..][..128];
            assert!((energy - dot(r, r)).abs() < 1e-12);
        }
    }

    #[test]
    fn samples_of_a_pair_do_not_mix() {
        let heat = Operator::heat(16, 16, 8.0).unwrap();
        let physics = Physics::<f64>::new(&heat);
        let (a, b) = (noise(256, 3), noise(256, 4));
        let scaled: Vec<f64> = b.iter().map(|b| 1e3 * b).collect();
        let (mut alone, mut paired) = (vec![0.0; 256], vec![0.0; 512]);
        let sip = Method::Sip.into();
        let energy = physics.training_signal(&sip, &a, None, &mut alone)[0];
        let energies = physics.training_signal(&sip, &[a, scaled].concat(), None, &mut paired);
        assert!((energies[0] / energy - 1.0).abs() < 1e-9);
        for (x, y) in alone.iter().zip(&paired) {
            assert!((x - y).abs() < 1e-9);
        }
    }

    #[test]
    fn noise_joins_the_residual_and_its_inverse() {
        let heat = Operator::heat(16, 8, 0.05).unwrap();
        let physics = Physics::<f64>::new(&heat);
        let (error, noise) = (noise(3 * 128, 5), noise(3 * 128, 6));
        let mut residual = vec![0.0; error.len()];
        physics.diffuse(&error, &mut residual);
        residual.iter_mut().zip(&noise).for_each(|(r, n)| *r += n);
        let mut signal = vec![0.0; error.len()];
        // The assumed noise is far below the residual: every mode is inverted or nearly so, and P maps the
        // update to -r.
        let objective = Objective { method: Method::Sip, uncertainty: 1e-12, noise: 1e-9 };
        let energies = physics.training_signal(&objective, &error, Some(&noise), &mut signal);
        let mut again = vec![0.0; error.len()];
        physics.diffuse(&signal, &mut again);
        for sample in 0..3 {
            let range = sample * 128..(sample + 1) * 128;
            let (r, a) = (&residual[range.clone()], &again[range]);
            assert!((energies[sample] - dot(r, r)).abs() < 1e-11);
            let left: f64 = r.iter().zip(a).map(|(r, a)| (r + a).powi(2)).sum();
            assert!(left.sqrt() <= 1e-6 * dot(r, r).sqrt(), "{left}");
        }
        // GD is the adjoint of the residual.
        physics.training_signal(&Method::Gd.into(), &error, Some(&noise), &mut signal);
        physics.diffuse(&residual, &mut again);
        assert!(signal.iter().zip(&again).all(|(s, a)| (s + a).abs() < 1e-12));
    }
}
