//! The roofline: what each kernel reaches, over its arithmetic per byte, below what the device can do.

use crate::Result;
use crate::io::plots::canvas::{Align, BLACK, Canvas, Colour};
use crate::io::plots::{font, ticks};
use std::path::Path;

/// The plotted area.
const WIDTH: usize = 860;
const HEIGHT: usize = 620;
const LEFT: i64 = 130;
const TOP: i64 = 80;
const BOTTOM: usize = 100;
const TITLE_SIZE: f32 = 24.0;
const LABEL_SIZE: f32 = 24.0;
const TICK_SIZE: f32 = 20.0;
const GRID: Colour = [0xdd; 3];
const FINE_GRID: Colour = [0xf1; 3];
const ROOF: Colour = [213, 94, 0];
const DOT: Colour = [0, 114, 178];
/// A row of the legend.
const ROW: usize = 30;

/// The ceilings of a device.
#[derive(Clone, Copy, Debug)]
pub struct Roof {
    /// 10⁹ operations per second.
    pub gflops: f64,
    /// 10⁹ bytes per second.
    pub gbytes_per_second: f64,
}

/// One kernel.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Its name.
    pub label: String,
    /// Operations per byte.
    pub intensity: f64,
    /// 10⁹ operations per second.
    pub gflops: f64,
    /// Its share of the step's time, from 0 to 1: the dot's area.
    pub share: f64,
}

/// Draws the figure as a PNG file. Dots that have no logarithm are left out.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be written.
pub fn draw(path: &Path, title: &str, roof: &Roof, dots: &[Dot]) -> Result<()> {
    let drawable = |dot: &&Dot| [dot.intensity, dot.gflops].iter().all(|v| v.is_finite() && *v > 0.0);
    let dots: Vec<&Dot> = dots.iter().filter(drawable).collect();
    let entries: Vec<String> =
        dots.iter().map(|dot| format!("{}, {:.1} %", dot.label, 100.0 * dot.share)).collect();
    let legend = entries.iter().map(|entry| font::width(entry, TICK_SIZE)).fold(0.0, f32::max) as usize;
    let height = (TOP as usize + HEIGHT + BOTTOM).max(TOP as usize + ROW * (entries.len() + 1));
    let width = (LEFT as usize + WIDTH + 100 + legend).max(font::width(title, TITLE_SIZE) as usize + 40);
    let mut figure = Figure { canvas: Canvas::new(width, height)?, axes: Axes::new(roof, &dots) };
    figure.canvas.text(width as i64 / 2, 36, Align::Centre, title, TITLE_SIZE);
    figure.grid();
    figure.roof(roof);
    figure.dots(&dots);
    for (row, entry) in entries.iter().enumerate() {
        let y = TOP + (ROW * row + ROW / 2) as i64;
        let x = LEFT + WIDTH as i64 + 56;
        figure.canvas.text(x, y, Align::Right, &format!("{}", row + 1), TICK_SIZE);
        figure.canvas.text(x + 14, y, Align::Left, entry, TICK_SIZE);
    }
    if dots.is_empty() {
        let (x, y) = (LEFT + WIDTH as i64 / 2, TOP + 3 * HEIGHT as i64 / 4);
        figure.canvas.text(x, y, Align::Centre, "no kernel declares its operations", LABEL_SIZE);
    }
    figure.canvas.save(path)
}

/// Logarithmic ranges along both axes.
struct Axes {
    intensity: (f64, f64),
    gflops: (f64, f64),
}

impl Axes {
    /// Holds every dot, the ridge, and a decade around it.
    fn new(roof: &Roof, dots: &[&Dot]) -> Self {
        let ridge = roof.gflops / roof.gbytes_per_second;
        let range = |first: [f64; 2], values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((first[0], first[1]), |(a, b), v| (a.min(v), b.max(v)));
            (low.max(1e-300).log10() - 0.15, high.min(1e300).log10() + 0.15)
        };
        Self {
            intensity: range([0.1 * ridge, 10.0 * ridge], &mut dots.iter().map(|dot| dot.intensity)),
            gflops: range([0.1 * roof.gflops, 1.2 * roof.gflops], &mut dots.iter().map(|dot| dot.gflops)),
        }
    }

    fn x(&self, intensity: f64) -> f32 {
        let (low, high) = self.intensity;
        LEFT as f32 + (WIDTH as f64 * (intensity.log10() - low) / (high - low)) as f32
    }

    fn y(&self, gflops: f64) -> f32 {
        let (low, high) = self.gflops;
        TOP as f32 + (HEIGHT as f64 * (high - gflops.log10()) / (high - low)) as f32
    }
}

struct Figure {
    canvas: Canvas,
    axes: Axes,
}

impl Figure {
    fn grid(&mut self) {
        let (axes, bottom) = (&self.axes, TOP + HEIGHT as i64);
        let ticks = |range: (f64, f64)| ticks::logarithmic(10f64.powf(range.0), 10f64.powf(range.1));
        let ((x_ticks, x_fine), (y_ticks, y_fine)) = (ticks(axes.intensity), ticks(axes.gflops));
        for (x_lines, y_lines, colour) in [(&x_fine, &y_fine, FINE_GRID), (&x_ticks, &y_ticks, GRID)] {
            for &tick in x_lines {
                self.canvas.fill(axes.x(tick) as i64, TOP, 1, HEIGHT, colour, 1.0);
            }
            for &tick in y_lines {
                self.canvas.fill(LEFT, axes.y(tick) as i64, WIDTH, 1, colour, 1.0);
            }
        }
        for &tick in &x_ticks {
            let label = ticks::label(tick);
            self.canvas.text(axes.x(tick) as i64, bottom + 22, Align::Centre, &label, TICK_SIZE);
        }
        for &tick in &y_ticks {
            self.canvas.text(LEFT - 10, axes.y(tick) as i64, Align::Right, &ticks::label(tick), TICK_SIZE);
        }
        let middle = LEFT + WIDTH as i64 / 2;
        self.canvas.text(middle, bottom + 66, Align::Centre, "FLOP per byte", LABEL_SIZE);
        self.canvas.text_upward(34, TOP + HEIGHT as i64 / 2, Align::Centre, "GFLOP/s", LABEL_SIZE);
    }

    /// Rises with the bandwidth up to the ridge, then stays.
    fn roof(&mut self, roof: &Roof) {
        let (low, high) = (10f64.powf(self.axes.intensity.0), 10f64.powf(self.axes.intensity.1));
        // The slope starts at the left or the bottom edge, whichever it meets first.
        let start = low.max(10f64.powf(self.axes.gflops.0) / roof.gbytes_per_second);
        let ridge = roof.gflops / roof.gbytes_per_second;
        let corners = [(start, start * roof.gbytes_per_second), (ridge, roof.gflops), (high, roof.gflops)];
        let line = corners.map(|(x, y)| (self.axes.x(x), self.axes.y(y)));
        self.canvas.line(&line, 4.0, ROOF);
        self.canvas.frame(LEFT, TOP, WIDTH, HEIGHT, BLACK);
        let (x, y) = (line[2].0 as i64 - 10, line[2].1 as i64 - 18);
        self.canvas.text(x, y, Align::Right, &format!("{:.0} GFLOP/s", roof.gflops), TICK_SIZE);
        let (x, y) = (0.5 * (line[0].0 + line[1].0), 0.5 * (line[0].1 + line[1].1));
        let label = format!("{:.0} GB/s", roof.gbytes_per_second);
        self.canvas.text(x as i64 - 16, y as i64 - 10, Align::Right, &label, TICK_SIZE);
    }

    /// The slowest kernel first in the legend and lowest in the pile.
    fn dots(&mut self, dots: &[&Dot]) {
        for dot in dots {
            let at = self.at(dot);
            self.canvas.line(&[at], diameter(dot) + 3.0, [255; 3]);
            self.canvas.line(&[at], diameter(dot), DOT);
        }
        // Each number goes where it hides the fewest dots and numbers.
        let mut taken: Vec<(f32, f32)> = dots.iter().map(|dot| self.at(dot)).collect();
        for (i, dot) in dots.iter().enumerate() {
            let (x, y) = self.at(dot);
            let away = 16.0 + 0.5 * diameter(dot);
            let hidden = |at: &(f32, f32)| {
                taken.iter().filter(|t| (t.0 - at.0).abs() < 22.0 && (t.1 - at.1).abs() < 18.0).count()
            };
            let places = [(x, y - away), (x + away, y), (x - away, y), (x, y + away), (x + away, y - away)];
            let best = places.into_iter().min_by_key(hidden).unwrap_or(places[0]);
            taken.push(best);
            self.canvas.text(best.0 as i64, best.1 as i64, Align::Centre, &format!("{}", i + 1), TICK_SIZE);
        }
    }

    fn at(&self, dot: &Dot) -> (f32, f32) {
        (self.axes.x(dot.intensity), self.axes.y(dot.gflops))
    }
}

/// Pixels, with an area that grows with the share of time.
fn diameter(dot: &Dot) -> f32 {
    8.0 + 52.0 * dot.share.clamp(0.0, 1.0).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(dots: &[Dot]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.png");
        draw(&path, "a device", &Roof { gflops: 100.0, gbytes_per_second: 10.0 }, dots).unwrap();
        image::open(&path).unwrap().into_rgb8()
    }

    fn dot(intensity: f64, gflops: f64) -> Dot {
        Dot { label: "a kernel".to_owned(), intensity, gflops, share: 0.5 }
    }

    #[test]
    fn dots_and_roof_are_drawn() {
        let count =
            |image: &image::RgbImage, colour: Colour| image.pixels().filter(|p| p.0 == colour).count();
        let drawn = image(&[dot(3.0, 20.0)]);
        assert!(count(&drawn, DOT) > 800 && count(&drawn, ROOF) > 1000);
        let without = image(&[dot(0.0, 20.0), dot(1.0, f64::NAN), dot(f64::INFINITY, 1.0)]);
        assert_eq!(count(&without, DOT), 0, "what has no logarithm is left out");
    }

    #[test]
    fn extreme_kernels_are_drawn() {
        image(&[dot(1e-300, 1e-300), dot(1e300, 1e300), dot(f64::MAX, f64::MIN_POSITIVE)]);
        image(&vec![dot(1.0, 1.0); 60]);
    }
}
