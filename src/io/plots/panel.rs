//! What panels of losses share: axes, logarithmic upward, with a grid, a title and labels; a legend.

use crate::io::plots::canvas::{Align, BLACK, Canvas, Colour};
use crate::io::plots::{font, ticks};

pub(crate) const LABEL_SIZE: f32 = 24.0;
pub(crate) const TICK_SIZE: f32 = 22.0;
/// The plotted area of a panel.
pub(crate) const WIDTH: usize = 720;
pub(crate) const HEIGHT: usize = 480;
/// The space around it.
pub(crate) const TOP: usize = 56;
pub(crate) const BOTTOM: usize = 92;
pub(crate) const RIGHT: usize = 36;
pub(crate) const GRID: Colour = [0xdd; 3];
const FINE_GRID: Colour = [0xf1; 3];

/// A logarithmic axis and what is written along it.
pub(crate) struct Upward {
    /// The pixels left of the plotted area.
    pub(crate) left: usize,
    /// Decimal logarithms of its ends.
    logs: (f64, f64),
    ticks: Vec<f64>,
    fine: Vec<f64>,
    is_empty: bool,
}

/// What is written around a panel.
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
}

impl Upward {
    /// An axis for these values, all positive and finite.
    pub(crate) fn new(values: &[f64]) -> Self {
        let widen = |range: (f64, f64), value: &f64| (range.0.min(value.log10()), range.1.max(value.log10()));
        let mut logs = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), widen);
        if values.is_empty() {
            logs = (0.0, 1.0);
        }
        // A little air above and below; at least a tenth of a decade in all.
        let air = (0.04 * (logs.1 - logs.0)).max(0.05);
        logs = (logs.0 - air, logs.1 + air);
        // The air must not lead out of the numbers that an f64 can hold.
        let (low, high) = (10f64.powf(logs.0).max(f64::MIN_POSITIVE), 10f64.powf(logs.1).min(f64::MAX));
        let (ticks, fine) = ticks::logarithmic(low, high);
        let widest =
            ticks.iter().map(|&tick| font::width(&ticks::label(tick), TICK_SIZE)).fold(0.0, f32::max);
        Self { left: widest as usize + 72, logs, ticks, fine, is_empty: values.is_empty() }
    }

    /// Pixels from the top end of the axis.
    pub(crate) fn y(&self, value: f64) -> f32 {
        let share = (value.log10() - self.logs.0) / (self.logs.1 - self.logs.0);
        ((1.0 - share) * HEIGHT as f64) as f32
    }

    /// Draws grid, ticks and words of a panel with its top left corner at `(x, y)`. The ticks to the right
    /// come in pixels.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas,
        (x, y): (i64, i64),
        x_ticks: &[(f32, String)],
        words: Words,
    ) {
        let (middle, bottom) = (x + WIDTH as i64 / 2, y + HEIGHT as i64);
        for (ticks, colour) in [(&self.fine, FINE_GRID), (&self.ticks, GRID)] {
            for &tick in ticks {
                canvas.fill(x, y + self.y(tick) as i64, WIDTH, 1, colour, 1.0);
            }
        }
        for (at, label) in x_ticks {
            let at = x + *at as i64;
            canvas.fill(at, y, 1, HEIGHT, GRID, 1.0);
            canvas.fill(at, bottom, 1, 7, BLACK, 1.0);
            canvas.text(at, bottom + 24, Align::Centre, label, TICK_SIZE);
        }
        for &tick in &self.ticks {
            let at = y + self.y(tick) as i64;
            canvas.fill(x - 7, at, 7, 1, BLACK, 1.0);
            canvas.text(x - 11, at, Align::Right, &ticks::label(tick), TICK_SIZE);
        }
        for &tick in &self.fine {
            canvas.fill(x - 4, y + self.y(tick) as i64, 4, 1, BLACK, 1.0);
        }
        canvas.text(middle, y - 28, Align::Centre, words.title, LABEL_SIZE);
        canvas.text(middle, bottom + 62, Align::Centre, words.x_label, LABEL_SIZE);
        let left = x - self.left as i64 + 30;
        canvas.text_upward(left, y + HEIGHT as i64 / 2, Align::Centre, words.y_label, LABEL_SIZE);
    }

    /// Says so where there is nothing to draw.
    pub(crate) fn complain(&self, canvas: &mut Canvas, (x, y): (i64, i64)) {
        if self.is_empty {
            let (x, y) = (x + WIDTH as i64 / 2, y + HEIGHT as i64 / 2);
            canvas.text(x, y, Align::Centre, "no positive values", LABEL_SIZE);
        }
    }
}

/// The names of lines, with their colours.
pub(crate) struct Legend<'a> {
    entries: Vec<(&'a str, Colour)>,
    width: usize,
    height: usize,
}

impl<'a> Legend<'a> {
    const ROW: usize = 34;

    /// A legend, if there is more than one name.
    pub(crate) fn new(lines: impl Iterator<Item = (&'a str, Colour)>) -> Option<Self> {
        let mut entries: Vec<(&str, Colour)> = Vec::new();
        for line in lines {
            if !entries.iter().any(|entry| entry.0 == line.0) {
                entries.push(line);
            }
        }
        let widest = entries.iter().map(|entry| font::width(entry.0, TICK_SIZE)).fold(0.0, f32::max) as usize;
        let (width, height) = (widest + 78, entries.len() * Self::ROW + 12);
        (entries.len() > 1).then_some(Self { entries, width, height })
    }

    /// The pixels that it takes beside the plotted area, where it would hide too much of that.
    pub(crate) fn beside(&self) -> usize {
        let hides_much = self.width * self.height > WIDTH * HEIGHT / 6;
        if hides_much { self.width + 14 } else { 0 }
    }

    /// Beside the plotted area, whose top left corner is `(x, y)`, or inside in the corner with the fewest
    /// drawn points; the top right one if in doubt, since losses fall.
    pub(crate) fn draw(&self, canvas: &mut Canvas, (x, y): (i64, i64), drawn: &[(f32, f32)]) {
        let Self { entries, width, height } = self;
        let right = x + WIDTH as i64 - *width as i64 - 14;
        let bottom = y + HEIGHT as i64 - *height as i64 - 14;
        let corners = [(right, y + 14), (right, bottom), (x + 14, y + 14), (x + 14, bottom)];
        let inside = |&(left, top): &(i64, i64)| {
            let columns = left as f32..(left + *width as i64) as f32;
            let rows = top as f32..(top + *height as i64) as f32;
            drawn.iter().filter(|(x, y)| columns.contains(x) && rows.contains(y)).count()
        };
        let (left, top) = match self.beside() {
            0 => corners.into_iter().min_by_key(inside).unwrap_or(corners[0]),
            _ => (x + WIDTH as i64 + 20, y),
        };
        canvas.fill(left, top, *width, *height, [255; 3], 0.85);
        canvas.frame(left, top, *width, *height, GRID);
        for (row, (label, colour)) in entries.iter().enumerate() {
            let y = top + (6 + row * Self::ROW + Self::ROW / 2) as i64;
            let start = (left + 14) as f32;
            canvas.line(&[(start, y as f32), (start + 36.0, y as f32)], 3.0, *colour);
            canvas.text(left + 62, y, Align::Left, label, TICK_SIZE);
        }
    }
}
