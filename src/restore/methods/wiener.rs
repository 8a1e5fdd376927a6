//! Wiener's filter, X = S·K·Y/(S·K² + σ²): the best linear restoration where signal and noise are normal and
//! their powers S and σ² known. Both come from the observation.

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;

pub(super) fn restore(blur: &Blur, y: &[f64], spectrum: &Spectrum) -> Result<Vec<f64>> {
    let noise = spectrum.noise * spectrum.noise;
    let factor = blur.factor(|mode| {
        if mode.squared == 0.0 {
            return 1.0;
        }
        let (signal, kernel) = (spectrum.signal.power(mode.squared), blur.kernel(mode));
        let expected = signal * kernel;
        if expected == 0.0 { 0.0 } else { expected / (expected * kernel + noise) }
    });
    blur.filter(y, &factor)
}
