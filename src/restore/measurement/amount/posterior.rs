//! What is likely of the amount, from its likelihood at many.

use crate::restore::measurement::amount::model::{Model, State};
use crate::restore::spectral::grid::Grid;

/// Widths √(2a) are as likely as their logarithms beforehand, down to about this one, in cells.
const NARROW: f64 = 0.3;

/// Amounts that are tried, first on all widths up to a quarter of the longer side, then on those that count.
const COARSE: usize = 50;
const DENSE: usize = 60;

/// Amounts whose likelihood is exp(−8) of the best one's do not count.
const COUNTS: f64 = 8.0;

/// The amount is the one below which the truth lies with this probability. Too large an amount costs a
/// restoration two to three times as much as one that is too small by the same part, so it is not one half.
const CAREFUL: f64 = 0.35;

/// The model gives this probability to amounts beyond either end of the range. That fields are not random
/// functions of its kind makes it about 0.03 in fact.
const BEYOND: f64 = 0.01;

/// What is likely of the amount by which a field, with the softness that it has by itself, was diffused.
pub(super) struct Posterior {
    pub(super) amount: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// The mean deviance of the rings in the best fit.
    pub(super) misfit: f64,
}

/// −log of the likelihood of the amount for each of these widths, given as ln(√(2a) + [`NARROW`]).
fn scan(model: &Model, widths: &[f64], mut near: Vec<f64>) -> Vec<(State, f64)> {
    let fits = widths.iter().map(|&width| {
        let fit = model.fit(amount(width), &near);
        near.clone_from(&fit.0.unknown);
        fit
    });
    fits.collect()
}

pub(super) fn posterior(model: &Model, grid: &Grid) -> Posterior {
    let longer = grid.size().into_iter().max().unwrap_or(1) as f64;
    let widths = spaced(NARROW.ln(), (NARROW + 0.25 * longer).ln(), COARSE);
    let up = scan(model, &widths, model.mean.clone());
    // From the other side as well, since a search from one may end in a lesser maximum.
    let turned: Vec<f64> = widths.iter().rev().copied().collect();
    let down = scan(model, &turned, up[COARSE - 1].0.unknown.clone());
    let best: Vec<&(State, f64)> =
        up.iter().zip(down.iter().rev()).map(|(a, b)| if a.1 <= b.1 { a } else { b }).collect();
    let least = best.iter().map(|fit| fit.1).fold(f64::INFINITY, f64::min);
    let counts = |at: &usize| best[*at].1 < least + COUNTS;
    let from = (0..COARSE).find(counts).unwrap_or(0).saturating_sub(1);
    let to = ((0..COARSE).rev().find(counts).unwrap_or(COARSE - 1) + 1).min(COARSE - 1);
    let widths = spaced(widths[from], widths[to], DENSE);
    let fits = scan(model, &widths, best[from].0.unknown.clone());
    let least = fits.iter().map(|fit| fit.1).fold(f64::INFINITY, f64::min);
    let likely: Vec<f64> = fits.iter().map(|fit| (least - fit.1).exp()).collect();
    let at = |part: f64| amount(quantile(&widths, &likely, part));
    let misfit = fits.iter().find(|fit| fit.1 == least).map_or(f64::INFINITY, |fit| model.misfit(&fit.0));
    Posterior { amount: at(CAREFUL), low: at(BEYOND), high: at(1.0 - BEYOND), misfit }
}

/// a from ln(√(2a) + [`NARROW`]).
fn amount(width: f64) -> f64 {
    0.5 * (width.exp() - NARROW).max(0.0).powi(2)
}

fn spaced(from: f64, to: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| from + (to - from) * i as f64 / (count - 1) as f64).collect()
}

/// Where this part of what is `likely` lies below.
fn quantile(values: &[f64], likely: &[f64], part: f64) -> f64 {
    let all: f64 = likely.iter().sum();
    let mut below = 0.0;
    let mut last = (values[0], 0.0);
    for (&value, likely) in values.iter().zip(likely) {
        // Half of a value's own share lies below it.
        let at = (below + 0.5 * likely) / all;
        if at >= part {
            let between = if at > last.1 { ((part - last.1) / (at - last.1)).clamp(0.0, 1.0) } else { 1.0 };
            return last.0 + (value - last.0) * between;
        }
        (below, last) = (below + likely, (value, at));
    }
    last.0
}
