//! Signs that a restored field cannot be right.

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::{NoiseLevel, Source, Spectrum};

/// The part of the samples that may lie beyond black and white more than in the observation.
const CLIPPED: f64 = 0.05;

/// Diffusion takes from a field's spread, but seldom so much that it has to grow by more than this.
const SPREAD: f64 = 4.0;

/// A restoration explains its observation up to this many times the noise.
const MISFIT: f64 = 2.0;

/// No misfit below this part of the observation's spread is worth a word: iterations end there.
const NEGLIGIBLE: f64 = 1e-3;

/// A told noise is doubted where the sample shows this many times as much, or as little.
const DOUBT: f64 = 1.5;

/// What cannot be right about `x`, restored from one sample `y`, in words; none where nothing is found.
///
/// `bounds` are those of the file that x goes to: 0 and 1 for pictures of 8 and 16 bits.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device).
pub fn check(
    blur: &Blur,
    y: &[f64],
    x: &[f64],
    spectrum: &Spectrum,
    level: NoiseLevel,
    bounds: Option<(f64, f64)>,
) -> Result<Option<String>> {
    if let (NoiseLevel::Told(told), Some(found), Source::Told) = (level, spectrum.found, spectrum.source)
        && found > DOUBT * spectrum.noise
    {
        return Ok(Some(format!(
            "the observation shows noise of {found:.2e}, not of {told:.2e} as told; --noise auto takes what \
             it shows"
        )));
    }
    if let Some(doubt) = cut_off(y, x, bounds) {
        return Ok(Some(doubt));
    }
    let spread = spread(x) / spectrum.spread;
    if blur.keeps_unit() && spectrum.spread > 0.0 && spread > SPREAD {
        return Ok(Some(format!("the result varies {spread:.1} times as much as the observation")));
    }
    let residual = blur.residual(y, x)?;
    let rms = rms(&residual);
    let noise = spectrum.noise.max(spectrum.found.unwrap_or(0.0));
    if rms > (MISFIT * noise).max(NEGLIGIBLE * spectrum.spread) {
        return Ok(Some(format!(
            "diffused again, the result misses the observation by {rms:.2e} per cell, the noise being \
             {noise:.2e}"
        )));
    }
    Ok(None)
}

/// That samples of `x` lie beyond the `bounds` of their file, more than those of `y`, which it was computed
/// from, lie at them, in words.
pub fn cut_off(y: &[f64], x: &[f64], bounds: Option<(f64, f64)>) -> Option<String> {
    let (low, high) = bounds?;
    let beyond = |v: &&f64| **v < low || **v > high;
    let at_end = |v: &&f64| **v <= low || **v >= high;
    let share = |count: usize| count as f64 / y.len() as f64;
    let more = share(x.iter().filter(beyond).count()) - share(y.iter().filter(at_end).count());
    let part = 100.0 * more;
    (more > CLIPPED).then(|| format!("{part:.1} % of the samples are cut off at black or white"))
}

fn spread(x: &[f64]) -> f64 {
    let mean = crate::cpu::reduce::mean(x);
    rms(&x.iter().map(|v| v - mean).collect::<Vec<_>>())
}

/// The root of the mean square, also of values whose squares are no numbers.
fn rms(values: &[f64]) -> f64 {
    let largest = values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    largest * (values.iter().map(|v| (v / largest).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
