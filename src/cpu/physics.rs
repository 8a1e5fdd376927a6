//! Diffusion and the training signal for whole batches: rayon over pairs of samples (SPEC 2 and 3b).

use super::Real;
use super::damp::{self, Mode};
use super::fft::{Fft, pack};
use crate::model::{HeatEquation, Method};
use num_complex::Complex;
use rayon::prelude::*;

/// The tables of one heat equation in the precision T.
pub struct Physics<T> {
    nx: usize,
    ny: usize,
    modes: Vec<Mode<T>>,
    fft: Fft<T>,
}

impl<T: Real> Physics<T> {
    /// Computes the tables in f64 and rounds them.
    pub fn new(heat: &HeatEquation) -> Self {
        Self::with_kernel(heat, &heat.kernel())
    }

    /// With another filter than diffusion in place of K, real and even, `[nx, ny]`.
    pub fn with_kernel(heat: &HeatEquation, kernel: &[f64]) -> Self {
        let tables = heat.log_kernel().into_iter().zip(kernel.iter().copied());
        Self {
            nx: heat.nx,
            ny: heat.ny,
            modes: tables.map(|(l, k)| Mode { log_kernel: T::of(l), kernel: T::of(k) }).collect(),
            fft: Fft::new(heat.nx, heat.ny),
        }
    }

    /// y = P(x) = F⁻¹(K·F(x)) for `[batch, nx, ny]` fields.
    pub fn diffuse(&self, x: &[T], y: &mut [T]) {
        self.filter(x, y, |spectrum| {
            for (value, mode) in spectrum.iter_mut().zip(&self.modes) {
                *value = value.scale(mode.kernel);
            }
            [T::zero(); 2]
        });
    }

    /// ∂L/∂x from the error x* - x, `[batch, nx, ny]`; returns ‖r‖² = ‖P(x* - x)‖² of every sample.
    pub fn training_signal(&self, method: Method, error: &[T], signal: &mut [T]) -> Vec<T> {
        let cells = T::of((self.nx * self.ny) as f64);
        let energies = self.filter(error, signal, |spectrum| {
            let energy = damp::residual_energy(spectrum, &self.modes, self.nx, self.ny);
            *spectrum = damp::damp(method, spectrum, &self.modes, energy, self.nx, self.ny);
            energy.map(|e| e / cells)
        });
        energies.into_iter().flatten().take(error.len() / (self.nx * self.ny)).collect()
    }

    /// Applies `f` to the spectra of pairs of samples packed as u + i·v, which real filters keep apart.
    fn filter(
        &self,
        input: &[T],
        output: &mut [T],
        f: impl Fn(&mut Vec<Complex<T>>) -> [T; 2] + Sync,
    ) -> Vec<[T; 2]> {
        let cells = self.nx * self.ny;
        input
            .par_chunks(2 * cells)
            .zip(output.par_chunks_mut(2 * cells))
            .map(|(input, output)| {
                let (u, v) = input.split_at(cells);
                let mut spectrum = pack(u, (!v.is_empty()).then_some(v));
                self.fft.forward(&mut spectrum);
                let result = f(&mut spectrum);
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

#[cfg(test)]
mod tests {
    use super::*;
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
        let heat = HeatEquation::new(16, 32, 3.0).unwrap();
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
        let heat = HeatEquation::new(8, 16, 0.7).unwrap();
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
        let energies = physics.training_signal(Method::Gd, &a, &mut signal);
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
        let heat = HeatEquation::new(16, 16, 8.0).unwrap();
        let physics = Physics::<f64>::new(&heat);
        let (a, b) = (noise(256, 3), noise(256, 4));
        let scaled: Vec<f64> = b.iter().map(|b| 1e3 * b).collect();
        let (mut alone, mut paired) = (vec![0.0; 256], vec![0.0; 512]);
        let energy = physics.training_signal(Method::Sip, &a, &mut alone)[0];
        let energies = physics.training_signal(Method::Sip, &[a, scaled].concat(), &mut paired);
        assert!((energies[0] / energy - 1.0).abs() < 1e-9);
        for (x, y) in alone.iter().zip(&paired) {
            assert!((x - y).abs() < 1e-9);
        }
    }
}
