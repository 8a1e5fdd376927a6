//! Turns losses into rows of `metrics.csv` (and `metrics.jsonl`), as they arrive.

use super::config::TrainConfig;
use super::engine::Engine;
use super::run::Progress;
use super::summary::{Statistics, row};
use crate::Result;
use crate::io::json_lines::JsonLines;
use crate::io::metrics::{MetricsFile, Row};
use std::path::Path;
use std::time::Instant;

/// The rows of a run, in memory and in its folder.
pub(super) struct Journal {
    file: MetricsFile,
    /// The same rows once more, where they are asked for.
    json: Option<JsonLines>,
    pub(super) rows: Vec<Row>,
    steps: u64,
    start: Instant,
    /// Seconds of training before `start`.
    before: f64,
    /// Whether x* is unknown, so that there is no x loss.
    blind: bool,
    /// x_l2 over the batch of the last step, NaN where x* is unknown.
    pub(super) last: Statistics,
    /// Whether a step's losses were not finite.
    pub(super) failed: bool,
}

impl Journal {
    /// Goes on with step `done`, whose predecessors are in `metrics.csv`.
    pub(super) fn resume(folder: &Path, done: u64, config: &TrainConfig) -> Result<Self> {
        let (file, rows) = MetricsFile::resume(&folder.join("metrics.csv"), done)?;
        let json =
            config.jsonl.then(|| JsonLines::create(&folder.join("metrics.jsonl"), &rows)).transpose()?;
        let (steps, blind) = (config.steps, config.observations.is_some());
        let before = rows.last().map_or(0.0, |row| row.seconds);
        let last = Statistics { mean: f64::NAN, std: f64::NAN, min: f64::NAN, max: f64::NAN };
        Ok(Self { file, json, rows, steps, start: Instant::now(), before, blind, last, failed: false })
    }

    /// Stops for good at the first step whose losses are not finite. With `all`, waits for every submitted step.
    pub(super) fn add(&mut self, engine: &mut Engine, all: bool, progress: &mut dyn Progress) -> Result<()> {
        for mut losses in engine.losses(all)? {
            self.failed |= !losses.is_finite();
            if self.failed {
                return Ok(());
            }
            if self.blind {
                losses.x_l2.fill(f64::NAN); // of the observation, which stands in for x*
            }
            let seconds = self.before + self.start.elapsed().as_secs_f64();
            let row = row(self.rows.len() as u64, &losses, seconds);
            self.last = Statistics::of(&losses.x_l2);
            self.file.append(&row)?;
            self.json.as_mut().map_or(Ok(()), |json| json.append(&row))?;
            progress.step(&row, self.steps);
            self.rows.push(row);
        }
        Ok(())
    }

    /// Returns when every row is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync()?;
        self.json.as_ref().map_or(Ok(()), JsonLines::sync)
    }

    /// Seconds of training, those before an interruption too.
    pub(super) fn seconds(&self) -> f64 {
        self.rows.last().map_or(0.0, |row| row.seconds)
    }
}
