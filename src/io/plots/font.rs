//! Text as coverage masks: DejaVu Sans, built into the binary, through plotters' ab_glyph.

use std::sync::Once;

use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};

/// Glyphs are drawn this many times larger and averaged, which smooths them and their spacing.
const OVERSAMPLING: i32 = 3;

/// The height of capitals and digits over the font size.
const CAP_HEIGHT: f32 = 0.73;

/// ab_glyph's size is from ascender to descender; the font size (em) is this much smaller.
const LINE_HEIGHT: f64 = 1.164;

/// How much of each pixel the ink of a text covers, in 0..=1, row by row from the top.
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) coverage: Vec<f32>,
    /// The row halfway up the capitals and digits: what looks like the middle.
    pub(crate) middle: f32,
}

/// Draws one line of text; `size` is the font size in pixels.
pub(crate) fn render(text: &str, size: f32) -> Mask {
    let font = font(size);
    let width = width(text, size) as usize + 2;
    let height = (1.5 * size).ceil() as usize;
    let baseline = (1.1 * size).round();
    let fine_baseline = baseline as i32 * OVERSAMPLING;
    // plotters puts the baseline at half of ab_glyph's size.
    let shift = fine_baseline - (f64::from(OVERSAMPLING) * f64::from(size) * LINE_HEIGHT / 2.0) as i32;
    let mut coverage = vec![0.0; width * height];
    let weight = 1.0 / (OVERSAMPLING * OVERSAMPLING) as f32;
    // Drawing fails only for an unregistered font, and this one is part of the binary.
    let _ = font.draw(text, (OVERSAMPLING, shift), |x, y, ink| -> Result<(), std::convert::Infallible> {
        let (x, y) = (x.div_euclid(OVERSAMPLING), y.div_euclid(OVERSAMPLING));
        if (0..width as i32).contains(&x) && (0..height as i32).contains(&y) {
            let pixel: &mut f32 = &mut coverage[y as usize * width + x as usize];
            *pixel = (*pixel + weight * ink.clamp(0.0, 1.0)).min(1.0);
        }
        Ok(())
    });
    let middle = baseline - 0.5 * CAP_HEIGHT * size;
    Mask { width, coverage, middle }
}

/// The width of a text in pixels.
pub(crate) fn width(text: &str, size: f32) -> f32 {
    font(size).box_size(text).map_or(0.0, |(width, _)| width as f32 / OVERSAMPLING as f32).ceil()
}

fn font(size: f32) -> FontDesc<'static> {
    static REGISTERED: Once = Once::new();
    const NAME: &str = "DejaVu Sans";
    REGISTERED.call_once(|| {
        // The only failure is a file that is no font; the tests draw with this one.
        let _ = register_font(NAME, FontStyle::Normal, dejavu::sans::regular());
    });
    let size = f64::from(OVERSAMPLING) * f64::from(size) * LINE_HEIGHT;
    FontDesc::new(FontFamily::Name(NAME), size, FontStyle::Normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_ink_inside_its_mask() {
        let mask = render("Hj|10⁻²", 24.0);
        assert!(mask.coverage.iter().any(|&ink| ink > 0.9));
        assert!(mask.coverage.iter().all(|ink| (0.0..=1.0).contains(ink)));
        let rows: Vec<f32> = mask.coverage.chunks(mask.width).map(|row| row.iter().sum()).collect();
        assert_eq!((rows[0], rows[rows.len() - 1]), (0.0, 0.0), "clipped");
    }

    #[test]
    fn the_middle_is_in_the_middle_of_a_digit() {
        let mask = render("0", 40.0);
        let inked = |row: &[f32]| row.iter().any(|&ink| ink > 0.3);
        let top = mask.coverage.chunks(mask.width).position(inked).unwrap();
        let bottom = mask.coverage.chunks(mask.width).rposition(inked).unwrap();
        assert!(((top + bottom + 1) as f32 / 2.0 - mask.middle).abs() < 1.5);
    }

    #[test]
    fn odd_text_does_not_panic() {
        assert_eq!(width("", 20.0), 0.0);
        render("", 20.0);
        render("\u{1F600}\n\t\u{0}", 20.0);
        assert!(width("wide", 20.0) > width("i", 20.0));
    }
}
