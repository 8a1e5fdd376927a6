//! Whether more diffusion was told than lies behind an observation.
//!
//! Too large an amount makes waves of an inverse that grow the shorter they are, and nothing in the result
//! says so: it explains the observation. The observation alone knows better.

use crate::Result;
use crate::model::operator::factor::Factor;
use crate::restore::Frame;
use crate::restore::measurement::amount::most;
use crate::restore::measurement::some;

/// Fields that are asked.
const FEW: usize = 8;

/// That the fields y `[batch, nx, ny]`, whose numbers are rounded with the standard deviation `rounding`,
/// show less diffusion than these factors make, in words; none of factors that are not heat or Gaussians, the same
/// along both axes.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for a size that no grid has.
pub fn too_much(frame: &Frame, factors: &[Factor], y: &[f64], rounding: f64) -> Result<Option<String>> {
    let Some(told) = factors.iter().map(amount).sum::<Option<f64>>() else { return Ok(None) };
    let grid = frame.grid()?;
    let most = most(&grid, &some(y, grid.cells(), FEW), rounding);
    Ok(most.filter(|most| told > *most).map(|most| {
        let words = |amount: f64| match factors {
            [Factor::Gaussian(_)] => format!("gaussian:{:.2}", (2.0 * amount).sqrt()),
            _ => format!("{amount:.2} cells² of diffusion"),
        };
        format!(
            "the observation shows no more than {}, not {} as told: with too much of it a result can be \
             worse than its observation",
            words(most),
            words(told)
        )
    }))
}

/// The amount of diffusion in a factor: heat spreads like a Gaussian with σ² = 2·amount.
fn amount(factor: &Factor) -> Option<f64> {
    match *factor {
        Factor::Heat([along_x, along_y]) if along_x == along_y => Some(along_x),
        Factor::Gaussian(sigma) => Some(0.5 * sigma * sigma),
        _ => None,
    }
}
