//! `unheat train --view`: curves, speed and the current reconstruction on the whole terminal, while training
//! goes on.

use crate::cli::terminal::scene::Scene;
use crate::io::tables::metrics::MetricsRow;
use crate::train::Preview;
use crate::{Error, Result};
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use std::io::{IsTerminal, Stderr, stderr, stdin};
use std::time::{Duration, Instant};

/// Between two drawings.
const REFRESH: Duration = Duration::from_millis(100);

/// Between two reconstructions, at least, and at least this many times what one takes: training comes first.
const PREVIEW: Duration = Duration::from_secs(2);
const PREVIEW_SHARE: u32 = 20;

/// The live view. The terminal is as it was once this is dropped.
pub(crate) struct View {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    scene: Scene,
    drawn: Instant,
    asked: Instant,
    previewed: Instant,
    cost: Duration,
}

impl View {
    /// Whether there is a terminal to draw on and to read keys from.
    pub(crate) fn is_possible() -> bool {
        stderr().is_terminal() && stdin().is_terminal()
    }

    /// Takes over the terminal.
    pub(crate) fn open(title: &str, steps: u64) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Usage(format!("view: the terminal cannot be drawn on: {e}"));
        enable_raw_mode().map_err(failed)?;
        let entered = execute!(stderr(), EnterAlternateScreen, cursor::Hide);
        let cleared = |mut terminal: Terminal<_>| terminal.clear().map(|()| terminal);
        let terminal =
            entered.and_then(|()| Terminal::new(CrosstermBackend::new(stderr()))).and_then(cleared);
        let terminal = terminal.inspect_err(|_| close()).map_err(failed)?;
        let true_colour =
            std::env::var("COLORTERM").is_ok_and(|value| ["truecolor", "24bit"].contains(&value.as_str()));
        let now = Instant::now();
        let scene = Scene {
            title: title.to_owned(),
            steps,
            rows: Vec::new(),
            fields: Vec::new(),
            sides: (0, 0),
            message: "q or Ctrl-C: stop with a checkpoint".to_owned(),
            true_colour,
        };
        let mut view = Self { terminal, scene, drawn: now, asked: now, previewed: now, cost: Duration::ZERO };
        view.draw();
        Ok(view)
    }

    /// Shows a step's row.
    pub(crate) fn step(&mut self, row: &MetricsRow) {
        self.scene.rows.push(*row);
        if self.drawn.elapsed() > REFRESH || self.scene.rows.len() == 1 {
            self.draw();
        }
    }

    /// Forgets the steps from `step` on: they come again.
    pub(crate) fn rewind(&mut self, step: u64) {
        self.scene.rows.retain(|row| row.step < step);
    }

    /// Shows a message below the curves.
    pub(crate) fn tell(&mut self, text: String) {
        self.scene.message = text;
        self.draw();
    }

    /// Whether it is time for a new reconstruction.
    pub(crate) fn wants_preview(&mut self) -> bool {
        let due = self.scene.fields.is_empty() && !self.scene.rows.is_empty();
        let wanted = due || self.previewed.elapsed() > PREVIEW.max(self.cost * PREVIEW_SHARE);
        if wanted {
            self.asked = Instant::now();
        }
        wanted
    }

    /// Shows a new reconstruction.
    pub(crate) fn preview(&mut self, preview: &Preview) {
        let named = [("truth", preview.truth), ("observation", Some(preview.observation))];
        self.scene.fields = named
            .into_iter()
            .filter_map(|(title, field)| Some((title, field?.to_vec())))
            .chain([("reconstruction", preview.prediction.clone())])
            .collect();
        self.scene.sides = (preview.nx, preview.ny);
        self.cost = self.asked.elapsed();
        self.previewed = Instant::now();
        self.draw();
    }

    /// Whether somebody has pressed q or Ctrl-C, which a terminal in raw mode does not turn into a signal.
    pub(crate) fn is_ended(&mut self) -> bool {
        while event::poll(Duration::ZERO).unwrap_or(false) {
            match event::read() {
                Ok(Event::Key(key)) if ends(key) => {
                    self.scene.message = "stopping after the step at hand".to_owned();
                    self.draw();
                    return true;
                }
                Ok(Event::Resize(..)) => self.draw(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        false
    }

    /// A terminal that has gone away must not end the training.
    fn draw(&mut self) {
        let scene = &self.scene;
        if let Err(error) = self.terminal.draw(|frame| scene.draw(frame)) {
            log::debug!("view: {error}");
        }
        self.drawn = Instant::now();
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.terminal.backend_mut().flush();
        close();
    }
}

/// Gives the terminal back.
fn close() {
    let _ = execute!(stderr(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

fn ends(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_said_end_the_run() {
        let key = |code, modifiers| ends(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!key(KeyCode::Enter, KeyModifiers::NONE));
    }
}
