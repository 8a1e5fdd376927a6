//! Whether more diffusion was told than lies behind an observation.
//!
//! Too large an amount makes waves of an inverse that grow the shorter they are, and nothing in the result
//! says so: it explains the observation. The observation alone knows better.

use crate::Result;
use crate::model::operator::factor::Factor;
use crate::restore::Frame;
use crate::restore::measurement::amount::most;
use crate::restore::measurement::some;
use crate::restore::spectral::grid::{Edges, Grid};
use rayon::prelude::*;

/// Fields that are asked by themselves, lest one that is unlike the others speaks for all.
const FEW: usize = 4;

/// Fields that are asked together where none of those tells anything: small ones.
const TOGETHER: usize = 8;

/// Of a larger field a piece of this many cells along each axis tells enough.
const PIECE: usize = 1024;

/// No difference smaller than this part is worth a word.
const SLIGHT: f64 = 0.01;

/// That the fields y `[batch, nx, ny]`, whose numbers are rounded with the standard deviation `rounding`,
/// show less diffusion than these factors make, in words: at least half of those that tell anything. None of
/// factors that are not heat, Gaussians or shifts. Of heat with another amount along either axis the smaller
/// one counts.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for a size that no grid has.
pub fn too_much(frame: &Frame, factors: &[Factor], y: &[f64], rounding: f64) -> Result<Option<String>> {
    let Some(told) = factors.iter().map(amount).sum::<Option<f64>>() else { return Ok(None) };
    let whole = frame.grid()?;
    let grid = match (whole.edges(), whole.size()) {
        (Edges::Insulated, [nx, ny]) => Grid::new(nx.min(PIECE), ny.min(PIECE), Edges::Insulated)?,
        (Edges::Periodic, _) => whole.clone(),
    };
    let few = |count: usize| pieces(&some(y, whole.cells(), count), whole.size(), grid.size());
    let fields = few(FEW);
    let mut found: Vec<f64> =
        fields.par_chunks(grid.cells()).filter_map(|field| most(&grid, field, rounding)).collect();
    if found.is_empty() && y.len() > whole.cells() {
        found.extend(most(&grid, &few(TOGETHER), rounding));
    }
    let exceeded: Vec<f64> = found.iter().copied().filter(|most| told > (1.0 + SLIGHT) * most).collect();
    if exceeded.is_empty() || 2 * exceeded.len() < found.len() {
        return Ok(None);
    }
    let most = exceeded.into_iter().fold(0.0, f64::max);
    Ok(Some(match factors {
        [Factor::Gaussian(_)] => {
            let [shown, told] = [most, told].map(|amount| (2.0 * amount).sqrt());
            format!(
                "the observation shows no more than gaussian:{shown:.2}, not gaussian:{told:.2} as told: \
                 with too much of it a result can be worse than its observation"
            )
        }
        _ => format!(
            "the observation shows no more than {most:.2} cells² of diffusion, not {told:.2} as told: with \
             too much of it a result can be worse than its observation; restore --amount auto estimates it"
        ),
    }))
}

/// The amount of diffusion in a factor, or the smaller one: heat spreads like a Gaussian with σ² = 2·amount.
fn amount(factor: &Factor) -> Option<f64> {
    match *factor {
        Factor::Heat([along_x, along_y]) => Some(along_x.min(along_y)),
        Factor::Gaussian(sigma) => Some(0.5 * sigma * sigma),
        Factor::Advection(_) => Some(0.0),
        _ => None,
    }
}

/// Pieces `[batch, mx, my]` from the middle of fields `[batch, nx, ny]`.
fn pieces(fields: &[f64], [nx, ny]: [usize; 2], [mx, my]: [usize; 2]) -> Vec<f64> {
    let (left, top) = ((nx - mx) / 2, (ny - my) / 2);
    let rows = |field: &'_ [f64]| -> Vec<f64> {
        let rows = field.chunks_exact(ny).skip(left).take(mx);
        rows.flat_map(|row| row[top..][..my].iter().copied()).collect()
    };
    fields.chunks_exact(nx * ny).flat_map(rows).collect()
}
