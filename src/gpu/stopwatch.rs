//! The host's clock, where there is one: `Instant::now` panics on wasm32-unknown-unknown.

use std::time::{Duration, Instant};

/// Runs from its start; without a clock it does not.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Option<Instant>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self((!cfg!(target_family = "wasm")).then(Instant::now))
    }

    /// Time since the start; without a clock none has passed.
    pub(crate) fn elapsed(self) -> Duration {
        self.measured().unwrap_or_default()
    }

    /// Time since the start, for those who cannot do without a clock.
    pub(crate) fn measured(self) -> Option<Duration> {
        self.0.map(|start| start.elapsed())
    }
}
