//! Shows how far training, iterations or a folder of pictures are: a progress bar on a terminal, plain lines elsewhere.

use super::say::note;
use crate::io::metrics::Row;
use crate::io::validation;
use crate::train::{Compute, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// At most about this many plain lines per run.
const LINES: u64 = 20;

pub(super) struct Display {
    bar: Option<ProgressBar>,
    interrupted: Arc<AtomicBool>,
}

impl Display {
    /// For the steps from `done` to `steps`, or until `interrupted` is set.
    pub(super) fn new(done: u64, steps: u64, interrupted: Arc<AtomicBool>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps).with_position(done);
            bar.reset_eta();
            let template = "{bar:20} step {pos}/{len}, {msg}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
            bar
        });
        Self { bar, interrupted }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The loss that people look at: of x, or where that is unknown, of y.
fn loss(row: &Row) -> String {
    if row.is_skipped() {
        return "skipped".to_owned();
    }
    if row.x_l2_mean.is_nan() {
        return format!("y loss {:8.5}", row.y_l2_mean);
    }
    format!("x loss {:8.3}", row.x_l2_mean)
}

impl Progress for Display {
    fn step(&mut self, row: &Row, steps: u64) {
        let done = row.step + 1;
        let speed = done as f64 / row.seconds.max(1e-9);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{}, {speed:.2} steps/s", loss(row)));
            }
            None if row.step.is_multiple_of(steps.div_ceil(LINES)) || done == steps => {
                let left = (steps - done) as f64 / speed;
                note!("step {:>4} of {steps}: {}, {speed:.2} steps/s, {left:.0} s left", row.step, loss(row));
            }
            None => {}
        }
    }
    fn validated(&mut self, row: &validation::Row) {
        let text = format!("held-out fields after {} steps: x loss {:.3}", row.step, row.x_l2_mean);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => note!("{text}"),
        }
    }

    fn recovered(&mut self, error: &str, step: u64, _: &Compute) {
        let text = format!("{error}; the device was opened anew, going on after step {step}");
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.println(text);
            }
            None => note!("{text}"),
        }
    }

    fn interrupted(&mut self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Counts what is done one by one: a bar on a terminal, a few plain lines elsewhere.
pub(super) struct Counter {
    bar: Option<ProgressBar>,
    what: &'static str,
    done: Cell<u64>,
    total: u64,
}

impl Counter {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = format!("{{bar:20}} {what} {{pos}}/{{len}} {{msg}} {{eta}} left");
            bar.set_style(ProgressStyle::with_template(&template).expect("a constant template"));
            bar
        });
        Self { bar, what, done: Cell::new(0), total }
    }

    /// One more is done; `message` says which.
    pub(super) fn advance(&self, message: &str) {
        let (what, total) = (self.what, self.total);
        let done = self.done.get() + 1;
        self.done.set(done);
        match &self.bar {
            Some(bar) => {
                bar.set_message(message.to_owned());
                bar.set_position(done);
            }
            None if done.is_multiple_of(total.div_ceil(LINES)) || done == total => {
                let space = if message.is_empty() { "" } else { ": " };
                note!("{what} {done} of {total}{space}{message}");
            }
            None => {}
        }
    }

    /// Lets `print` write lines that the bar does not overwrite.
    pub(super) fn above(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
