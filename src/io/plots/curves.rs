//! Training curves: one panel per metric side by side, steps to the right, a logarithmic axis upward.

use std::path::Path;

use crate::io::plots::canvas::{Align, BLACK, Canvas, Colour};
use crate::io::plots::panel::{BOTTOM, HEIGHT, Legend, RIGHT, TOP, Upward, WIDTH, Words};
use crate::io::plots::ticks;
use crate::{Error, Result};

const TITLE_SIZE: f32 = 28.0;
const LINE: f32 = 3.0;
const FAINT_LINE: f32 = 1.5;
const FAINT: Colour = [0xbb; 3];

/// The colours of Okabe and Ito, which people with any kind of colour vision can tell apart.
pub(crate) const COLOURS: [Colour; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [0, 0, 0]];

/// One set of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePanel {
    /// Shown above, such as "x loss".
    pub title: String,
    /// Shown below the horizontal axis, such as "step".
    pub x_label: String,
    /// Shown beside the vertical axis.
    pub y_label: String,
    /// What is drawn. A legend appears when there is more than one label.
    pub series: Vec<Series>,
}

/// One line. Lines with the same label have the same colour in every panel and share one entry in the legend,
/// as the seeds of one method should.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// The name in the legend.
    pub label: String,
    /// The training step of each point, ascending.
    pub steps: Vec<u64>,
    /// The value at each step. The line is interrupted where it is not a positive, finite number.
    pub values: Vec<f64>,
    /// The lower and upper ends of a shaded band around the line, one each per step.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
    /// Whether it is drawn in grey and thin, below the others.
    pub is_faint: bool,
}

/// Draws the panels side by side under a common title (none if it is empty) as a PNG file.
///
/// Lists of different lengths are cut to the shortest.
///
/// # Errors
/// [`Error::Usage`] when there is no panel, or so many that the picture would be absurdly large;
/// [`Error::Io`] when the file cannot be written.
pub fn curves(path: &Path, title: &str, panels: &[CurvePanel]) -> Result<()> {
    let above = if title.is_empty() { 0 } else { 52 };
    let axes: Vec<Axes> = panels.iter().map(Axes::new).collect();
    let labels = labels(panels);
    let right = |panel: &CurvePanel| RIGHT + legend(panel, &labels).map_or(0, |legend| legend.beside());
    let width = axes.iter().zip(panels).map(|(axes, panel)| axes.upward.left + WIDTH + right(panel)).sum();
    if width == 0 {
        return Err(Error::usage("no panel to draw"));
    }
    let mut canvas = Canvas::new(width, above + TOP + HEIGHT + BOTTOM)?;
    canvas.text(width as i64 / 2, 34, Align::Centre, title, TITLE_SIZE);
    let mut left = 0;
    for (panel, axes) in panels.iter().zip(&axes) {
        let mut plot =
            Plot { canvas: &mut canvas, x: left + axes.upward.left as i64, y: (above + TOP) as i64, axes };
        plot.draw(panel, &labels);
        left += (axes.upward.left + WIDTH + right(panel)) as i64;
    }
    canvas.save(path)
}

/// Every label once, in the order of first appearance; the place in this list decides the colour.
fn labels(panels: &[CurvePanel]) -> Vec<&str> {
    let mut labels = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series).filter(|series| !series.is_faint) {
        if !labels.contains(&series.label.as_str()) {
            labels.push(&series.label);
        }
    }
    labels
}

/// The colour of a line: that of its label's place in the list.
fn colour(series: &Series, labels: &[&str]) -> Colour {
    if series.is_faint {
        return FAINT;
    }
    let place = labels.iter().position(|&label| label == series.label).unwrap_or(0);
    COLOURS[place % COLOURS.len()]
}

fn legend<'a>(panel: &'a CurvePanel, labels: &[&str]) -> Option<Legend<'a>> {
    Legend::new(panel.series.iter().map(|series| (series.label.as_str(), colour(series, labels))))
}

/// One point with its band, if that is positive and finite.
#[derive(Clone, Copy)]
struct Point {
    step: f64,
    value: f64,
    band: Option<(f64, f64)>,
}

/// The stretches of a line between values that cannot be drawn.
fn stretches(series: &Series) -> Vec<Vec<Point>> {
    let drawable = |value: f64| value.is_finite() && value > 0.0;
    let mut stretches = vec![Vec::new()];
    for (index, (&step, &value)) in series.steps.iter().zip(&series.values).enumerate() {
        if !drawable(value) {
            stretches.push(Vec::new());
            continue;
        }
        let band =
            series.band.as_ref().and_then(|(lower, upper)| Some((*lower.get(index)?, *upper.get(index)?)));
        let band = band.filter(|&(lower, upper)| drawable(lower) && drawable(upper));
        if let Some(stretch) = stretches.last_mut() {
            stretch.push(Point { step: step as f64, value, band });
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// The ranges of a panel and what is written along them.
struct Axes {
    steps: (f64, f64),
    x_ticks: Vec<f64>,
    upward: Upward,
}

impl Axes {
    fn new(panel: &CurvePanel) -> Self {
        let mut steps = (f64::INFINITY, f64::NEG_INFINITY);
        let mut values = Vec::new();
        for point in panel.series.iter().flat_map(stretches).flatten() {
            steps = (steps.0.min(point.step), steps.1.max(point.step));
            values.push(point.value);
            values.extend(point.band.iter().flat_map(|band| [band.0, band.1]));
        }
        if values.is_empty() {
            steps = (0.0, 1.0);
        }
        if steps.0 == steps.1 {
            steps = (steps.0 - 1.0, steps.1 + 1.0);
        }
        let mut x_ticks = ticks::linear(steps.0, steps.1, 6);
        x_ticks.retain(|tick| tick.fract() == 0.0); // there is no step one half
        Self { steps, x_ticks, upward: Upward::new(&values) }
    }

    /// Pixels from the left end of the axis, with a small margin inside it.
    fn x(&self, step: f64) -> f32 {
        let share = (step - self.steps.0) / (self.steps.1 - self.steps.0);
        ((0.02 + 0.96 * share) * WIDTH as f64) as f32
    }

    fn y(&self, value: f64) -> f32 {
        self.upward.y(value)
    }
}

/// One panel being drawn: `x`, `y` is the top left corner of the plotted area.
struct Plot<'a> {
    canvas: &'a mut Canvas,
    x: i64,
    y: i64,
    axes: &'a Axes,
}

impl Plot<'_> {
    fn draw(&mut self, panel: &CurvePanel, labels: &[&str]) {
        self.axes_and_grid(panel);
        // All bands below all lines.
        for series in &panel.series {
            self.band(&stretches(series), colour(series, labels));
        }
        let mut drawn = Vec::new();
        let (faint, clear): (Vec<&Series>, Vec<&Series>) =
            panel.series.iter().partition(|series| series.is_faint);
        for series in faint.into_iter().chain(clear) {
            let width = if series.is_faint { FAINT_LINE } else { LINE };
            for stretch in stretches(series) {
                let line: Vec<(f32, f32)> = stretch.iter().map(|point| self.at(point)).collect();
                self.canvas.line(&line, width, colour(series, labels));
                drawn.extend(line);
            }
        }
        self.canvas.frame(self.x, self.y, WIDTH, HEIGHT, BLACK);
        self.axes.upward.complain(self.canvas, (self.x, self.y));
        if let Some(legend) = legend(panel, labels) {
            legend.draw(self.canvas, (self.x, self.y), &drawn);
        }
    }

    fn at(&self, point: &Point) -> (f32, f32) {
        (self.x as f32 + self.axes.x(point.step), self.y as f32 + self.axes.y(point.value))
    }

    fn axes_and_grid(&mut self, panel: &CurvePanel) {
        let (x, y, axes) = (self.x, self.y, self.axes);
        let ticks: Vec<(f32, String)> =
            axes.x_ticks.iter().map(|&tick| (axes.x(tick), ticks::label(tick))).collect();
        let words = Words { title: &panel.title, x_label: &panel.x_label, y_label: &panel.y_label };
        axes.upward.draw(self.canvas, (x, y), &ticks, words);
    }

    /// Shades each column of pixels once, however many points fall into it.
    fn band(&mut self, stretches: &[Vec<Point>], colour: Colour) {
        let mut spans = vec![(f32::INFINITY, f32::NEG_INFINITY); WIDTH];
        let ends = |point: &Point| {
            let (lower, upper) = point.band?;
            let (top, bottom) = (self.axes.y(upper), self.axes.y(lower));
            Some((self.axes.x(point.step), top.min(bottom), top.max(bottom)))
        };
        for pair in stretches.iter().flat_map(|stretch| stretch.windows(2)) {
            let (Some(a), Some(b)) = (ends(&pair[0]), ends(&pair[1])) else {
                continue;
            };
            for column in a.0 as usize..=(b.0 as usize).min(WIDTH - 1) {
                let share = ((column as f32 - a.0) / (b.0 - a.0).max(1e-3)).clamp(0.0, 1.0);
                let (top, bottom) = (a.1 + share * (b.1 - a.1), a.2 + share * (b.2 - a.2));
                spans[column] = (spans[column].0.min(top), spans[column].1.max(bottom));
            }
        }
        for (column, &(top, bottom)) in spans.iter().enumerate().filter(|(_, span)| span.0 <= span.1) {
            let (first, end) = (top as usize, (bottom.ceil() as usize).min(HEIGHT));
            let height = end.saturating_sub(first);
            self.canvas.fill(self.x + column as i64, self.y + first as i64, 1, height, colour, 0.2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(title: &str, panels: &[CurvePanel]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        curves(&path, title, panels).unwrap();
        image::open(&path).unwrap().into_rgb8()
    }

    fn series(label: &str, values: &[f64]) -> Series {
        let steps = (0..values.len() as u64).collect();
        Series { label: label.into(), steps, values: values.to_vec(), ..Series::default() }
    }

    fn panel(series: Vec<Series>) -> CurvePanel {
        CurvePanel { title: "x loss".into(), x_label: "step".into(), y_label: "loss".into(), series }
    }

    fn count(image: &image::RgbImage, colour: Colour) -> usize {
        image.pixels().filter(|pixel| pixel.0 == colour).count()
    }

    #[test]
    fn lines_with_one_label_share_a_colour() {
        let image = draw("", &[panel(vec![series("SIP", &[9.0, 3.0]), series("GD", &[9.0, 8.0])])]);
        assert!(count(&image, COLOURS[0]) > 500);
        assert!(count(&image, COLOURS[1]) > 500);
        let image = draw("", &[panel(vec![series("SIP", &[9.0, 3.0]), series("SIP", &[9.0, 8.0])])]);
        assert_eq!(count(&image, COLOURS[1]), 0);
    }

    #[test]
    fn a_band_is_shaded() {
        let mut with_band = series("a", &[10.0, 5.0, 2.0]);
        with_band.band = Some((vec![5.0, 2.0, 1.0], vec![20.0, 10.0, 4.0]));
        let shade = COLOURS[0].map(|channel| (255.0 + 0.2 * (f32::from(channel) - 255.0)).round() as u8);
        assert!(count(&draw("", &[panel(vec![with_band])]), shade) > 10_000);
    }

    #[test]
    fn values_without_a_logarithm_are_skipped() {
        let odd = [f64::NAN, 1.0, 0.0, -3.0, f64::INFINITY, 2.0, 3.0, f64::NAN];
        let mut with_band = series("odd", &odd);
        with_band.band = Some((odd.to_vec(), vec![5.0; 3]));
        draw("odd", &[panel(vec![with_band, series("none", &[]), series("nan", &[f64::NAN])])]);
        draw("", &[panel(vec![]), panel(vec![series("zero", &[0.0; 9])])]);
    }

    #[test]
    fn extreme_values_are_drawn() {
        draw("", &[panel(vec![series("all", &[f64::MIN_POSITIVE, f64::MAX, 5e-324])])]);
        draw("", &[panel(vec![series("one", &[3.0])]), panel(vec![series("flat", &[3.0; 4])])]);
        let far = Series { steps: vec![u64::MAX, 0, u64::MAX], values: vec![1.0; 3], ..Series::default() };
        draw("", &[panel(vec![far.clone(), Series { band: Some((vec![1.0; 3], vec![2.0; 3])), ..far }])]);
    }

    #[test]
    fn no_panel_and_too_many_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        assert!(matches!(curves(&path, "t", &[]), Err(Error::Usage(_))));
        assert!(matches!(curves(&path, "t", &vec![panel(vec![]); 10_000]), Err(Error::Usage(_))));
        assert!(!path.exists());
    }
}
