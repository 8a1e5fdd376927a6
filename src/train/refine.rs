//! Refinement of a prediction against its observation, by damped inverses that are only kept where they help.

use super::Diffusion;
use crate::Result;

/// A step is halved at most this often before a sample is left as it is.
const HALVINGS: u32 = 6;

/// What refinement did to every sample, `[batch]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Refined {
    /// The fields, `[batch, nx, ny]`.
    pub x: Vec<f64>,
    /// ‖y - P(x)‖ before.
    pub before: Vec<f64>,
    /// ‖y - P(x)‖ after, never more than before.
    pub after: Vec<f64>,
    /// Updates that were kept.
    pub updates: Vec<usize>,
}

/// Applies at most `updates` damped inverses of y - P(x) to predictions x, `[batch, nx, ny]`, given the standard
/// deviation `noise` of a cell of y.
///
/// An update is kept if it lowers its sample's misfit ‖y - P(x)‖, else half of it is tried, and so on; a sample that
/// no step helps is finished. So no misfit ever rises.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device).
pub fn refine(diffusion: &Diffusion, noise: f64, y: &[f64], x: &[f64], updates: usize) -> Result<Refined> {
    let cells = diffusion.cells();
    let noise = diffusion.floored(y, noise);
    let (before, mut residual) = diffusion.misfit(y, x)?;
    let mut refined = Refined { x: x.to_vec(), after: before.clone(), updates: vec![0; before.len()], before };
    let mut active = vec![true; noise.len()];
    for _ in 0..updates {
        let dx = diffusion.damped_inverse(&residual, &noise)?;
        let mut waiting = active.clone();
        let mut step = 1.0;
        for _ in 0..=HALVINGS {
            if !waiting.contains(&true) {
                break;
            }
            let candidate: Vec<f64> = refined.x.iter().zip(&dx).map(|(x, dx)| x + step * dx).collect();
            let (misfit, left) = diffusion.misfit(y, &candidate)?;
            for sample in (0..waiting.len()).filter(|&i| waiting[i]).collect::<Vec<_>>() {
                if misfit[sample] < refined.after[sample] {
                    let range = sample * cells..(sample + 1) * cells;
                    refined.x[range.clone()].copy_from_slice(&candidate[range.clone()]);
                    residual[range.clone()].copy_from_slice(&left[range]);
                    refined.after[sample] = misfit[sample];
                    refined.updates[sample] += 1;
                    waiting[sample] = false;
                }
            }
            step *= 0.5;
        }
        active.iter_mut().zip(&waiting).for_each(|(active, waiting)| *active &= !waiting);
        if !active.contains(&true) {
            break;
        }
    }
    Ok(refined)
}
