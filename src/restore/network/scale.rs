//! Predictions at the scale of a network's training, and whether its training suits what it is shown.

use crate::Result;
use crate::cpu::reduce::mean;
use crate::cpu::unet::at_scale::AtScale;
use crate::model::TrainedFor;
use crate::model::operator::factor::{Factor, words};
use crate::restore::measurement::Spectrum;

/// An observation's noise may be this many times that of training, measured in their spreads. From about
/// there on predictions are farther from the truth than observations are (BENCHMARKS.md, "Networks for
/// pictures").
const NOISIER: f64 = 2.0;

/// A prediction whose misfit is no more than this many times the noise explains the observation.
const EXPLAINED: f64 = 3.0;

/// Noise of less than this part of the spread counts as none.
const QUIET: f64 = 2e-4;

/// And noise of less than this part of λ, where a network sees the Tikhonov inverse with this λ.
const QUIET_OF_LAMBDA: f64 = 0.1;

/// A spread of fewer steps of the samples than this leaves contours in smooth places, which networks take for
/// edges: they have seen noise without order.
const STEPS: f64 = 2.5;

/// Values are in the units of a training if their spread is within this factor of its spread, and their mean
/// within so many spreads of its mean.
const OTHER_UNITS: f64 = 5.0;

/// A prediction whose misfit is more than this part of the observation's spread does not explain it.
const MISFIT: f64 = 0.1;

/// The same of an observation without a spread, as a part of its mean, or if that is 0 of 1: networks compute
/// in 32 bits.
const MISFIT_OF_FLAT: f64 = 1e-4;

/// Predicts x for observations y `[batch, cells]` with a network that was trained for `scale`; one that does
/// not say what it was trained for sees them as they are. What a network is `shown` is y, or what a filter
/// that leaves means has made of it.
///
/// # Errors
/// Those of `predict`.
pub fn at_scale(
    scale: Option<&TrainedFor>,
    y: &[f64],
    shown: &[f64],
    cells: usize,
    predict: impl FnOnce(&[f64]) -> Result<Vec<f64>>,
) -> Result<Vec<f64>> {
    let Some(at_scale) = AtScale::new(scale, y, cells) else { return predict(shown) };
    let mut x = predict(&at_scale.seen(shown))?;
    at_scale.back(&mut x);
    Ok(x)
}

/// Why a network that was trained for `scale` should not be asked about an observation by these factors, with
/// this spectrum; none where nothing speaks against it. In the `same_units` it sees the noise as it is.
pub fn misfit(
    scale: &TrainedFor,
    spectrum: &Spectrum,
    factors: &[Factor],
    same_units: bool,
) -> Option<String> {
    let other = other_operator(scale, factors);
    if other.is_some() {
        return other;
    }
    let Spectrum { noise, spread, .. } = *spectrum;
    (times_noisier(scale, noise, spread, same_units) > NOISIER).then(|| {
        let (found, of_spread, trained, of_it) = match same_units {
            true => (noise, "", scale.noise, ""),
            false => (noise / spread, " of the observation's spread", scale.noise / scale.spread, " of it"),
        };
        let trained = if trained > 0.0 { format!("{trained:.1e}{of_it}") } else { "none".to_owned() };
        format!(
            "noise is {found:.1e}{of_spread}, but the network was trained for {trained}: details may be \
             made up"
        )
    })
}

/// That an observation with this spectrum was rounded to steps that a network would take for edges,
/// `rounding` being the standard deviation of what that has added, if so.
pub fn coarse(spectrum: &Spectrum, rounding: f64) -> Option<String> {
    // What rounding adds lies evenly within a step.
    let steps = spectrum.spread / rounding / 12f64.sqrt();
    (spectrum.spread > 0.0 && steps < STEPS).then(|| {
        format!("its spread is only {steps:.1} steps of its samples, which the network may take for edges")
    })
}

/// How many times as noisy as those of a training an observation with this noise and spread is: in the
/// `same_units`, or measured in their spreads.
pub fn times_noisier(scale: &TrainedFor, noise: f64, spread: f64, same_units: bool) -> f64 {
    let quiet = scale.tikhonov.map_or(QUIET * scale.spread, |lambda| QUIET_OF_LAMBDA * lambda);
    let trained = scale.noise.max(quiet);
    match same_units {
        true => noise / trained,
        false if spread > 0.0 => noise / spread * scale.spread / trained,
        false => 0.0,
    }
}

/// That a network was trained for another operator than of these factors, if so.
pub fn other_operator(scale: &TrainedFor, factors: &[Factor]) -> Option<String> {
    // A Gaussian blur is heat of another name.
    let heat = match factors {
        &[Factor::Gaussian(sigma)] => &[Factor::Heat([0.5 * sigma * sigma; 2])],
        factors => factors,
    };
    match (scale.amount, heat) {
        (Some(trained), &[Factor::Heat([amount, along_y])]) if amount == along_y => {
            let differs = (amount - trained).abs() > 0.05 * trained.max(amount);
            differs.then(|| format!("the network was trained for an amount of {trained}, not of {amount}"))
        }
        (trained, _) => {
            let trained = trained.map(|amount| format!("heat:{amount}"));
            let trained = trained.or(scale.operator.clone()).unwrap_or("another operator".to_owned());
            let asked = words(factors);
            (trained != asked).then(|| format!("the network was trained for {trained}, not for {asked}"))
        }
    }
}

/// Why observations `[batch, cells]` do not look like those that a network was trained for in the same units;
/// none where nothing speaks against it.
pub fn other_units(scale: &TrainedFor, y: &[f64], cells: usize) -> Option<String> {
    let fields = || y.chunks_exact(cells);
    let count = fields().count().max(1) as f64;
    let mean = fields().map(mean).sum::<f64>() / count;
    let variance = |y: &[f64]| y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cells as f64;
    let spread = (fields().map(variance).sum::<f64>() / count).sqrt();
    let fits = (scale.spread / OTHER_UNITS..=scale.spread * OTHER_UNITS).contains(&spread)
        && (mean - scale.mean).abs() <= OTHER_UNITS * scale.spread;
    (!fits).then(|| {
        format!(
            "the values have a mean of {mean:.2e} and a spread of {spread:.1e}, those of the training \
             {:.2e} and {:.1e}: they do not seem to be in its units; leave --same-units out",
            scale.mean, scale.spread
        )
    })
}

/// Whether a prediction fails to explain its observation, ‖y - P(x)‖ being `misfit`, in words.
pub fn unexplained(spectrum: &Spectrum, misfit: f64, cells: usize) -> Option<String> {
    let rms = misfit / (cells as f64).sqrt();
    let most = match spectrum {
        Spectrum { spread, .. } if *spread > 0.0 => MISFIT * spread,
        Spectrum { mean: 0.0, .. } => MISFIT_OF_FLAT,
        Spectrum { mean, .. } => MISFIT_OF_FLAT * mean.abs(),
    };
    (rms > most.max(EXPLAINED * spectrum.noise)).then(|| {
        let by = match spectrum.spread > 0.0 {
            true => format!("{:.0} % of its spread", 100.0 * rms / spectrum.spread),
            false => format!("{rms:.1e} per cell, though that is the same everywhere"),
        };
        format!(
            "diffused again, the prediction misses the observation by {by}; more updates by --refine bring \
             it nearer, more training too"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::trained_for::TrainedEdges;

    #[test]
    fn values_in_other_units_are_noticed() {
        let (amount, noise, edges) = (Some(8.0), 0.0, TrainedEdges::Periodic);
        let scale =
            TrainedFor { amount, operator: None, tikhonov: None, noise, mean: 0.2, spread: 0.1, edges };
        let y = |scale: f64, offset: f64| {
            [[0.1, 0.3, 0.1, 0.3], [0.2, 0.4, 0.0, 0.2]]
                .concat()
                .iter()
                .map(|v| scale * v + offset)
                .collect::<Vec<f64>>()
        };
        for (factor, offset) in [(1.0, 0.0), (2.0, 0.0), (0.5, 0.1), (1.0, 0.3)] {
            assert_eq!(other_units(&scale, &y(factor, offset), 4), None, "{factor} {offset}");
        }
        for (factor, offset) in [(40.0, 293.0), (1.0, 293.0), (-1000.0, 0.0), (1e-3, 0.2), (0.0, 0.2)] {
            assert!(other_units(&scale, &y(factor, offset), 4).is_some(), "{factor} {offset}");
        }
    }

    #[test]
    fn networks_see_one_scale_and_predictions_have_the_observations() {
        let (amount, noise, edges) = (Some(8.0), 0.0, TrainedEdges::Periodic);
        let scale =
            TrainedFor { amount, operator: None, tikhonov: None, noise, mean: 0.2, spread: 0.1, edges };
        let y = [[1.0, 3.0, 1.0, 3.0], [1e-12, 2e-12, 2e-12, 1e-12], [5.0; 4]].concat();
        let x = at_scale(Some(&scale), &y, &y, 4, |seen| {
            let expected = [[0.1, 0.3, 0.1, 0.3], [0.1, 0.3, 0.3, 0.1], [0.2; 4]].concat();
            assert!(seen.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{seen:?}");
            Ok(seen.iter().map(|v| 2.0 * (v - 0.2) + 0.2).collect()) // twice the contrast
        });
        let expected = [[0.0, 4.0, 0.0, 4.0], [0.5e-12, 2.5e-12, 2.5e-12, 0.5e-12], [5.0; 4]].concat();
        assert!(x.unwrap().iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12 * b.max(1e-12)));
        let as_it_is = at_scale(None, &y, &y, 4, |seen| Ok(seen.to_vec())).unwrap();
        assert_eq!(as_it_is, y);
    }
}
