//! What a reconstruction did, as one picture: observation, reconstruction, what would be observed of it, and
//! the residual between the two, side by side with their numbers.

use crate::io::plots::canvas::{Align, BLACK, Canvas, Colour};
use crate::io::plots::field_panels::{
    GAP, MARGIN, Scale, TITLE_HEIGHT, TITLE_SIZE, common_range, inferno, pixels,
};
use crate::io::plots::font;
use crate::{Error, Result};
use std::path::Path;

const CAPTION_SIZE: f32 = 18.0;
/// The height of a line of caption.
const LINE: usize = 26;

/// How numbers become colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// Fields of any values, in inferno between the least and the largest of them.
    Field,
    /// Pictures of one grey plane or of red, green and blue: themselves, 0 to 1. The residual is shown around
    /// grey.
    Picture,
}

/// A field or picture with what is said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct RestorationPanel {
    /// Above it.
    pub title: String,
    /// Below it, line by line.
    pub caption: Vec<String>,
    /// `[planes, nx, ny]`.
    pub planes: Vec<f64>,
}

/// One row of the report: panels on a common scale, then the residual on its own, symmetric around 0.
#[derive(Clone, Debug, PartialEq)]
pub struct RestorationRow {
    /// Truth (where it is known), observation, reconstruction, re-diffused reconstruction.
    pub panels: Vec<RestorationPanel>,
    /// Observation minus re-diffused reconstruction.
    pub residual: RestorationPanel,
}

/// Draws rows of panels of `nx` × `ny` cells as a PNG file. All rows share the two scales.
///
/// # Errors
/// [`Error::Usage`] for nothing to draw, or panels of other sizes; [`Error::Io`] when the file cannot be
/// written.
pub fn draw(path: &Path, rows: &[RestorationRow], nx: usize, ny: usize, palette: Palette) -> Result<()> {
    let all = || rows.iter().flat_map(|row| row.panels.iter().chain([&row.residual]));
    let fits = |panel: &RestorationPanel| [nx * ny, 3 * nx * ny].contains(&panel.planes.len());
    if rows.is_empty() || nx * ny == 0 || !all().all(fits) {
        return Err(Error::usage(format!("no field of {nx} x {ny} cells to draw")));
    }
    let range = match palette {
        Palette::Picture => (0.0, 1.0),
        Palette::Field => span(rows.iter().flat_map(|row| &row.panels)),
    };
    let (low, high) = span(rows.iter().map(|row| &row.residual));
    let largest = low.abs().max(high.abs());
    let scales = [Scale::new(range), Scale::new((-largest, largest))];
    let ranges = [range, (-largest, largest)];

    let (width, height) = pixels(nx, ny);
    let text_width = |panel: &RestorationPanel| {
        let captions = panel.caption.iter().map(|line| font::width(line, CAPTION_SIZE));
        captions.fold(font::width(&panel.title, TITLE_SIZE), f32::max) as usize
    };
    let column = all().map(text_width).max().unwrap_or(0).max(width) + GAP;
    let lines = all().map(|panel| panel.caption.len()).max().unwrap_or(0);
    let row_height = TITLE_HEIGHT + height + lines * LINE + GAP;
    let columns = rows.iter().map(|row| row.panels.len()).max().unwrap_or(0);
    let residual_left = MARGIN + columns * column + scales[0].width() + 2 * GAP;
    let whole_width = residual_left + column + scales[1].width() + MARGIN;
    let mut canvas = Canvas::new(whole_width, rows.len() * row_height + 2 * MARGIN - GAP)?;

    for (index, row) in rows.iter().enumerate() {
        let top = (MARGIN + index * row_height + TITLE_HEIGHT) as i64;
        let places = (0..row.panels.len()).map(|i| MARGIN + i * column).chain([residual_left]);
        for (place, panel) in places.zip(row.panels.iter().chain([&row.residual])) {
            let range = ranges[usize::from(place == residual_left)];
            let centre = (place + (column - GAP) / 2) as i64;
            let left = centre - width as i64 / 2;
            canvas.text(centre, top - TITLE_HEIGHT as i64 / 2, Align::Centre, &panel.title, TITLE_SIZE);
            for pixel in 0..width * height {
                let (x, y) = (pixel % width * nx / width, ny - 1 - pixel / width * ny / height);
                let colour = colour(&panel.planes, x * ny + y, nx * ny, range, palette);
                canvas.blend(left + (pixel % width) as i64, top + (pixel / width) as i64, colour, 1.0);
            }
            canvas.frame(left, top, width, height, BLACK);
            for (line, text) in panel.caption.iter().enumerate() {
                let y = top + (height + line * LINE + LINE / 2 + 8) as i64;
                canvas.text(centre, y, Align::Centre, text, CAPTION_SIZE);
            }
        }
        let bars = [MARGIN + columns * column, residual_left + column];
        for (scale, left) in scales.iter().zip(bars) {
            scale.draw(&mut canvas, left as i64, top, height, |share| match palette {
                Palette::Field => inferno(share),
                Palette::Picture => [grey(share); 3],
            });
        }
    }
    canvas.save(path)
}

/// The common range of the panels' values.
fn span<'a>(panels: impl Iterator<Item = &'a RestorationPanel>) -> (f64, f64) {
    let values: Vec<f32> = panels.flat_map(|panel| &panel.planes).map(|&v| v as f32).collect();
    common_range(values.iter())
}

fn colour(planes: &[f64], cell: usize, cells: usize, (low, high): (f64, f64), palette: Palette) -> Colour {
    let share = |plane: usize| (planes[plane * cells + cell] - low) / (high - low);
    match palette {
        Palette::Field => inferno(share(0)),
        Palette::Picture => {
            let last = planes.len() / cells - 1;
            [0, 1, 2].map(|plane| grey(share(plane.min(last))))
        }
    }
}

fn grey(share: f64) -> u8 {
    (255.0 * share.clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str, value: f64, planes: usize) -> RestorationPanel {
        let caption = vec!["PSNR 25.00 dB, SSIM 0.700".to_owned()];
        RestorationPanel { title: title.into(), caption, planes: vec![value; planes * 32 * 16] }
    }

    fn draw_row(palette: Palette, planes: usize) -> image::RgbImage {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.png");
        let panels = ["observation", "reconstruction", "re-diffused"];
        let row = RestorationRow {
            panels: panels.iter().zip([0.25, 1.0, 0.0]).map(|(t, v)| panel(t, v, planes)).collect(),
            residual: panel("residual", -0.5, planes),
        };
        draw(&path, &[row.clone(), row], 32, 16, palette).unwrap();
        image::open(&path).unwrap().into_rgb8()
    }

    #[test]
    fn panels_show_their_values_on_the_common_scale() {
        let middle = |palette, planes| {
            let image = draw_row(palette, planes);
            image.get_pixel(MARGIN as u32 + 128, (MARGIN + TITLE_HEIGHT) as u32 + 64).0
        };
        assert_eq!(middle(Palette::Picture, 3), [64; 3]);
        assert_eq!(middle(Palette::Picture, 1), [64; 3]);
        assert_eq!(middle(Palette::Field, 1), inferno(0.25));
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.png");
        let row = RestorationRow { panels: vec![panel("a", 0.0, 1)], residual: panel("r", 0.0, 1) };
        assert!(draw(&path, &[], 32, 16, Palette::Field).is_err());
        assert!(draw(&path, &[row], 32, 17, Palette::Field).is_err());
        assert!(!path.exists());
    }
}
