//! Wiener's filter, X = S·H̄·Y/(S·|H|² + σ²): the best linear restoration where signal and noise are normal
//! and their powers S and σ² known. Both come from the observation.

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;

pub(super) fn restore(blur: &Blur, y: &[f64], spectrum: &Spectrum) -> Result<Vec<f64>> {
    let noise = spectrum.noise * spectrum.noise;
    let filter = blur.turning_back(|mode, wave| {
        if mode.squared == 0.0 {
            return 1.0;
        }
        let (signal, kernel) = (spectrum.signal.power(mode.squared), wave.size());
        let expected = signal * kernel;
        if expected == 0.0 { 0.0 } else { expected / (expected * kernel + noise) }
    });
    blur.filter(y, &filter)
}
