//! Richardson-Lucy, x *= Pᵀ(y/P(x)), for fields that nowhere go below their ground.
//!
//! More and more iterations fit the noise. They end where the result explains the observation up to its
//! noise.
//!
//! The method is made for counts, whose ground is zero. Here the ground is the lowest value that the
//! observation has behind its noise, so that a constant added to the field is added to the result.

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::wiener;

/// Where less than this part of the mean is seen, rounding may leave P(x) at zero or below. Such cells teach
/// nothing.
const UNSEEN: f64 = 1e-12;

pub(super) fn restore(blur: &Blur, y: &[f64], spectrum: &Spectrum, iterations: usize) -> Result<Vec<f64>> {
    let without_noise = blur.apply(&wiener::restore(blur, y, spectrum)?)?;
    let ground = without_noise.into_iter().fold(f64::INFINITY, f64::min);
    let y: Vec<f64> = y.iter().map(|v| (v - ground).max(0.0)).collect();
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let mut x = vec![mean; y.len()];
    let explained = spectrum.unexplained(y.len());
    let [forth, back] = [blur.turning(|_, wave| wave.size()), blur.turning_back(|_, wave| wave.size())];
    for _ in 0..iterations {
        let seen = blur.filter(&x, &forth)?;
        let misfit: f64 = y.iter().zip(&seen).map(|(y, p)| (y - p).powi(2)).sum();
        if misfit <= explained {
            break;
        }
        let ratio: Vec<f64> =
            y.iter().zip(&seen).map(|(y, p)| if *p > UNSEEN * mean { y / p } else { 1.0 }).collect();
        for (x, factor) in x.iter_mut().zip(blur.filter(&ratio, &back)?) {
            *x *= factor.max(0.0);
        }
    }
    x.iter_mut().for_each(|v| *v += ground);
    Ok(x)
}
