//! The restoration that suits a sample, from what total variation makes of it.
//!
//! Wiener's filter and total variation expect different things of a field, smooth waves and flat regions, and
//! err differently: the mean of both is often nearer to the truth than either. How flat total variation's own
//! solution is tells which of them is right. The lines below were fitted to eight photographs and to random
//! rectangles (BENCHMARKS.md); between their ends the mean loses little against the best weight.

use crate::Result;
use crate::restore::Diffusion;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::total_variation::{self, TotalVariation};
use crate::restore::methods::{Outcome, wiener};

/// With this part of the cells flat total variation has no weight...
const NONE: f64 = 0.08;

/// ...and with this part all of it.
const ALL: f64 = 0.32;

/// The power of a field with jumps falls with the third power of the wavenumber. Where it falls by much more
/// there are none: total variation has all its weight up to the first slope and none from the second.
const SMOOTH: [f64; 2] = [4.25, 4.75];

/// Fields of more cells than this are too large for the iterations of total variation.
const MOST_CELLS: usize = 4 << 20;

pub(super) fn restore(diffusion: &Diffusion, y: &[f64], spectrum: &Spectrum) -> Result<Outcome> {
    let mut x = wiener::restore(diffusion, y, spectrum)?;
    if diffusion.cells() > MOST_CELLS {
        let chosen = Some("Wiener, the field being large".to_owned());
        return Ok(Outcome { x, chosen, warning: None });
    }
    let flat = total_variation::restore(diffusion, y, spectrum, TotalVariation::USUAL, 0.0)?;
    let jumps = (SMOOTH[1] - spectrum.signal.slope) / (SMOOTH[1] - SMOOTH[0]);
    let weight = ((flat.flat - NONE) / (ALL - NONE)).clamp(0.0, 1.0) * jumps.clamp(0.0, 1.0);
    x.iter_mut().zip(&flat.x).for_each(|(x, flat)| *x += weight * (flat - *x));
    let chosen = match (100.0 * weight).round() {
        0.0 => "Wiener".to_owned(),
        100.0 => "total variation".to_owned(),
        part => format!("{part} % total variation, the rest Wiener"),
    };
    Ok(Outcome { x, chosen: Some(chosen), warning: None })
}
