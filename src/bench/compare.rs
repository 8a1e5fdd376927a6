//! Two benchmarks side by side.

use crate::bench::report::{By, Report, Settings};
use serde::Serialize;

/// How times have changed since an earlier benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What the rows are.
    pub by: By,
    /// Settings or devices that differ, in words: then the ratios tell of more than the program.
    pub differences: Vec<String>,
    /// Whole steps.
    pub step: Change,
    /// The rows of the new table, then those that only the old one has.
    pub rows: Vec<Change>,
}

/// The times of one thing, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The row's name.
    pub name: String,
    /// In the earlier benchmark, if it was there.
    pub before_ms: Option<f64>,
    /// Now, if it still is.
    pub now_ms: Option<f64>,
    /// Old time over new, if both are there: 2 is twice as fast as before.
    pub speed_up: Option<f64>,
}

impl Change {
    fn new(name: String, before_ms: Option<f64>, now_ms: Option<f64>) -> Self {
        let ratio = before_ms.zip(now_ms).map(|(before, now)| before / now);
        let speed_up = ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0);
        Self { name, before_ms, now_ms, speed_up }
    }
}

impl Comparison {
    /// Compares row by row.
    pub fn new(before: &Report, now: &Report, by: By) -> Self {
        let mut old: Vec<(String, Option<f64>)> =
            before.rows(by).into_iter().map(|row| (row.name, Some(row.ms))).collect();
        let mut rows = Vec::new();
        for row in now.rows(by) {
            // Names of single dispatches repeat: the first that is left belongs to this one.
            let place = old.iter().position(|(name, _)| *name == row.name);
            let before_ms = place.and_then(|place| old.remove(place).1);
            rows.push(Change::new(row.name, before_ms, Some(row.ms)));
        }
        rows.extend(old.into_iter().map(|(name, before_ms)| Change::new(name, before_ms, None)));
        let step = Change::new("whole step".to_owned(), Some(before.step.ms), Some(now.step.ms));
        Self { by, differences: differences(before, now), step, rows }
    }
}

fn differences(before: &Report, now: &Report) -> Vec<String> {
    let words = |report: &Report| -> [(&'static str, String); 9] {
        let Settings {
            method,
            batch,
            size,
            filters,
            padding,
            activation,
            batch_norm,
            res_blocks,
            physics,
            activations,
            ..
        } = &report.settings;
        [
            ("device", report.device.clone()),
            ("method", method.name().to_owned()),
            ("batch", batch.to_string()),
            ("size", size.to_string()),
            ("filters", format!("{filters:?}")),
            ("residual blocks", res_blocks.to_string()),
            ("activation, batch norm", format!("{activation}, {batch_norm}")),
            ("padding, physics", format!("{padding}, {physics}")),
            ("activations", activations.to_string()),
        ]
    };
    let pairs = words(before).into_iter().zip(words(now));
    pairs
        .filter(|((_, before), (_, now))| before != now)
        .map(|((what, before), (_, now))| format!("{what}: {before} before, {now} now"))
        .collect()
}
