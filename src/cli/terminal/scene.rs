//! What the live view shows: curves, speed and the current reconstruction, drawn on any terminal.

use crate::io::plots::field_panels::{common_range, inferno};
use crate::io::tables::metrics::MetricsRow;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Widget};

/// Points of a curve: more than a terminal has columns.
const POINTS: usize = 1000;

/// Lines below the curves that pictures need to be worth it.
const LEAST_PICTURE: u16 = 10;

/// What the live view shows, independent of the terminal that it is drawn on.
pub(super) struct Scene {
    /// What is trained, and where.
    pub(super) title: String,
    pub(super) steps: u64,
    pub(super) rows: Vec<MetricsRow>,
    /// Titles and cells of the example's fields, and their sides.
    pub(super) fields: Vec<(&'static str, Vec<f32>)>,
    pub(super) sides: (usize, usize),
    /// The last row at the bottom.
    pub(super) message: String,
    pub(super) true_colour: bool,
}

impl Scene {
    /// Draws everything, as far as there is room.
    pub(super) fn draw(&self, frame: &mut Frame) {
        let area = frame.area();
        let pictures = if area.height >= 3 * LEAST_PICTURE { area.height / 2 } else { 0 };
        let rows = [2, 0, pictures, 1].map(Constraint::Length);
        let [head, curves, fields, foot] =
            Layout::vertical([rows[0], Constraint::Fill(1), rows[2], rows[3]]).areas(area);
        let lines = vec![Line::from(self.title.as_str()), Line::from(self.progress())];
        frame.render_widget(Paragraph::new(lines), head);
        self.draw_curves(frame, curves);
        if pictures > 0 {
            self.draw_fields(frame, fields);
        }
        frame.render_widget(Paragraph::new(self.message.as_str()), foot);
    }

    /// One line: how far, how good, how fast.
    fn progress(&self) -> String {
        let Some(row) = self.rows.last() else { return format!("step 0 of {}", self.steps) };
        let first = &self.rows[0];
        let done = row.step + 1;
        // The first step builds what the others use.
        let steady = (row.step - first.step) as f64 / (row.seconds - first.seconds).max(1e-9);
        let speed = if row.step > first.step { steady } else { 1.0 / row.seconds.max(1e-9) };
        let left = self.steps.saturating_sub(done) as f64 / speed;
        format!("step {done} of {}, {}, {speed:.2} steps/s, {left:.0} s left", self.steps, loss(row))
    }

    fn draw_curves(&self, frame: &mut Frame, area: Rect) {
        let curve = |pick: fn(&MetricsRow) -> f64| {
            let stride = self.rows.len().div_ceil(POINTS).max(1);
            let rows = self.rows.iter().rev().step_by(stride).rev();
            let points = rows.map(|row| (row.step as f64 + 1.0, pick(row).log10()));
            points.filter(|point| point.1.is_finite()).collect::<Vec<_>>()
        };
        let curves = [("x loss", curve(|row| row.x_l2_mean)), ("y loss", curve(|row| row.y_l2_mean))];
        let known: Vec<_> = curves.iter().filter(|(_, points)| !points.is_empty()).collect();
        let places = Layout::horizontal(vec![Constraint::Fill(1); known.len()]).split(area);
        for ((title, points), place) in known.into_iter().zip(places.iter()) {
            frame.render_widget(chart(title, points), *place);
        }
    }

    fn draw_fields(&self, frame: &mut Frame, area: Rect) {
        let range = common_range(self.fields.iter().flat_map(|(_, field)| field));
        let places = Layout::horizontal(vec![Constraint::Fill(1); self.fields.len()]).split(area);
        for ((title, cells), place) in self.fields.iter().zip(places.iter()) {
            let block = Block::bordered().title(*title);
            let inner = block.inner(*place);
            frame.render_widget(block, *place);
            let pixels = Pixels { cells, sides: self.sides, range, true_colour: self.true_colour };
            frame.render_widget(pixels, inner);
        }
    }
}

/// One curve over steps on a logarithmic axis, whose marks are powers of ten and what lies between.
fn chart<'a>(title: &'a str, points: &'a [(f64, f64)]) -> Chart<'a> {
    let over = |pick: fn(&(f64, f64)) -> f64| {
        let values = points.iter().map(pick);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (first, last) = over(|point| point.0);
    let (low, high) = over(|point| point.1);
    let (low, high) = (low - 0.05, high + 0.05);
    let value = |exponent: f64| {
        let value = 10f64.powf(exponent);
        if (1e-2..1e4).contains(&value) { format!("{value:.2}") } else { format!("{value:.1e}") }
    };
    let marks = [low, 0.5 * (low + high), high].map(value);
    let curve = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).data(points);
    Chart::new(vec![curve.style(Style::new().fg(Color::Yellow))])
        .block(Block::bordered().title(title))
        .x_axis(
            Axis::default()
                .bounds([first, last.max(first + 1.0)])
                .labels([first, last.max(first + 1.0)].map(|step| format!("{step:.0}"))),
        )
        .y_axis(Axis::default().bounds([low, high]).labels(marks))
}

/// A field in half blocks, two cells of colour for each character: x to the right, y upward.
struct Pixels<'a> {
    cells: &'a [f32],
    sides: (usize, usize),
    range: (f64, f64),
    true_colour: bool,
}

impl Pixels<'_> {
    /// The colour of the pixel at `column`, `row` (from the top) of `width` × `height`.
    fn at(&self, [column, row]: [usize; 2], [width, height]: [usize; 2]) -> Color {
        let (nx, ny) = self.sides;
        let x = (2 * column + 1) * nx / (2 * width);
        let y = ny - 1 - (2 * row + 1) * ny / (2 * height);
        let share = (f64::from(self.cells[x * ny + y]) - self.range.0) / (self.range.1 - self.range.0);
        let [r, g, b] = inferno(share);
        if self.true_colour {
            return Color::Rgb(r, g, b);
        }
        // The cube of 6 × 6 × 6 colours that every terminal with 256 of them has.
        let level = |value: u8| (u16::from(value) * 5 + 127) / 255;
        Color::Indexed((16 + 36 * level(r) + 6 * level(g) + level(b)) as u8)
    }
}

impl Widget for Pixels<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let (nx, ny) = self.sides;
        let (wide, high) = (usize::from(area.width), 2 * usize::from(area.height));
        if nx * ny == 0 || wide == 0 || high == 0 {
            return;
        }
        // As large as fits; half a character is about as wide as it is high.
        let (width, height) =
            if wide * ny <= high * nx { (wide, wide * ny / nx) } else { (high * nx / ny, high) };
        let size = [width.max(1), (height / 2 * 2).max(2)];
        for row in 0..size[1] / 2 {
            for column in 0..size[0] {
                let [top, bottom] = [2 * row, 2 * row + 1].map(|row| self.at([column, row], size));
                let place = (area.x + column as u16, area.y + row as u16);
                if let Some(cell) = buffer.cell_mut(place) {
                    cell.set_char('▀').set_fg(top).set_bg(bottom);
                }
            }
        }
    }
}

/// The loss that people look at: of x, or where that is unknown, of y.
pub(super) fn loss(row: &MetricsRow) -> String {
    if row.is_skipped() {
        return "skipped".to_owned();
    }
    if row.x_l2_mean.is_nan() {
        return format!("y loss {:8.5}", row.y_l2_mean);
    }
    format!("x loss {:8.3}", row.x_l2_mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn scene(steps: u64) -> Scene {
        let row = |step| MetricsRow {
            step,
            seconds: 0.5 * (step + 1) as f64,
            x_l2_mean: 100.0 / (step + 1) as f64,
            y_l2_mean: 1.0 / (step + 1) as f64,
            loss_mean: 1.0,
            x_l2_std: 1.0,
            x_l2_min: 1.0,
            x_l2_max: 1.0,
        };
        // Bright at the top right, dark elsewhere.
        let field = (0..16).map(|i| if i == 15 { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
        Scene {
            title: "SIP on a test".to_owned(),
            steps: 100,
            rows: (0..steps).map(row).collect(),
            fields: vec![("truth", field.clone()), ("reconstruction", field)],
            sides: (4, 4),
            message: "q or Ctrl-C: stop with a checkpoint".to_owned(),
            true_colour: true,
        }
    }

    fn drawn(scene: &Scene, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| scene.draw(frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> String {
        let width = usize::from(buffer.area.width);
        let rows = buffer.content.chunks(width);
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn everything_is_said_in_full() {
        let shown = text(&drawn(&scene(40), 100, 40));
        for part in [
            "SIP on a test",
            "step 40 of 100",
            "x loss",
            "y loss",
            "2.00 steps/s, 30 s left",
            "truth",
            "q or Ctrl-C",
        ] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
    }

    #[test]
    fn a_field_lies_with_x_to_the_right_and_y_upward() {
        let buffer = drawn(&scene(2), 100, 40);
        let bright = |cell: &ratatui::buffer::Cell, colour: Color| {
            cell.symbol() == "▀" && matches!(colour, Color::Rgb(r, g, _) if r > 240 && g > 240)
        };
        let width = usize::from(buffer.area.width);
        let places: Vec<_> = (buffer.content.iter().enumerate())
            .filter(|(_, cell)| bright(cell, cell.fg) || bright(cell, cell.bg))
            .map(|(i, _)| (i % width, i / width))
            .collect();
        let blocks: Vec<_> = (buffer.content.iter().enumerate())
            .filter(|(_, cell)| cell.symbol() == "▀")
            .map(|(i, _)| (i % width, i / width))
            .collect();
        let top = blocks.iter().map(|place| place.1).min();
        let right = blocks.iter().map(|place| place.0).max();
        assert_eq!(places.iter().map(|place| place.1).min(), top);
        assert_eq!(places.iter().map(|place| place.0).max(), right);
        let halves = buffer.content.iter().flat_map(|cell| [bright(cell, cell.fg), bright(cell, cell.bg)]);
        let lit = halves.filter(|lit| *lit).count();
        assert_eq!(16 * lit, 2 * blocks.len(), "one cell of sixteen");
    }

    #[test]
    fn no_terminal_is_too_small() {
        for (width, height) in [(1, 1), (5, 3), (20, 6), (30, 200), (300, 12)] {
            for steps in [0, 1, 3000] {
                drawn(&scene(steps), width, height);
            }
        }
    }
}
