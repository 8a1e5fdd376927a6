//! The damped inverse (method §3) of observations of any size, unit and edges.
//!
//! It expects a signal of the same amplitude in all waves. The reference system expects nx, which fits fields
//! of about its random rectangles' height and knows one axis only. Here the amplitude is a multiple of the
//! observation's own spread, so that a field in other units, or turned by 90 degrees, is restored alike.

use crate::Result;
use crate::cpu::heat::inverse::damping;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use rayon::prelude::*;

/// The expected amplitude of a wave in spreads of the observation: 1 for random rectangles of height 0 to 1
/// that are diffused by 8 cells².
const EXPECTED: f64 = 4.0;

/// One damped inverse of the observation.
pub(super) fn one_shot(blur: &Blur, y: &[f64], spectrum: &Spectrum) -> Result<Vec<f64>> {
    damped_inverse(blur, y, spectrum)
}

/// x += damped inverse of y - P(x), from x = 0, until the result explains the observation up to its noise.
pub(super) fn iterated(blur: &Blur, y: &[f64], spectrum: &Spectrum, iterations: usize) -> Result<Vec<f64>> {
    let explained = spectrum.unexplained(y.len());
    let mut x = vec![0.0; y.len()];
    for _ in 0..iterations {
        let residual = blur.residual(y, &x)?;
        if residual.iter().map(|r| r * r).sum::<f64>() <= explained {
            break;
        }
        let dx = damped_inverse(blur, &residual, spectrum)?;
        x.iter_mut().zip(&dx).for_each(|(x, dx)| *x += dx);
    }
    Ok(x)
}

/// The damped inverse of the residual of an observation with this spectrum.
pub(in crate::restore) fn damped_inverse(
    blur: &Blur,
    residual: &[f64],
    spectrum: &Spectrum,
) -> Result<Vec<f64>> {
    // What leaves less of all waves makes the spread smaller.
    let expected = EXPECTED * spectrum.spread / blur.gain();
    if let Some(inverted) = blur.damped_on_gpu(residual, expected, spectrum.noise) {
        return inverted;
    }
    let grid = blur.grid();
    let mut waves = residual.to_vec();
    grid.forward(&mut waves);
    let amplitudes = grid.amplitudes(&waves);
    let log_kernel = blur.table(|_, wave| wave.log_kernel);
    waves.par_iter_mut().zip(&amplitudes).zip(&log_kernel).for_each(|((wave, &amplitude), &log_kernel)| {
        let signal = expected * (-log_kernel).exp();
        *wave *= damping(amplitude, log_kernel, signal, spectrum.noise).1;
    });
    blur.multiply(&mut waves, &blur.turning_back(|_, _| 1.0));
    grid.inverse(&mut waves);
    Ok(waves)
}
