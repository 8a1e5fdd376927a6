//! How long a list of things will still take: a bar on a terminal, one line elsewhere.

use crate::cli::terminal::messages::note;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Without a terminal, what takes no longer is not worth a line.
const SOON: Duration = Duration::from_secs(10);

/// A list of things that are done one after the other.
pub(crate) struct Countdown {
    bar: Option<ProgressBar>,
    what: &'static str,
    start: Instant,
    all: usize,
    done: usize,
    said: bool,
}

impl Countdown {
    /// `all` of `what` (in the singular) are to be done.
    pub(crate) fn new(what: &'static str, all: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = format!("{{bar:20}} {what} {{pos}}/{{len}}, about {{eta}} left");
            let style = ProgressStyle::with_template(&template).expect("a constant template");
            ProgressBar::new(all as u64).with_style(style)
        });
        Self { bar, what, start: Instant::now(), all, done: 0, said: false }
    }

    /// One more is done; `report` prints what there is to say about it.
    pub(crate) fn done(&mut self, report: impl FnOnce()) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.suspend(report);
                bar.inc(1);
            }
            None => {
                report();
                let elapsed = self.start.elapsed();
                if !self.said && elapsed >= SOON {
                    self.said = true;
                    note!(
                        "{} {} of {}: {}",
                        self.what,
                        self.done,
                        self.all,
                        left(elapsed, self.done, self.all)
                    );
                }
            }
        }
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is left if the rest goes on as the first `done` of `all` did in `elapsed`.
fn left(elapsed: Duration, done: usize, all: usize) -> String {
    let seconds = elapsed.as_secs_f64() * all.saturating_sub(done) as f64 / done.max(1) as f64;
    if seconds < 90.0 {
        return format!("about {seconds:.0} s left");
    }
    format!("about {:.0} minutes left", seconds / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_done() {
        let ten = Duration::from_secs(10);
        assert_eq!(left(ten, 10, 90), "about 80 s left");
        assert_eq!(left(ten, 10, 490), "about 8 minutes left");
        assert_eq!(left(ten, 0, 0), "about 0 s left");
    }
}
