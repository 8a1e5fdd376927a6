//! Refines a prediction against its observation by damped inverses, and keeps only those that help.

use crate::Result;
use crate::model::noise;
use crate::restore::Blur;
use crate::restore::measurement::spectrum::Analyser;
use crate::restore::measurement::{NoiseLevel, Spectrum};
use crate::restore::methods::damped_inverse;
use rayon::prelude::*;

/// A step that does not help is halved at most this often; then its sample is left as it is.
const HALVINGS: i32 = 6;

/// What refinement did to every sample, `[batch]`.
#[derive(Clone, Debug, Default)]
pub struct Refined {
    /// The fields, `[batch, nx, ny]`.
    pub x: Vec<f64>,
    /// ‖y - P(x)‖ before.
    pub before: Vec<f64>,
    /// ‖y - P(x)‖ after, never more than before.
    pub after: Vec<f64>,
    /// Updates that were kept.
    pub updates: Vec<usize>,
    /// What each observation tells of its noise.
    pub spectra: Vec<Spectrum>,
}

/// Applies at most `updates` damped inverses of y - P(x) to predictions x, `[batch, nx, ny]`, for noise of
/// this level in y, whose numbers are rounded with the standard deviation `rounding`.
///
/// Where `bounds` are given (for pictures 0 and 1), values are clamped to them: first those of x, then every
/// update's.
///
/// An update is kept if it lowers its sample's misfit ‖y - P(x)‖. Otherwise half of it is tried, and so on; a
/// sample that no step helps is finished, and so is one that explains y up to its noise: what is left then is
/// noise. So no misfit ever rises.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for a noise that is no standard deviation;
/// [`Error::Device`](crate::Error::Device).
pub fn refine(
    blur: &Blur,
    noise: NoiseLevel,
    rounding: f64,
    y: &[f64],
    x: &[f64],
    updates: usize,
    bounds: Option<(f64, f64)>,
) -> Result<Refined> {
    if let NoiseLevel::Told(noise) = noise {
        noise::check(noise)?;
    }
    let analyser = Analyser::new(blur);
    let cells = blur.cells();
    let mut refined = Refined::default();
    let spectrum = |y: &[f64]| analyser.analyse(y, noise, rounding);
    let spectra: Vec<Spectrum> = y.par_chunks_exact(cells).map(spectrum).collect();
    for ((y, x), spectrum) in y.chunks_exact(cells).zip(x.chunks_exact(cells)).zip(spectra) {
        let sample = refine_one(blur, &spectrum, y, x, updates, bounds)?;
        refined.x.extend(sample.x);
        refined.before.extend(sample.before);
        refined.after.extend(sample.after);
        refined.updates.extend(sample.updates);
        refined.spectra.push(spectrum);
    }
    Ok(refined)
}

fn refine_one(
    blur: &Blur,
    spectrum: &Spectrum,
    y: &[f64],
    x: &[f64],
    updates: usize,
    bounds: Option<(f64, f64)>,
) -> Result<Refined> {
    let bounded = |value: f64| bounds.map_or(value, |(low, high)| value.clamp(low, high));
    let mut x: Vec<f64> = x.iter().map(|&x| bounded(x)).collect();
    let misfit = |x: &[f64]| blur.misfit(y, x).map(|(norms, residual)| (norms[0], residual));
    let (before, mut residual) = misfit(&x)?;
    let (mut after, mut kept) = (before, 0);
    let explained = spectrum.noise * (y.len() as f64).sqrt();
    'updates: while kept < updates && after > explained {
        let dx = damped_inverse(blur, &residual, spectrum)?;
        for halving in 0..=HALVINGS {
            let step = 0.5f64.powi(halving);
            let candidate: Vec<f64> = x.iter().zip(&dx).map(|(x, dx)| bounded(x + step * dx)).collect();
            let (found, left) = misfit(&candidate)?;
            if found < after {
                (x, after, residual) = (candidate, found, left);
                kept += 1;
                continue 'updates;
            }
        }
        break;
    }
    let (before, after, updates) = (vec![before], vec![after], vec![kept]);
    Ok(Refined { x, before, after, updates, spectra: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Device;
    use crate::model::{DType, Operator};

    #[test]
    fn no_misfit_rises_and_what_helps_is_kept() {
        let heat = Operator::heat(32, 32, 4.0).unwrap();
        let blur = Blur::periodic(&Device::Cpu, DType::F64, &heat).unwrap();
        let square =
            |i: usize| if (8..20).contains(&(i / 32)) && (5..25).contains(&(i % 32)) { 1.0 } else { 0.0 };
        let truth: Vec<f64> = (0..1024).map(square).collect();
        let rough: Vec<f64> = (0..1024).map(|i| ((i * i) % 97) as f64 / 97.0).collect();
        let observed = blur.apply(&truth).unwrap();
        let noisy: Vec<f64> = observed.iter().zip(&rough).map(|(y, r)| y + 0.5 * (r - 0.5)).collect();
        // Nothing known, the solution itself, rubbish against noise far above what is claimed.
        let y = [observed.clone(), observed, noisy].concat();
        let x = [vec![0.0; 1024], truth.clone(), rough].concat();
        let refined = refine(&blur, NoiseLevel::Told(1e-4), 0.0, &y, &x, 8, None).unwrap();
        let (misfit, _) = blur.misfit(&y, &refined.x).unwrap();
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
        let heat = Operator::heat(32, 32, 4.0).unwrap();
        let blur = Blur::periodic(&Device::Cpu, DType::F64, &heat).unwrap();
        let truth: Vec<f64> = (0..1024).map(|i| f64::from((8..20).contains(&(i / 32)))).collect();
        let y = blur.apply(&truth).unwrap();
        let refined =
            refine(&blur, NoiseLevel::Told(1e-3), 0.0, &y, &[1.5; 1024], 5, Some((0.0, 1.0))).unwrap();
        assert!(refined.x.iter().all(|x| (0.0..=1.0).contains(x)));
        let (ones, _) = blur.misfit(&y, &[1.0; 1024]).unwrap();
        assert_eq!(refined.before, ones, "that of the values within bounds");
        assert!(refined.after[0] < 0.1 * refined.before[0], "{:?}", refined.after);
    }

    #[test]
    fn without_updates_nothing_changes() {
        let heat = Operator::heat(8, 8, 1.0).unwrap();
        let blur = Blur::periodic(&Device::Cpu, DType::F64, &heat).unwrap();
        let refined = refine(&blur, NoiseLevel::Told(1e-3), 0.0, &[1.0; 64], &[0.5; 64], 0, None).unwrap();
        assert_eq!(
            (refined.x, refined.before.clone(), refined.updates),
            (vec![0.5; 64], refined.after, vec![0])
        );
        assert!((refined.before[0] - 4.0).abs() < 1e-12);
    }
}
