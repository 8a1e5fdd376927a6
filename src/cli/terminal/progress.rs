//! Shows how far training, iterations or a folder of pictures are: a live view or a progress bar on a
//! terminal, plain lines elsewhere.

use crate::Result;
use crate::cli::terminal::messages::note;
use crate::cli::terminal::scene::loss;
use crate::cli::terminal::view::View;
use crate::engine::Device;
use crate::io::tables::metrics::MetricsRow;
use crate::io::tables::validation;
use crate::train::{Preview, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// At most about this many plain lines per run.
const LINES: u64 = 20;

pub(crate) struct Display {
    screen: Screen,
    interrupted: Arc<AtomicBool>,
}

enum Screen {
    View(Box<View>),
    Bar(ProgressBar),
    Lines,
}

/// A run that is watched.
pub(crate) struct Watched {
    /// What is trained, and where: the title of the live view; none: no such view.
    pub(crate) view: Option<String>,
    /// Steps done before.
    pub(crate) done: u64,
    /// Steps in all.
    pub(crate) steps: u64,
}

impl Display {
    /// Shows `run` until its end, or until `interrupted` is set. Without a terminal, in plain lines.
    pub(crate) fn new(run: Watched, interrupted: Arc<AtomicBool>) -> Result<Self> {
        let Watched { view, done, steps } = run;
        let screen = match view.filter(|_| View::is_possible()) {
            Some(title) => Screen::View(Box::new(View::open(&title, steps)?)),
            None if std::io::stderr().is_terminal() => {
                let bar = ProgressBar::new(steps).with_position(done);
                bar.reset_eta();
                let template = "{bar:20} step {pos}/{len}, {msg}, {eta} left";
                bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
                Screen::Bar(bar)
            }
            None => Screen::Lines,
        };
        Ok(Self { screen, interrupted })
    }

    fn view(&mut self) -> Option<&mut View> {
        match &mut self.screen {
            Screen::View(view) => Some(view),
            Screen::Bar(_) | Screen::Lines => None,
        }
    }

    /// A line of its own, wherever the display is.
    fn tell(&mut self, text: String) {
        match &mut self.screen {
            Screen::View(view) => view.tell(text),
            Screen::Bar(bar) => bar.println(text),
            Screen::Lines => note!("{text}"),
        }
    }

    /// Gives the terminal back.
    pub(crate) fn finish(self) {
        if let Screen::Bar(bar) = &self.screen {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Display {
    fn step(&mut self, row: &MetricsRow, steps: u64) {
        let done = row.step + 1;
        let speed = done as f64 / row.seconds.max(1e-9);
        match &mut self.screen {
            Screen::View(view) => view.step(row),
            Screen::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{}, {speed:.2} steps/s", loss(row)));
            }
            Screen::Lines if row.step.is_multiple_of(steps.div_ceil(LINES)) || done == steps => {
                let left = (steps - done) as f64 / speed;
                note!("step {:>4} of {steps}: {}, {speed:.2} steps/s, {left:.0} s left", row.step, loss(row));
            }
            Screen::Lines => {}
        }
    }

    fn validated(&mut self, row: &validation::ValidationRow) {
        self.tell(format!("held-out fields after {} steps: x loss {:.3}", row.step, row.x_l2_mean));
    }

    fn wants_preview(&mut self) -> bool {
        self.view().is_some_and(View::wants_preview)
    }

    fn preview(&mut self, preview: &Preview) {
        if let Some(view) = self.view() {
            view.preview(preview);
        }
    }

    fn recovered(&mut self, error: &str, step: u64, _: &Device) {
        match &mut self.screen {
            Screen::View(view) => view.rewind(step),
            Screen::Bar(bar) => bar.set_position(step),
            Screen::Lines => {}
        }
        self.tell(format!("{error}; the device was opened anew, going on after step {step}"));
    }

    fn too_long(&mut self, dispatch: &str, time: Duration) {
        self.tell(format!(
            "{dispatch} takes about {} ms at a time, longer than --max-dispatch-ms; if the driver resets the \
             device, make it shorter with --micro-batch",
            time.as_millis()
        ));
    }

    fn interrupted(&mut self) -> bool {
        if self.view().is_some_and(View::is_ended) {
            self.interrupted.store(true, Ordering::Relaxed);
        }
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// Counts what is done one by one: a bar on a terminal, a few plain lines elsewhere.
pub(crate) struct Counter {
    bar: Option<ProgressBar>,
    what: &'static str,
    start: Instant,
    done: AtomicU64,
    total: u64,
    /// How long plain lines wait.
    patience: Duration,
}

/// Work that ends within this time needs no plain lines.
const PATIENCE: Duration = Duration::from_secs(5);

impl Counter {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = format!("{{bar:20}} {what} {{pos}}/{{len}} {{msg}} {{eta}} left");
            bar.set_style(ProgressStyle::with_template(&template).expect("a constant template"));
            bar
        });
        Self { bar, what, start: Instant::now(), done: AtomicU64::new(0), total, patience: Duration::ZERO }
    }

    /// One whose plain lines begin where the work takes long.
    pub(crate) fn patient(what: &'static str, total: u64) -> Self {
        Self { patience: PATIENCE, ..Self::new(what, total) }
    }

    /// One more is done; `message` says which.
    pub(crate) fn advance(&self, message: &str) {
        let (what, total) = (self.what, self.total);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => {
                bar.set_message(message.to_owned());
                bar.set_position(done);
            }
            None if self.start.elapsed() < self.patience => {}
            None if done.is_multiple_of(total.div_ceil(LINES)) || done == total => {
                let space = if message.is_empty() { "" } else { ": " };
                note!("{what} {done} of {total}{space}{message}{}", left(self.start.elapsed(), done, total));
            }
            None => {}
        }
    }

    /// Lets `print` write lines that the bar does not overwrite.
    pub(crate) fn above(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is left if the rest goes on as the first `done` of `all` did in `elapsed`; nothing where that is
/// soon.
fn left(elapsed: Duration, done: u64, all: u64) -> String {
    const SOON: f64 = 10.0;
    let seconds = elapsed.as_secs_f64() * all.saturating_sub(done) as f64 / done.max(1) as f64;
    match seconds {
        ..SOON => String::new(),
        SOON..90.0 => format!(", about {seconds:.0} s left"),
        _ => format!(", about {:.0} minutes left", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_done() {
        let ten = Duration::from_secs(10);
        assert_eq!(left(ten, 10, 90), ", about 80 s left");
        assert_eq!(left(ten, 10, 490), ", about 8 minutes left");
        assert_eq!(left(ten, 10, 15), "");
        assert_eq!(left(ten, 10, 10), "");
    }
}
