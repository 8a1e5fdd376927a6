//! Results against what they were got with: dots, and a line through their medians where values repeat.

use crate::io::plots::canvas::{BLACK, Canvas, Colour};
use crate::io::plots::curves::COLOURS;
use crate::io::plots::panel::{BOTTOM, HEIGHT, RIGHT, TOP, Upward, WIDTH, Words};
use crate::io::plots::ticks;
use crate::{Error, Result};
use std::path::Path;

/// Panels beside each other: what stands on a page stays legible.
const COLUMNS: usize = 2;

/// The names that an axis has room for.
const NAMES: usize = 8;

/// The longest name that is written in full.
const LONGEST: usize = 12;

const DOT: f32 = 12.0;
const LINE: f32 = 3.0;
const DOTS: Colour = COLOURS[0];
const MEDIAN: Colour = COLOURS[1];

/// One set of axes.
#[derive(Clone, Debug)]
pub struct PointPanel {
    /// Shown above, such as "x loss".
    pub title: String,
    /// Shown below the horizontal axis, such as "learning rate".
    pub x_label: String,
    /// Shown beside the vertical axis.
    pub y_label: String,
    /// What stands to the right, and the value of each dot. What is not positive and finite is left out.
    pub points: Vec<(String, f64)>,
}

/// What stands along the horizontal axis.
enum Axis {
    /// Few values, with equal distances.
    Names(Vec<String>),
    /// Numbers from low to high, or their logarithms.
    Numbers { low: f64, high: f64, log: bool },
}

/// Draws the panels, two in a row, as a PNG file.
///
/// # Errors
/// [`Error::Usage`] when there is no panel; [`Error::Io`] when the file cannot be written.
pub fn points(path: &Path, panels: &[PointPanel]) -> Result<()> {
    if panels.is_empty() {
        return Err(Error::usage("no panel to draw"));
    }
    let drawable = |panel: &PointPanel| -> Vec<(String, f64)> {
        panel.points.iter().filter(|(_, y)| y.is_finite() && *y > 0.0).cloned().collect()
    };
    let drawn: Vec<Vec<(String, f64)>> = panels.iter().map(drawable).collect();
    let axes = |points: &Vec<(String, f64)>| Upward::new(&points.iter().map(|(_, y)| *y).collect::<Vec<_>>());
    let upward: Vec<Upward> = drawn.iter().map(axes).collect();
    let left = upward.iter().map(|axis| axis.left).max().unwrap_or(0);
    let (columns, rows) = (panels.len().min(COLUMNS), panels.len().div_ceil(COLUMNS));
    let (wide, high) = (left + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let mut canvas = Canvas::new(columns * wide, rows * high)?;
    for (i, ((panel, points), upward)) in panels.iter().zip(&drawn).zip(&upward).enumerate() {
        let corner = ((i % COLUMNS * wide + left) as i64, (i / COLUMNS * high + TOP) as i64);
        draw(&mut canvas, corner, panel, points, upward);
    }
    canvas.save(path)
}

fn draw(
    canvas: &mut Canvas,
    (x, y): (i64, i64),
    panel: &PointPanel,
    points: &[(String, f64)],
    upward: &Upward,
) {
    let axis = Axis::of(points.iter().map(|(name, _)| name.as_str()));
    let words = Words { title: &panel.title, x_label: &panel.x_label, y_label: &panel.y_label };
    upward.draw(canvas, (x, y), &axis.ticks(), words);
    let at = |name: &str, value: f64| (x as f32 + axis.x(name), y as f32 + upward.y(value));
    let dots: Vec<(f32, f32)> = points.iter().map(|(name, value)| at(name, *value)).collect();
    for &dot in &dots {
        canvas.line(&[dot], DOT + 3.0, [255; 3]);
        canvas.line(&[dot], DOT, DOTS);
    }
    if let Axis::Names(names) = &axis {
        let median = |name: &String| {
            let mut own: Vec<f64> =
                points.iter().filter(|(other, _)| other == name).map(|(_, y)| *y).collect();
            own.sort_by(f64::total_cmp);
            let middle = own.len() / 2;
            let below = own[middle.saturating_sub(usize::from(own.len().is_multiple_of(2)))];
            at(name, 0.5 * (below + own[middle]))
        };
        let line: Vec<(f32, f32)> = names.iter().map(median).collect();
        if line.len() < points.len() {
            canvas.line(&line, LINE, MEDIAN);
        }
    }
    canvas.frame(x, y, WIDTH, HEIGHT, BLACK);
    upward.complain(canvas, (x, y));
}

impl Axis {
    /// Names where there are few or what is no number, in the order of numbers where they are some.
    fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<String> = values.map(str::to_owned).collect();
        let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
        match &numbers {
            Some(_) => {
                names.sort_by(|a, b| a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse().unwrap_or(0.0)))
            }
            None => names.sort(),
        }
        names.dedup();
        match numbers {
            Some(numbers) if names.len() > NAMES => {
                let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
                let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                Self::Numbers { low, high, log: low > 0.0 && high > 10.0 * low }
            }
            _ => Self::Names(names),
        }
    }

    /// Pixels from the left end.
    fn x(&self, name: &str) -> f32 {
        match self {
            Self::Names(names) => {
                let place = names.iter().position(|other| other == name).unwrap_or(0);
                ((place as f64 + 0.5) / names.len() as f64 * WIDTH as f64) as f32
            }
            Self::Numbers { .. } => self.at(name.parse().unwrap_or(0.0)),
        }
    }

    fn at(&self, number: f64) -> f32 {
        let Self::Numbers { low, high, log } = *self else { return 0.0 };
        let share = match log {
            true => (number / low).ln() / (high / low).ln(),
            false => (number - low) / (high - low),
        };
        ((0.03 + 0.94 * share) * WIDTH as f64) as f32
    }

    fn ticks(&self) -> Vec<(f32, String)> {
        match self {
            Self::Names(names) => {
                let stride = names.len().div_ceil(NAMES);
                names.iter().step_by(stride.max(1)).map(|name| (self.x(name), short(name))).collect()
            }
            Self::Numbers { low, high, log } => {
                let ticks =
                    if *log { ticks::logarithmic(*low, *high).0 } else { ticks::linear(*low, *high, 6) };
                ticks.into_iter().map(|tick| (self.at(tick), ticks::label(tick))).collect()
            }
        }
    }
}

/// A name that fits between its neighbours: numbers as on other axes, of paths the last part.
fn short(name: &str) -> String {
    if let Ok(number) = name.parse() {
        return ticks::label(number);
    }
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.chars().count() {
        ..=LONGEST => name.to_owned(),
        _ => format!("{}…", name.chars().take(LONGEST - 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(points: &[(&str, f64)]) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        let panel = PointPanel {
            title: "loss".to_owned(),
            x_label: "lr".to_owned(),
            y_label: "loss".to_owned(),
            points: points.iter().map(|&(name, y)| (name.to_owned(), y)).collect(),
        };
        super::points(&path, &[panel.clone(), panel.clone(), panel]).unwrap();
        image::open(&path).unwrap().into_rgb8()
    }

    fn count(image: &image::RgbImage, colour: Colour) -> usize {
        image.pixels().filter(|pixel| pixel.0 == colour).count()
    }

    #[test]
    fn dots_and_medians_are_drawn() {
        let image = draw(&[("0.1", 3.0), ("0.1", 4.0), ("0.2", 5.0), ("0.2", 1.0)]);
        assert!(count(&image, DOTS) > 1000 && count(&image, MEDIAN) > 1000);
        assert!(image.width() < 1800 && image.height() > 1200, "two in a row");
        let alone = draw(&[("0.1", 3.0), ("0.2", 5.0)]);
        assert_eq!(count(&alone, MEDIAN), 0, "single runs have no median");
    }

    #[test]
    fn axes_have_names_or_numbers() {
        let many: Vec<String> = (1..20).map(|i| (i * i).to_string()).collect();
        let axis = Axis::of(many.iter().map(String::as_str));
        assert!(matches!(axis, Axis::Numbers { log: true, .. }));
        assert!(axis.x("1") < axis.x("9") && axis.x("9") < axis.x("361"));
        assert!(axis.ticks().len() >= 3);
        let Axis::Names(names) = Axis::of(["16", "8", "16"].into_iter()) else { panic!("two are names") };
        assert_eq!(names, ["8", "16"]);
        let Axis::Names(names) = Axis::of(["sip", "gd"].into_iter()) else { panic!("words are names") };
        assert_eq!(names, ["gd", "sip"]);
        assert_eq!(short("/a/long/path/to.npy"), "to.npy");
        assert_eq!(short("motion:5,30+disk:2"), "motion:5,30…");
    }

    #[test]
    fn what_has_no_logarithm_is_left_out() {
        let image = draw(&[("a", f64::NAN), ("b", 0.0), ("c", f64::INFINITY)]);
        assert_eq!(count(&image, DOTS), 0);
        draw(&[]);
    }
}
