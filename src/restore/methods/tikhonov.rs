//! Tikhonov's filter, X = H̄·Y/(|H|² + λ).

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::Outcome;
use crate::restore::outcome::uncertainty::Expected;

/// With one λ for all waves: the given one, or the one with which the filter explains the sample up to its
/// noise and no better, ‖y - P(x)‖² = N·σ² (Morozov's discrepancy principle), as far as noise and signal
/// allow it.
///
/// A filter whose λ is less than σ²/S lets more noise in than signal, where S is the most power that the
/// signal can have in waves that the noise covers. No λ below that is used, whatever the noise is said to be:
/// where less noise is told than there is, the discrepancy principle would go to λ = 0.
pub(super) fn restore(blur: &Blur, y: &[f64], spectrum: &Spectrum, lambda: Option<f64>) -> Result<Outcome> {
    let (lambda, warning) = match lambda {
        Some(lambda) => (lambda, None),
        None => discrepancy(blur, y, spectrum),
    };
    let filter = blur.turning_back(|mode, wave| {
        let kernel = wave.size();
        if mode.squared == 0.0 { 1.0 } else { kernel / (kernel * kernel + lambda) }
    });
    let expected = Some(Expected::White { lambda });
    Ok(Outcome { x: blur.filter(y, &filter)?, chosen: None, warning, expected })
}

/// An operator that leaves this part of the power of every wave makes noise at most ten times as high.
const HARMLESS: f64 = 1e-2;

fn discrepancy(blur: &Blur, y: &[f64], spectrum: &Spectrum) -> (f64, Option<String>) {
    let grid = blur.grid();
    let mut waves = y.to_vec();
    grid.forward(&mut waves);
    let kernel2 = blur.table(|_, wave| wave.size().powi(2));
    let left = |lambda: f64| -> f64 {
        let of = |(wave, k2): (&f64, &f64)| (wave * lambda / (k2 + lambda)).powi(2);
        waves.iter().zip(&kernel2).skip(1).map(of).sum()
    };
    let noise = spectrum.noise * spectrum.noise;
    let found = bisect(left, noise * y.len() as f64);
    // Where the sample itself tells more noise than it is said to have, its own word counts here.
    let really = spectrum.found.map_or(noise, |found| noise.max(found * found));
    let least = really / spectrum.bound.max(f64::MIN_POSITIVE);
    // Where every wave is left, none of the noise can be made so large.
    let weakest = kernel2.iter().copied().fold(f64::INFINITY, f64::min);
    if found >= least || weakest > HARMLESS {
        return (found, None);
    }
    let told_too_little = spectrum.found.is_some_and(|found| spectrum.noise < 0.9 * found);
    let warning = told_too_little
        .then(|| "no λ explains so little noise; the least that signal and noise allow was used".to_owned());
    (least, warning)
}

/// The λ at which an increasing function reaches `target`, or the nearest end of a range beyond which nothing
/// changes.
fn bisect(f: impl Fn(f64) -> f64, target: f64) -> f64 {
    let (mut low, mut high) = (1e-30f64.ln(), 1e8f64.ln());
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        if f(middle.exp()) < target { low = middle } else { high = middle }
    }
    (0.5 * (low + high)).exp()
}
