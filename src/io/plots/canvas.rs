//! A white sheet of RGB pixels: smooth lines, text, and out as a PNG file.

use std::ops::Range;
use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::io::atomic;
use crate::io::plots::font;
use crate::{Error, Result};

/// Red, green, blue.
pub(crate) type Colour = [u8; 3];

pub(crate) const BLACK: Colour = [0x22; 3];

/// The largest picture that is drawn, in pixels.
const MAX_PIXELS: usize = 1 << 27;

/// Where a text lies relative to its x coordinate (or y coordinate, if it is turned).
#[derive(Clone, Copy)]
pub(crate) enum Align {
    Left,
    Centre,
    Right,
}

/// Coordinates are in pixels from the top left corner, x to the right, y down. What lies outside is not
/// drawn.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Result<Self> {
        let fits = width.checked_mul(height).is_some_and(|pixels| (1..=MAX_PIXELS).contains(&pixels));
        if !fits {
            return Err(Error::usage(format!(
                "a picture of {width} x {height} pixels cannot be drawn; show fewer or smaller panels"
            )));
        }
        Ok(Self { width, height, rgb: vec![255; 3 * width * height] })
    }

    /// Mixes `colour` into one pixel; `alpha` 1 replaces it.
    pub(crate) fn blend(&mut self, x: i64, y: i64, colour: Colour, alpha: f32) {
        if (0..self.width as i64).contains(&x) && (0..self.height as i64).contains(&y) {
            let start = 3 * (y as usize * self.width + x as usize);
            for (old, new) in self.rgb[start..start + 3].iter_mut().zip(colour) {
                *old = (f32::from(*old) + alpha * (f32::from(new) - f32::from(*old))).round() as u8;
            }
        }
    }

    pub(crate) fn fill(&mut self, x: i64, y: i64, width: usize, height: usize, colour: Colour, alpha: f32) {
        for py in y..y + height as i64 {
            for px in x..x + width as i64 {
                self.blend(px, py, colour, alpha);
            }
        }
    }

    /// The outline of a rectangle, one pixel wide, drawn just outside of it.
    pub(crate) fn frame(&mut self, x: i64, y: i64, width: usize, height: usize, colour: Colour) {
        for left in [x - 1, x + width as i64] {
            self.fill(left, y - 1, 1, height + 2, colour, 1.0);
        }
        for top in [y - 1, y + height as i64] {
            self.fill(x, top, width, 1, colour, 1.0);
        }
    }

    /// A line through `points` with round joins and ends; a single point becomes a dot.
    pub(crate) fn line(&mut self, points: &[(f32, f32)], thickness: f32, colour: Colour) {
        let reach = 0.5 * thickness + 1.0;
        let columns = span(points.iter().map(|point| point.0), reach, self.width);
        let rows = span(points.iter().map(|point| point.1), reach, self.height);
        // One mask for the whole line, so that its joins are not darker than the rest.
        let mut mask = vec![0f32; columns.len() * rows.len()];
        for (index, &a) in points.iter().enumerate() {
            let b = points.get(index + 1).copied().unwrap_or(a);
            for row in span([a.1, b.1].into_iter(), reach, self.height) {
                for column in span([a.0, b.0].into_iter(), reach, self.width) {
                    // Covered as far as the centre of the pixel is near, with half a pixel of blur.
                    let away = distance((column as f32 + 0.5, row as f32 + 0.5), a, b);
                    let covered = &mut mask[(row - rows.start) * columns.len() + column - columns.start];
                    *covered = covered.max((reach - 0.5 - away).clamp(0.0, 1.0));
                }
            }
        }
        for (index, &coverage) in mask.iter().enumerate() {
            let (row, column) = (rows.start + index / columns.len(), columns.start + index % columns.len());
            self.blend(column as i64, row as i64, colour, coverage);
        }
    }

    /// A line of text whose capitals are centred on the height `y`; `size` is the font size.
    pub(crate) fn text(&mut self, x: i64, y: i64, align: Align, text: &str, size: f32) {
        let mask = font::render(text, size);
        let left = x - offset(align, mask.width);
        let top = y - mask.middle.round() as i64;
        for (index, &ink) in mask.coverage.iter().enumerate() {
            self.blend(left + (index % mask.width) as i64, top + (index / mask.width) as i64, BLACK, ink);
        }
    }

    /// The same, turned to be read from bottom to top: its capitals are centred on the column `x`.
    pub(crate) fn text_upward(&mut self, x: i64, y: i64, align: Align, text: &str, size: f32) {
        let mask = font::render(text, size);
        let bottom = y + offset(align, mask.width);
        let left = x - mask.middle.round() as i64;
        for (index, &ink) in mask.coverage.iter().enumerate() {
            self.blend(left + (index / mask.width) as i64, bottom - (index % mask.width) as i64, BLACK, ink);
        }
    }

    /// Writes the picture as a PNG file, atomically.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        atomic::write(path, |out| {
            PngEncoder::new(out)
                .write_image(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)
                .map_err(std::io::Error::other)
        })
    }
}

/// The pixels of an axis with `length` pixels that lie within `reach` of the coordinates.
fn span(coordinates: impl Iterator<Item = f32> + Clone, reach: f32, length: usize) -> Range<usize> {
    // A float to integer cast saturates, so that what lies outside is cut off.
    let low = coordinates.clone().fold(f32::INFINITY, f32::min) - reach;
    let high = coordinates.fold(f32::NEG_INFINITY, f32::max) + reach;
    let end = (high.ceil() as usize).min(length);
    (low as usize).min(end)..end
}

/// From a point to the segment between `a` and `b`.
fn distance(point: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let (px, py) = (point.0 - a.0, point.1 - a.1);
    let squared = dx * dx + dy * dy;
    let along = if squared > 0.0 { ((px * dx + py * dy) / squared).clamp(0.0, 1.0) } else { 0.0 };
    (px - along * dx).hypot(py - along * dy)
}

fn offset(align: Align, width: usize) -> i64 {
    match align {
        Align::Left => 0,
        Align::Centre => width as i64 / 2,
        Align::Right => width as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(canvas: &Canvas, x: usize, y: usize) -> &[u8] {
        &canvas.rgb[3 * (y * canvas.width + x)..][..3]
    }

    #[test]
    fn a_line_covers_its_pixels_and_no_others() {
        let mut canvas = Canvas::new(20, 20).unwrap();
        canvas.line(&[(2.0, 10.0), (18.0, 10.0)], 2.0, [255, 0, 0]);
        assert_eq!(pixel(&canvas, 10, 9), [255, 0, 0]);
        assert_eq!(pixel(&canvas, 10, 10), [255, 0, 0]);
        assert_eq!(pixel(&canvas, 10, 13), [255; 3]);
        assert_eq!(pixel(&canvas, 10, 6), [255; 3]);
    }

    #[test]
    fn drawing_outside_does_not_panic() {
        let mut canvas = Canvas::new(10, 10).unwrap();
        canvas.line(&[(-50.0, -50.0), (1e9, 40.0), (5.0, 5.0)], 3.0, [0; 3]);
        canvas.line(&[], 3.0, [0; 3]);
        canvas.text(-100, 500, Align::Right, "far away", 20.0);
        canvas.text_upward(5, 5, Align::Centre, "too large", 40.0);
        canvas.fill(-5, -5, 100, 100, [9; 3], 1.0);
        canvas.frame(-5, 8, 100, 100, [9; 3]);
    }

    #[test]
    fn png_files_hold_the_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.png");
        let mut canvas = Canvas::new(3, 2).unwrap();
        canvas.fill(1, 0, 1, 1, [1, 2, 3], 1.0);
        canvas.save(&path).unwrap();
        let read = image::open(&path).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (3, 2));
        assert_eq!(read.into_raw(), canvas.rgb);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for (width, height) in [(0, 5), (1 << 20, 1 << 20), (usize::MAX, 2)] {
            assert!(matches!(Canvas::new(width, height), Err(Error::Usage(_))));
        }
    }
}
