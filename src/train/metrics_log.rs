//! Turns losses into rows of `metrics.csv` (and `metrics.jsonl`), as they arrive.

use crate::engine::trainer::Trainer;
use crate::io::tables::json_lines::JsonLines;
use crate::io::tables::metrics::{MetricsFile, MetricsRow};
use crate::train::config::TrainConfig;
use crate::train::config::on_nan::OnNan;
use crate::train::progress::Progress;
use crate::train::summary::{Statistics, row};
use crate::{Error, Result};
use std::path::Path;
use std::time::Instant;

/// The rows of a run, in memory and in its folder.
pub(crate) struct MetricsLog {
    file: MetricsFile,
    /// The same rows once more, where they are asked for.
    json: Option<JsonLines>,
    pub(crate) rows: Vec<MetricsRow>,
    steps: u64,
    start: Instant,
    /// Seconds of training before `start`.
    before: f64,
    /// Whether x* is unknown, so that there is no x loss.
    blind: bool,
    /// x_l2 over the batch of the last step, NaN where x* is unknown.
    pub(crate) last: Statistics,
    /// The step that ended training, since its losses were not finite.
    pub(crate) failed: Option<u64>,
    on_nan: OnNan,
    /// Steps whose losses have come from the engine, which after [`MetricsLog::rewind`] are fewer than the
    /// rows.
    arrived: u64,
}

impl MetricsLog {
    /// Goes on with step `done`, whose predecessors are in `metrics.csv`.
    pub(crate) fn resume(folder: &Path, done: u64, config: &TrainConfig) -> Result<Self> {
        let (file, rows) = MetricsFile::resume(&folder.join("metrics.csv"), done)?;
        let json =
            config.jsonl.then(|| JsonLines::create(&folder.join("metrics.jsonl"), &rows)).transpose()?;
        let (steps, blind) = (config.steps, config.observations.is_some());
        let before = rows.last().map_or(0.0, |row| row.seconds);
        let last = Statistics { mean: f64::NAN, std: f64::NAN, min: f64::NAN, max: f64::NAN };
        let (on_nan, start) = (config.on_nan, Instant::now());
        Ok(Self { file, json, rows, steps, start, before, blind, last, failed: None, on_nan, arrived: done })
    }

    /// Stops for good at the first step whose losses are not finite, or at the last of too many that were
    /// skipped. With `all`, waits for every submitted step.
    pub(crate) fn add(
        &mut self,
        trainer: &mut Trainer,
        all: bool,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        for mut losses in trainer.losses(all)? {
            let (step, finite) = (self.arrived, losses.is_finite());
            if self.failed.is_some() || !finite && self.on_nan == OnNan::Stop {
                self.failed.get_or_insert(step);
                return Ok(());
            }
            if self.blind {
                losses.x_l2.fill(f64::NAN); // of the observation, which stands in for x*
            }
            let seconds = self.before + self.start.elapsed().as_secs_f64();
            let mut row = row(step, &losses, seconds);
            if !finite {
                row.loss_mean = f64::NAN;
            }
            self.arrived += 1;
            self.last = Statistics::of(&losses.x_l2);
            match self.rows.get(step as usize) {
                Some(before) if before.same_numbers(&row) => continue,
                Some(_) => {
                    let what =
                        "the device computes other numbers than before it failed; it cannot be trusted";
                    return Err(Error::Device(format!("step {step}: {what}")));
                }
                None => {}
            }
            self.file.append(&row)?;
            self.json.as_mut().map_or(Ok(()), |json| json.append(&row))?;
            progress.step(&row, self.steps);
            self.rows.push(row);
            let in_a_row = self.rows.iter().rev().take_while(|row| row.is_skipped()).count() as u64;
            if in_a_row >= OnNan::LIMIT {
                self.failed = Some(step);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Expects the losses from step `step` on once more: they must be what they were.
    pub(crate) fn rewind(&mut self, step: u64) {
        self.arrived = step;
        self.failed = None;
    }

    /// Whether the losses of `done` steps have come.
    pub(crate) fn is_complete(&self, done: u64) -> bool {
        self.failed.is_some() || self.arrived == done
    }

    /// Steps that were skipped, those before an interruption too.
    pub(crate) fn skipped(&self) -> u64 {
        self.rows.iter().filter(|row| row.is_skipped()).count() as u64
    }

    /// Returns when every row is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync()?;
        self.json.as_ref().map_or(Ok(()), JsonLines::sync)
    }

    /// Seconds of training, those before an interruption too.
    pub(crate) fn seconds(&self) -> f64 {
        self.rows.last().map_or(0.0, |row| row.seconds)
    }
}
