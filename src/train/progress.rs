//! What a run tells while it goes on, and what it leaves.

use crate::engine::device::Device;
use crate::io::tables::metrics::MetricsRow;
use crate::io::tables::validation;
use crate::train::preview::Preview;
use crate::train::summary::Statistics;
use std::path::PathBuf;
use std::time::Duration;

/// Gets told how training goes, and may end it.
pub trait Progress {
    /// The metrics of a step have arrived, in step order.
    fn step(&mut self, row: &MetricsRow, steps: u64);

    /// The network was tried on the held-out fields.
    fn validated(&mut self, _: &validation::ValidationRow) {}

    /// Whether to show what the network makes of an example now. Asked after every step; training waits
    /// meanwhile.
    fn wants_preview(&mut self) -> bool {
        false
    }

    /// What the network makes of an example, where [`Progress::wants_preview`] has asked for it.
    fn preview(&mut self, _: &Preview) {}

    /// The device failed, and was opened anew; training goes on after step `step`, as if nothing had
    /// happened.
    fn recovered(&mut self, _error: &str, _step: u64, _compute: &Device) {}

    /// A kernel of a layer takes about this long at a time, more than --max-dispatch-ms: drivers may take the
    /// device for hung.
    fn too_long(&mut self, _dispatch: &str, _time: Duration) {}

    /// Whether to stop after the `done` steps so far, with a checkpoint. Asked before every step.
    fn interrupted(&mut self, _done: u64) -> bool {
        false
    }
}

/// What a run leaves.
pub struct Outcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// Steps that are done: all, unless [`Progress`] has ended the run.
    pub steps: u64,
    /// Steps whose update was left out, since a loss or a gradient was not finite.
    pub skipped: u64,
    /// x_l2 over the batch of the last step; NaN where x* is unknown.
    pub x_l2: Statistics,
    /// Time of the loop, that before an interruption too.
    pub seconds: f64,
}
