//! The restoration that suits a sample, from what total variation makes of it.
//!
//! Wiener's filter and total variation expect different things of a field, smooth waves and flat regions, and
//! err differently: the mean of both is often nearer to the truth than either. How flat total variation's own
//! solution is tells which of them is right. The lines below were fitted to eight photographs and to random
//! rectangles (BENCHMARKS.md); between their ends the mean loses little against the best weight.

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::total_variation::{self, TotalVariation};
use crate::restore::methods::{Outcome, wiener};

/// Total variation has no weight up to the first part of the corners that are flat, and all of it from the
/// second one...
const BY_FLAT: [f64; 2] = [0.08, 0.32];

/// ...and up to these parts where edges lie along the axes: there a grid of smooth waves, such as a wall of
/// bricks, looks flat too.
const BY_FLAT_ALONG_AXES: [f64; 2] = [0.2, 0.5];

/// From the second slant on edges have no direction, up to the first they lie along the axes.
const SLANTS: [f64; 2] = [0.9, 0.93];

/// Fields of more cells than this are too large for the iterations of total variation: a picture of 12
/// megapixels is to be restored within half a minute on two cores.
const MOST_CELLS: usize = 1 << 20;

pub(super) fn restore(blur: &Blur, y: &[f64], spectrum: &Spectrum) -> Result<Outcome> {
    let mut x = wiener::restore(blur, y, spectrum)?;
    if blur.cells() > MOST_CELLS {
        let chosen = Some("Wiener, the field being large".to_owned());
        return Ok(Outcome { chosen, ..x.into() });
    }
    let flat = total_variation::restore(blur, y, spectrum, TotalVariation::USUAL, 0.0)?;
    let ramp = |at: f64, [from, to]: [f64; 2]| ((at - from) / (to - from)).clamp(0.0, 1.0);
    let along_axes = 1.0 - ramp(flat.slant, SLANTS);
    let between = |i: usize| BY_FLAT[i] + along_axes * (BY_FLAT_ALONG_AXES[i] - BY_FLAT[i]);
    let weight = ramp(flat.flat, [between(0), between(1)]);
    x.iter_mut().zip(&flat.x).for_each(|(x, flat)| *x += weight * (flat - *x));
    let chosen = match (100.0 * weight).round() {
        0.0 => "Wiener".to_owned(),
        100.0 => "total variation".to_owned(),
        part => format!("{part} % total variation, the rest Wiener"),
    };
    Ok(Outcome { chosen: Some(chosen), ..x.into() })
}
