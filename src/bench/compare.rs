//! Two benchmarks side by side.

use crate::Result;
use crate::bench::measurement::{By, Measurement};
use crate::train::config::file;
use serde::Serialize;
use toml::Table;

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
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for settings that no run can have.
    pub fn new(before: &Measurement, now: &Measurement, by: By) -> Result<Self> {
        let mut old: Vec<(String, Option<f64>)> =
            before.groups(by).into_iter().map(|group| (group.name, Some(group.ms))).collect();
        let mut rows = Vec::new();
        for group in now.groups(by) {
            // Names of single dispatches repeat: the first that is left belongs to this one.
            let place = old.iter().position(|(name, _)| *name == group.name);
            let before_ms = place.and_then(|place| old.remove(place).1);
            rows.push(Change::new(group.name, before_ms, Some(group.ms)));
        }
        rows.extend(old.into_iter().map(|(name, before_ms)| Change::new(name, before_ms, None)));
        let step = Change::new("whole step".to_owned(), Some(before.step.ms), Some(now.step.ms));
        Ok(Self { by, differences: differences(before, now)?, step, rows })
    }
}

fn differences(before: &Measurement, now: &Measurement) -> Result<Vec<String>> {
    let described = |measured: &Measurement| -> Result<Table> {
        let mut table = file::table(&measured.settings)?;
        table.insert("device".to_owned(), measured.device.clone().into());
        Ok(table)
    };
    let (before, now) = (described(before)?, described(now)?);
    let different = file::keys().filter(|key| before.get(*key) != now.get(*key));
    Ok(different
        .map(|key| {
            let (before, now) = (file::words(before.get(key)), file::words(now.get(key)));
            format!("{}: {before} before, {now} now", key.replace('_', "-"))
        })
        .collect())
}
