//! A network sees observations at the scale that it was trained at, whatever their unit.
//!
//! Diffusion is linear and keeps the mean, so x may be measured in any unit and from any zero. A network
//! knows one of each. An observation is moved and stretched to the mean and the spread of those that the
//! network has learned from, and the prediction back: a constant that is added to the observation is added
//! to the prediction, and a positive factor multiplies it.

use crate::Result;
use crate::cpu::reduce::mean;
use crate::model::TrainedFor;
use crate::model::operator::factor::{Factor, words};
use crate::restore::measurement::Spectrum;

/// An observation's noise may be this many times that of training, measured in their spreads.
const NOISIER: f64 = 3.0;

/// Noise of less than this part of the spread counts as none.
const QUIET: f64 = 1e-4;

/// A prediction whose misfit is more than this part of the observation's spread does not explain it.
const MISFIT: f64 = 0.1;

/// Predicts x for observations y `[batch, cells]` with a network that was trained for `scale`; one that does
/// not say what it was trained for sees them as they are.
///
/// # Errors
/// Those of `predict`.
pub fn at_scale(
    scale: Option<&TrainedFor>,
    y: &[f64],
    cells: usize,
    predict: impl FnOnce(&[f64]) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    // Another operator than diffusion need not leave a constant as it is.
    let Some(scale) = scale.filter(|scale| scale.spread > 0.0 && scale.amount.is_some()) else {
        return predict(y);
    };
    let units: Vec<(f64, f64)> = y.chunks_exact(cells).map(unit).collect();
    let mut seen = Vec::with_capacity(y.len());
    for (y, (mean, spread)) in y.chunks_exact(cells).zip(&units) {
        seen.extend(y.iter().map(|v| (v - mean) / spread * scale.spread + scale.mean));
    }
    let mut x = predict(&seen)?;
    for (x, (mean, spread)) in x.chunks_exact_mut(cells).zip(&units) {
        x.iter_mut().for_each(|v| *v = (*v - scale.mean) / scale.spread * spread + mean);
    }
    Ok(x)
}

/// The mean and the standard deviation of a field; 1 instead of 0 where it is constant.
fn unit(y: &[f64]) -> (f64, f64) {
    let mean = mean(y);
    // By the largest deviation first, so that no square overflows or vanishes.
    let largest = y.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return (mean, 1.0);
    }
    let squares: f64 = y.iter().map(|v| ((v - mean) / largest).powi(2)).sum();
    (mean, largest * (squares / y.len() as f64).sqrt())
}

/// Why a network that was trained for `scale` should not be asked about an observation by these factors, with
/// this spectrum; none where nothing speaks against it.
pub fn misfit(scale: &TrainedFor, spectrum: &Spectrum, factors: &[Factor]) -> Option<String> {
    match (scale.amount, factors) {
        (Some(trained), &[Factor::Heat([amount, along_y])]) if amount == along_y => {
            if (amount - trained).abs() > 0.05 * trained.max(amount) {
                return Some(format!("the network was trained for an amount of {trained}, not of {amount}"));
            }
        }
        (trained, factors) => {
            let trained = trained.map(|amount| format!("heat:{amount}"));
            let trained = trained.or(scale.operator.clone()).unwrap_or("another operator".to_owned());
            let asked = words(factors);
            if trained != asked {
                return Some(format!("the network was trained for {trained}, not for {asked}"));
            }
        }
    }
    let (found, trained) = (spectrum.noise / spectrum.spread, scale.noise / scale.spread);
    let times = found / trained.max(QUIET);
    (spectrum.spread > 0.0 && times > NOISIER).then(|| {
        format!(
            "noise is {found:.1e} of the observation's spread, but the network was trained for {trained:.1e} \
             of it: details may be made up"
        )
    })
}

/// Whether a prediction fails to explain its observation, ‖y - P(x)‖ being `misfit`, in words.
pub fn unexplained(spectrum: &Spectrum, misfit: f64, cells: usize) -> Option<String> {
    let rms = misfit / (cells as f64).sqrt();
    (rms > (MISFIT * spectrum.spread).max(NOISIER * spectrum.noise)).then(|| {
        let part = 100.0 * rms / spectrum.spread;
        format!(
            "diffused again, the prediction misses the observation by {part:.0} % of its spread; --refine N \
             brings it nearer, more training too"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::trained_for::TrainedEdges;

    #[test]
    fn networks_see_one_scale_and_predictions_have_the_observations() {
        let (amount, noise, edges) = (Some(8.0), 0.0, TrainedEdges::Periodic);
        let scale = TrainedFor { amount, operator: None, noise, mean: 0.2, spread: 0.1, edges };
        let y = [[1.0, 3.0, 1.0, 3.0], [1e-12, 2e-12, 2e-12, 1e-12], [5.0; 4]].concat();
        let x = at_scale(Some(&scale), &y, 4, |seen| {
            let expected = [[0.1, 0.3, 0.1, 0.3], [0.1, 0.3, 0.3, 0.1], [0.2; 4]].concat();
            assert!(seen.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{seen:?}");
            Ok(seen.iter().map(|v| 2.0 * (v - 0.2) + 0.2).collect()) // twice the contrast
        });
        let expected = [[0.0, 4.0, 0.0, 4.0], [0.5e-12, 2.5e-12, 2.5e-12, 0.5e-12], [5.0; 4]].concat();
        assert!(x.unwrap().iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12 * b.max(1e-12)));
        let as_it_is = at_scale(None, &y, 4, |seen| Ok(seen.to_vec())).unwrap();
        assert_eq!(as_it_is, y);
    }
}
