//! `unheat train --view`: curves, speed and the current reconstruction on the whole terminal, while training
//! goes on.

use crate::cli::terminal::console;
use crate::cli::terminal::scene::Scene;
use crate::io::tables::metrics::MetricsRow;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{Stderr, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two drawings.
pub(super) const REFRESH: Duration = Duration::from_millis(100);

/// An example's fields with their titles, and their sides.
pub(super) type Example = (Vec<(&'static str, Vec<f32>)>, (usize, usize));

/// The live view. The terminal is as it was once this is dropped.
pub(super) struct View {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    scene: Scene,
    stop: Arc<AtomicBool>,
    drawn: Option<Instant>,
}

impl View {
    /// Takes over the terminal, or says why not; keys that end the run set `stop`.
    pub(super) fn open(title: &str, steps: u64, stop: Arc<AtomicBool>) -> Result<Self, String> {
        console::open(&stop)?;
        let terminal = Terminal::new(CrosstermBackend::new(stderr())).map_err(|error| {
            console::close();
            format!("the terminal cannot be drawn on: {error}")
        })?;
        let true_colour =
            std::env::var("COLORTERM").is_ok_and(|value| ["truecolor", "24bit"].contains(&value.as_str()));
        let scene = Scene {
            title: title.to_owned(),
            steps,
            rows: Vec::new(),
            fields: Vec::new(),
            sides: (0, 0),
            message: "q or Ctrl-C: stop with a checkpoint".to_owned(),
            true_colour,
        };
        Ok(Self { terminal, scene, stop, drawn: None })
    }

    /// Takes a step's row.
    pub(super) fn step(&mut self, row: MetricsRow) {
        self.scene.rows.push(row);
    }

    /// Forgets the steps from `step` on: they come again.
    pub(super) fn rewind(&mut self, step: u64) {
        self.scene.rows.retain(|row| row.step < step);
    }

    /// Takes a message that stands below the curves.
    pub(super) fn tell(&mut self, text: String) {
        self.scene.message = text;
    }

    /// Takes a new reconstruction.
    pub(super) fn preview(&mut self, example: Example) {
        (self.scene.fields, self.scene.sides) = example;
    }

    /// Shows what has come, unless that was done just now; whether the terminal is still there.
    pub(super) fn draw(&mut self) -> bool {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < REFRESH) {
            return !console::is_gone();
        }
        if self.stop.load(Ordering::Relaxed) {
            self.scene.message = "stopping after the step at hand".to_owned();
        }
        let scene = &self.scene;
        // Whether it has gone comes first: the size of a terminal that is not there takes a process to ask.
        let is_drawn = !console::is_gone() && self.terminal.draw(|frame| scene.draw(frame)).is_ok();
        self.drawn = Some(Instant::now());
        is_drawn
    }
}

impl Drop for View {
    fn drop(&mut self) {
        console::close();
    }
}
