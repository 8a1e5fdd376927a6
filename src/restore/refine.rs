//! Refines a prediction against its observation by damped inverses, and keeps only those that help.

use crate::Result;
use crate::restore::Diffusion;

/// A step that does not help is halved at most this often; then its sample is left as it is.
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

/// Applies at most `updates` damped inverses of y - P(x) to predictions x, `[batch, nx, ny]`, given the
/// standard deviation `noise` of a cell of y.
///
/// Where `bounds` are given (for pictures 0 and 1), values are clamped to them: first those of x, then every
/// update's.
///
/// An update is kept if it lowers its sample's misfit ‖y - P(x)‖. Otherwise half of it is tried, and so on; a
/// sample that no step helps is finished. So no misfit ever rises.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device).
pub fn refine(
    diffusion: &Diffusion,
    noise: f64,
    y: &[f64],
    x: &[f64],
    updates: usize,
    bounds: Option<(f64, f64)>,
) -> Result<Refined> {
    let bounded = |value: f64| bounds.map_or(value, |(low, high)| value.clamp(low, high));
    let x: Vec<f64> = x.iter().map(|&x| bounded(x)).collect();
    let cells = diffusion.cells();
    let noise = diffusion.floored(y, noise);
    let (before, mut residual) = diffusion.misfit(y, &x)?;
    let mut refined = Refined { x, after: before.clone(), updates: vec![0; before.len()], before };
    let mut active = vec![true; noise.len()];
    for _ in 0..updates {
        let dx = diffusion.damped_inverse(&residual, &noise)?;
        let mut waiting = active.clone();
        let mut step = 1.0;
        for _ in 0..=HALVINGS {
            if !waiting.contains(&true) {
                break;
            }
            let candidate: Vec<f64> =
                refined.x.iter().zip(&dx).map(|(x, dx)| bounded(x + step * dx)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Device;
    use crate::model::{DType, HeatEquation};

    #[test]
    fn no_misfit_rises_and_what_helps_is_kept() {
        let heat = HeatEquation::new(32, 32, 4.0).unwrap();
        let diffusion = Diffusion::periodic(&Device::Cpu, DType::F64, &heat);
        let square =
            |i: usize| if (8..20).contains(&(i / 32)) && (5..25).contains(&(i % 32)) { 1.0 } else { 0.0 };
        let truth: Vec<f64> = (0..1024).map(square).collect();
        let rough: Vec<f64> = (0..1024).map(|i| ((i * i) % 97) as f64 / 97.0).collect();
        let observed = diffusion.apply(&truth).unwrap();
        let noisy: Vec<f64> = observed.iter().zip(&rough).map(|(y, r)| y + 0.5 * (r - 0.5)).collect();
        // Nothing known, the solution itself, rubbish against noise far above what is claimed.
        let y = [observed.clone(), observed, noisy].concat();
        let x = [vec![0.0; 1024], truth.clone(), rough].concat();
        let refined = refine(&diffusion, 1e-4, &y, &x, 8, None).unwrap();
        let (misfit, _) = diffusion.misfit(&y, &refined.x).unwrap();
        for sample in 0..3 {
            assert!(refined.after[sample] <= refined.before[sample], "{refined:?}");
            assert_eq!(misfit[sample], refined.after[sample], "the number told is that of the field");
        }
        assert!(refined.after[0] < 1e-2 * refined.before[0] && refined.updates[0] > 0);
        assert!(refined.updates[2] > 0);
        let distance = |x: &[f64]| x.iter().zip(&truth).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        assert!(distance(&refined.x[..1024]) < 0.2 * distance(&[0.0; 1024]));
    }

    #[test]
    fn bounds_hold_and_the_misfit_still_falls() {
        let heat = HeatEquation::new(32, 32, 4.0).unwrap();
        let diffusion = Diffusion::periodic(&Device::Cpu, DType::F64, &heat);
        let truth: Vec<f64> = (0..1024).map(|i| f64::from((8..20).contains(&(i / 32)))).collect();
        let y = diffusion.apply(&truth).unwrap();
        let refined = refine(&diffusion, 1e-3, &y, &[1.5; 1024], 5, Some((0.0, 1.0))).unwrap();
        assert!(refined.x.iter().all(|x| (0.0..=1.0).contains(x)));
        let (ones, _) = diffusion.misfit(&y, &[1.0; 1024]).unwrap();
        assert_eq!(refined.before, ones, "that of the values within bounds");
        assert!(refined.after[0] < 0.1 * refined.before[0], "{:?}", refined.after);
    }

    #[test]
    fn without_updates_nothing_changes() {
        let heat = HeatEquation::new(8, 8, 1.0).unwrap();
        let diffusion = Diffusion::periodic(&Device::Cpu, DType::F64, &heat);
        let refined = refine(&diffusion, 1e-3, &[1.0; 64], &[0.5; 64], 0, None).unwrap();
        assert_eq!(
            (refined.x, refined.before.clone(), refined.updates),
            (vec![0.5; 64], refined.after, vec![0])
        );
        assert!((refined.before[0] - 4.0).abs() < 1e-12);
    }
}
