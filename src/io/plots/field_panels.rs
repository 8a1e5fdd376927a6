//! Fields as images. The first axis, x, points to the right and the second, y, upward; so the cell (0, 0) is
//! at the bottom left. Colours are those of inferno: dark is low, bright is high, grey is not a number.

use std::path::Path;

use crate::io::plots::canvas::{Align, BLACK, Canvas, Colour};
use crate::io::plots::{font, ticks};
use crate::model::units::Extent;
use crate::{Error, Result};

pub(crate) const NOT_A_NUMBER: Colour = [0x99; 3];
pub(crate) const TITLE_SIZE: f32 = 22.0;
const TICK_SIZE: f32 = 20.0;
pub(crate) const MARGIN: usize = 20;
/// Between neighbouring panels.
pub(crate) const GAP: usize = 18;
/// The height of a row of titles.
pub(crate) const TITLE_HEIGHT: usize = 38;
const BAR_WIDTH: usize = 24;

/// One field with its title.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldPanel {
    /// Shown above the field.
    pub title: String,
    /// The cells, `nx * ny` of them, `[x, y]` with y contiguous.
    pub field: Vec<f32>,
    /// The number of cells along x.
    pub nx: usize,
    /// The number of cells along y.
    pub ny: usize,
}

/// Draws a grid of fields that share one colour scale, with a labelled colour bar, as a PNG file.
///
/// A panel's longer side takes about 256 pixels, and one pixel per cell above that up to 512; larger fields
/// are thinned out. Rows may differ in length. NaN is drawn grey. `axes`, what the axes of all fields reach
/// over, is said below them.
///
/// # Errors
/// [`Error::Usage`] when there is no panel, a field does not hold `nx * ny` cells, or the picture would be
/// absurdly large; [`Error::Io`] when the file cannot be written.
pub fn panels(path: &Path, rows: &[Vec<FieldPanel>], axes: Option<Extent>) -> Result<()> {
    let all = || rows.iter().flatten();
    all().try_for_each(|panel| check(&panel.field, panel.nx, panel.ny))?;
    let longest =
        all().map(|panel| panel.nx.max(panel.ny)).max().ok_or_else(|| Error::usage("no field to draw"))?;
    let side = longer_side(longest);

    let widest = all().map(|panel| font::width(&panel.title, TITLE_SIZE)).fold(0.0, f32::max) as usize;
    let row_height = TITLE_HEIGHT + all().map(|panel| size(panel, side).1).max().unwrap_or(side);
    let column_width = all().map(|panel| size(panel, side).0).max().unwrap_or(side).max(widest);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);

    let range = common_range(all().flat_map(|panel| &panel.field));
    let scale = Scale::new(range);

    let bar_left = MARGIN + columns * (column_width + GAP) + GAP / 2;
    let grid_height = rows.len() * row_height + (rows.len() - 1) * GAP;
    let said = axes.map(|axes| axes.to_string());
    let below = if said.is_some() { TITLE_HEIGHT } else { 0 };
    let mut canvas = Canvas::new(bar_left + scale.width() + MARGIN, grid_height + 2 * MARGIN + below)?;
    if let Some(said) = said {
        let y = (MARGIN + grid_height + TITLE_HEIGHT / 2) as i64;
        canvas.text(MARGIN as i64, y, Align::Left, &said, TICK_SIZE);
    }
    for (row, panels) in rows.iter().enumerate() {
        for (column, panel) in panels.iter().enumerate() {
            let (width, height) = size(panel, side);
            let centre = MARGIN + column * (column_width + GAP) + column_width / 2;
            let top = MARGIN + row * (row_height + GAP) + TITLE_HEIGHT;
            let (left, top) = ((centre - width / 2) as i64, top as i64);
            canvas.text(
                centre as i64,
                top - TITLE_HEIGHT as i64 / 2,
                Align::Centre,
                &panel.title,
                TITLE_SIZE,
            );
            draw_cells(&mut canvas, (left, top), (width, height), (&panel.field, panel.nx, panel.ny), range);
            canvas.frame(left, top, width, height, BLACK);
        }
    }

    let top = (MARGIN + TITLE_HEIGHT) as i64;
    scale.draw(&mut canvas, bar_left as i64, top, grid_height - TITLE_HEIGHT, inferno);
    canvas.save(path)
}

/// A bar of colours with the numbers that they stand for.
pub(crate) struct Scale {
    range: (f64, f64),
    marks: Vec<(f64, String)>,
}

impl Scale {
    pub(crate) fn new(range: (f64, f64)) -> Self {
        let marks = ticks::linear(range.0, range.1, 5).into_iter();
        Self { range, marks: marks.map(|mark| (mark, ticks::label(mark))).collect() }
    }

    /// The pixels that bar and numbers take.
    pub(crate) fn width(&self) -> usize {
        let labels = self.marks.iter().map(|(_, label)| font::width(label, TICK_SIZE));
        BAR_WIDTH + 14 + labels.fold(0.0, f32::max) as usize
    }

    /// `colour` takes shares of the range, 0 to 1.
    pub(crate) fn draw(
        &self,
        canvas: &mut Canvas,
        left: i64,
        top: i64,
        height: usize,
        colour: impl Fn(f64) -> Colour,
    ) {
        for row in 0..height {
            let share = 1.0 - (row as f64 + 0.5) / height as f64;
            canvas.fill(left, top + row as i64, BAR_WIDTH, 1, colour(share), 1.0);
        }
        canvas.frame(left, top, BAR_WIDTH, height, BLACK);
        for (mark, label) in &self.marks {
            let share = 1.0 - (mark - self.range.0) / (self.range.1 - self.range.0);
            let y = top + (share * (height - 1) as f64).round() as i64;
            let right = left + BAR_WIDTH as i64;
            canvas.fill(right, y, 6, 1, BLACK, 1.0);
            canvas.text(right + 9, y, Align::Left, label, TICK_SIZE);
        }
    }
}

/// Draws one field as a PNG file of `nx` by `ny` pixels, one for each cell.
///
/// `field` is `[x, y]` with y contiguous; `range` holds the values of the darkest and the brightest colour.
///
/// # Errors
/// [`Error::Usage`] when the field does not hold `nx * ny` cells or is absurdly large; [`Error::Io`] when the
/// file cannot be written.
pub fn field(path: &Path, field: &[f32], nx: usize, ny: usize, range: (f32, f32)) -> Result<()> {
    check(field, nx, ny)?;
    let mut canvas = Canvas::new(nx, ny)?;
    draw_cells(&mut canvas, (0, 0), (nx, ny), (field, nx, ny), (range.0.into(), range.1.into()));
    canvas.save(path)
}

fn check(field: &[f32], nx: usize, ny: usize) -> Result<()> {
    if field.is_empty() || nx.checked_mul(ny) != Some(field.len()) {
        return Err(Error::usage(format!(
            "a field of {} numbers cannot be drawn as {nx} x {ny}",
            field.len()
        )));
    }
    Ok(())
}

/// The pixels of a side of this many cells: about 256, and one per cell above that up to 512.
fn longer_side(longest: usize) -> usize {
    if longest <= 256 { longest * 256usize.div_ceil(longest) } else { longest.min(512) }
}

/// The pixels that a field of its own takes.
pub(crate) fn pixels(nx: usize, ny: usize) -> (usize, usize) {
    scaled(nx, ny, longer_side(nx.max(ny)))
}

/// The pixels a panel takes when its longer side takes `side`.
fn size(panel: &FieldPanel, side: usize) -> (usize, usize) {
    scaled(panel.nx, panel.ny, side)
}

fn scaled(nx: usize, ny: usize, side: usize) -> (usize, usize) {
    let longest = nx.max(ny);
    ((side * nx / longest).max(1), (side * ny / longest).max(1))
}

/// The smallest and largest finite value, widened if they are the same.
pub(crate) fn common_range<'a>(values: impl Iterator<Item = &'a f32>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for &value in values.filter(|value| value.is_finite()) {
        (low, high) = (low.min(value.into()), high.max(value.into()));
    }
    if low > high {
        return (0.0, 1.0);
    }
    if low == high {
        let margin = if low == 0.0 { 0.5 } else { 0.5 * low.abs() };
        return (low - margin, high + margin);
    }
    (low, high)
}

/// Draws the cells `(field, nx, ny)` with the top left corner `at`, over `(width, height)` pixels.
fn draw_cells(
    canvas: &mut Canvas,
    at: (i64, i64),
    (width, height): (usize, usize),
    (field, nx, ny): (&[f32], usize, usize),
    range: (f64, f64),
) {
    for row in 0..height {
        let y = ny - 1 - row * ny / height;
        for column in 0..width {
            let x = column * nx / width;
            let colour = colour(field[x * ny + y].into(), range);
            canvas.blend(at.0 + column as i64, at.1 + row as i64, colour, 1.0);
        }
    }
}

fn colour(value: f64, (low, high): (f64, f64)) -> Colour {
    if value.is_nan() {
        return NOT_A_NUMBER;
    }
    let share = (value - low) / (high - low);
    // A range without extent says nothing about low and high.
    inferno(if share.is_nan() { 0.5 } else { share })
}

pub(crate) fn inferno(share: f64) -> Colour {
    colorous::INFERNO.eval_continuous(share.clamp(0.0, 1.0)).into_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str, nx: usize, ny: usize, value: impl Fn(usize, usize) -> f32) -> FieldPanel {
        let field = (0..nx * ny).map(|i| value(i / ny, i % ny)).collect();
        FieldPanel { title: title.into(), field, nx, ny }
    }

    fn place() -> (std::path::PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (folder.path().join("p.png"), folder)
    }

    #[test]
    fn x_points_right_and_y_up() {
        let (path, _folder) = place();
        // A 3 x 2 field whose cell (2, 0) is hot and whose cell (0, 1) is not a number.
        let values = [0.0, f32::NAN, 0.0, 0.0, 1.0, 0.0];
        field(&path, &values, 3, 2, (0.0, 1.0)).unwrap();
        let image = image::open(&path).unwrap().into_rgb8();
        assert_eq!(image.dimensions(), (3, 2));
        assert_eq!(image.get_pixel(2, 1).0, inferno(1.0), "bottom right");
        assert_eq!(image.get_pixel(0, 0).0, NOT_A_NUMBER, "top left");
        assert_eq!(image.get_pixel(1, 1).0, inferno(0.0));
    }

    #[test]
    fn cells_become_blocks_and_share_one_scale() {
        let (path, _folder) = place();
        let low = panel("", 64, 64, |_, _| 0.0);
        let high = panel("", 64, 64, |_, _| 2.0);
        panels(&path, &[vec![low, high]], None).unwrap();
        let image = image::open(&path).unwrap().into_rgb8();
        let y = (MARGIN + TITLE_HEIGHT + 128) as u32;
        assert_eq!(image.get_pixel(MARGIN as u32 + 128, y).0, inferno(0.0));
        assert_eq!(image.get_pixel((MARGIN + 256 + GAP) as u32 + 128, y).0, inferno(1.0));
    }

    #[test]
    fn odd_fields_are_drawn() {
        let (path, _folder) = place();
        for odd in [
            panel("nothing but NaN", 4, 4, |_, _| f32::NAN),
            panel("infinite", 2, 2, |x, _| if x == 0 { f32::INFINITY } else { f32::NEG_INFINITY }),
            panel("constant", 5, 3, |_, _| -7.0),
            panel("extreme", 2, 2, |x, _| if x == 0 { f32::MAX } else { f32::MIN }),
            panel("long", 1000, 1, |x, _| x as f32),
            panel("a title that is far wider than the panel that it belongs to", 1, 1, |_, _| 0.0),
        ] {
            panels(&path, &[vec![odd.clone()], vec![], vec![odd.clone(), odd.clone()]], None).unwrap();
            field(&path, &odd.field, odd.nx, odd.ny, (1.0, 1.0)).unwrap();
            field(&path, &odd.field, odd.nx, odd.ny, (f32::NAN, 1.0)).unwrap();
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let (path, _folder) = place();
        let wrong = FieldPanel { title: "w".into(), field: vec![0.0; 5], nx: 2, ny: 2 };
        assert!(matches!(panels(&path, &[vec![wrong]], None), Err(Error::Usage(_))));
        assert!(matches!(panels(&path, &[], None), Err(Error::Usage(_))));
        assert!(matches!(panels(&path, &[vec![]], None), Err(Error::Usage(_))));
        assert!(matches!(field(&path, &[], 0, 0, (0.0, 1.0)), Err(Error::Usage(_))));
        assert!(matches!(field(&path, &[0.0; 4], usize::MAX, 2, (0.0, 1.0)), Err(Error::Usage(_))));
        assert!(!path.exists());
    }
}
