//! Shows how far training, iterations or a folder of pictures are: a live view or a progress bar on a
//! terminal, plain lines elsewhere.
//!
//! The display of a training has a thread of its own. A terminal or pipe that nobody reads stops who writes
//! to it, and that must not be the training.

use crate::cli::terminal::console;
use crate::cli::terminal::messages::{self, note};
use crate::cli::terminal::scene::loss;
use crate::cli::terminal::view::{Example, REFRESH, View};
use crate::engine::Device;
use crate::io::tables::metrics::MetricsRow;
use crate::io::tables::validation;
use crate::train::{Preview, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// At most about this many plain lines per run.
const LINES: u64 = 20;

/// Between two reconstructions, at least, and at least this many times what one takes: training comes first.
const PREVIEW: Duration = Duration::from_secs(2);
const PREVIEW_SHARE: u32 = 20;

/// What the training loop tells its display. Rows are small, and a view keeps all of them anyway.
enum News {
    Step(MetricsRow),
    Line(String),
    Preview(Example),
    Rewind(u64),
}

/// The training loop's end of a display.
pub(crate) struct Display {
    news: Sender<News>,
    /// Nothing comes from here; it is closed when everything is shown.
    shown: Receiver<()>,
    /// Whether everything has to be shown, however long that takes.
    is_patient: bool,
    pace: Pace,
    interrupted: Arc<AtomicBool>,
    /// The step after which training is to stop.
    pause_at: Option<u64>,
}

/// When the next reconstruction is due.
struct Pace {
    /// Whether there is a view that has shown the last one.
    wanted: Arc<AtomicBool>,
    is_first: bool,
    asked: Instant,
    previewed: Instant,
    cost: Duration,
}

/// The display's end.
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
    /// The step after which it is to stop, if before the last.
    pub(crate) pause_at: Option<u64>,
}

impl Screen {
    /// The best that is asked for and possible.
    fn new(run: Watched, interrupted: &Arc<AtomicBool>) -> Self {
        let Watched { view, done, steps, .. } = run;
        if let Some(title) = view.filter(|_| console::is_there()) {
            match View::open(&title, steps, interrupted.clone()) {
                Ok(view) => return Self::View(view.into()),
                Err(why) => note!("unheat: --view: {why}; training goes on without it"),
            }
        }
        if !std::io::stderr().is_terminal() || console::flaw().is_some() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(steps).with_position(done);
        bar.reset_eta();
        let template = "{bar:20} step {pos}/{len}, {msg}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
        Self::Bar(bar)
    }

    fn show(&mut self, news: News, steps: u64) {
        match (self, news) {
            (Self::View(view), News::Step(row)) => view.step(row),
            (Self::View(view), News::Line(text)) => view.tell(text),
            (Self::View(view), News::Preview(example)) => view.preview(example),
            (Self::View(view), News::Rewind(step)) => view.rewind(step),
            (Self::Bar(bar), News::Step(row)) => {
                bar.set_position(row.step + 1);
                bar.set_message(format!("{}, {:.2} steps/s", loss(&row), speed(&row)));
            }
            (Self::Bar(bar), News::Line(text)) => bar.println(text),
            (Self::Bar(bar), News::Rewind(step)) => bar.set_position(step),
            (Self::Lines, News::Step(row)) => {
                let (done, speed) = (row.step + 1, speed(&row));
                if row.step.is_multiple_of(steps.div_ceil(LINES)) || done == steps {
                    let left = (steps - done) as f64 / speed;
                    let (step, loss) = (row.step, loss(&row));
                    note!("step {step:>4} of {steps}: {loss}, {speed:.2} steps/s, {left:.0} s left");
                }
            }
            (Self::Lines, News::Line(text)) => note!("{text}"),
            (Self::Bar(_) | Self::Lines, News::Preview(_)) | (Self::Lines, News::Rewind(_)) => {}
        }
    }

    /// Shows what comes until there is no training any more.
    fn run(mut self, news: &Receiver<News>, steps: u64, wanted: &AtomicBool) {
        loop {
            match news.recv_timeout(REFRESH) {
                Ok(first) => {
                    self.show(first, steps);
                    news.try_iter().for_each(|next| self.show(next, steps));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Self::View(view) = &mut self {
                let is_there = view.draw();
                wanted.store(is_there, Ordering::Relaxed);
                if !is_there {
                    self = Self::Lines; // nobody sits there any more; who reads a file of it may
                }
            }
        }
        if let Self::Bar(bar) = &self {
            bar.finish_and_clear();
        }
    }
}

fn speed(row: &MetricsRow) -> f64 {
    (row.step + 1) as f64 / row.seconds.max(1e-9)
}

impl Display {
    /// Shows `run` until its end, or until `interrupted` is set. Without a terminal, in plain lines.
    pub(crate) fn new(run: Watched, interrupted: Arc<AtomicBool>) -> Self {
        let (steps, pause_at) = (run.steps, run.pause_at);
        let screen = Screen::new(run, &interrupted);
        let is_patient = matches!(screen, Screen::Lines);
        let wanted = Arc::new(AtomicBool::new(matches!(screen, Screen::View(_))));
        let ((news, coming), (showing, shown)) = (mpsc::channel(), mpsc::channel());
        let now = Instant::now();
        let pace =
            Pace { wanted: wanted.clone(), is_first: true, asked: now, previewed: now, cost: Duration::ZERO };
        std::thread::spawn(move || {
            screen.run(&coming, steps, &wanted);
            drop::<Sender<()>>(showing);
        });
        Self { news, shown, is_patient, pace, interrupted, pause_at }
    }

    fn send(&self, news: News) {
        let _ = self.news.send(news); // a display that has failed is no reason to stop
    }

    fn tell(&self, text: String) {
        self.send(News::Line(text));
    }

    /// Gives the terminal back, if it takes what is left to show.
    pub(crate) fn finish(self) {
        let Self { news, shown, is_patient, .. } = self;
        drop(news);
        if is_patient {
            let _ = shown.recv();
        } else if shown.recv_timeout(messages::PATIENCE) == Err(RecvTimeoutError::Timeout) {
            messages::nobody_reads();
            console::release();
        }
    }
}

impl Progress for Display {
    fn step(&mut self, row: &MetricsRow, _: u64) {
        self.send(News::Step(*row));
    }

    fn validated(&mut self, row: &validation::ValidationRow) {
        self.tell(format!("held-out fields after {} steps: x loss {:.3}", row.step, row.x_l2_mean));
    }

    fn wants_preview(&mut self) -> bool {
        let Pace { wanted, is_first, asked, previewed, cost } = &mut self.pace;
        let is_due = *is_first || previewed.elapsed() > PREVIEW.max(*cost * PREVIEW_SHARE);
        let wants = is_due && wanted.load(Ordering::Relaxed);
        if wants {
            *asked = Instant::now();
        }
        wants
    }

    fn preview(&mut self, preview: &Preview) {
        let named = [("truth", preview.truth), ("observation", Some(preview.observation))];
        let fields = named
            .into_iter()
            .filter_map(|(title, field)| Some((title, field?.to_vec())))
            .chain([("reconstruction", preview.prediction.clone())])
            .collect();
        let pace = &mut self.pace;
        (pace.is_first, pace.cost, pace.previewed) = (false, pace.asked.elapsed(), Instant::now());
        pace.wanted.store(false, Ordering::Relaxed); // until this one is shown
        self.send(News::Preview((fields, (preview.nx, preview.ny))));
    }

    fn recovered(&mut self, error: &str, step: u64, _: &Device) {
        self.send(News::Rewind(step));
        self.tell(format!("{error}; the device was opened anew, going on after step {step}"));
    }

    fn too_long(&mut self, dispatch: &str, time: Duration) {
        self.tell(format!(
            "{dispatch} takes about {} ms at a time, longer than --max-dispatch-ms; if the driver resets the \
             device, make it shorter with --micro-batch",
            time.as_millis()
        ));
    }

    fn interrupted(&mut self, done: u64) -> bool {
        self.pause_at.is_some_and(|step| done >= step) || self.interrupted.load(Ordering::Relaxed)
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

    /// One for work that says in lines of its own what is done: a bar or nothing.
    pub(crate) fn silent(what: &'static str, total: u64) -> Self {
        Self { patience: Duration::MAX, ..Self::new(what, total) }
    }

    /// How many are done, of how many, and how long the rest will take: "3 of 24, about 80 s left".
    pub(crate) fn so_far(&self) -> String {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total);
        format!("{done} of {total}{}", left(self.start.elapsed(), done, total))
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
