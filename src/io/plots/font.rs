//! Text as coverage masks: DejaVu Sans, which is part of the program, drawn by ab_glyph.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use std::sync::LazyLock;

/// The height of capitals and digits over the font size.
const CAP_HEIGHT: f32 = 0.73;

/// The first letter starts this many pixels from the mask's left edge, so that what it has left of its origin
/// shows.
const LEFT: f32 = 1.0;

static SANS: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(dejavu::sans::regular()).expect("DejaVu Sans is a font"));

/// How much of each pixel the ink of a text covers, in 0..=1, row by row from the top.
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) coverage: Vec<f32>,
    /// The row halfway up the capitals and digits, which looks like the middle of the text.
    pub(crate) middle: f32,
}

/// Draws one line of text; `size` is the font size (em) in pixels.
pub(crate) fn render(text: &str, size: f32) -> Mask {
    let baseline = (1.1 * size).round();
    let (glyphs, length) = layout(text, size, baseline);
    let width = length.ceil() as usize + 2;
    let height = (1.5 * size).ceil() as usize;
    let mut coverage: Vec<f32> = vec![0.0; width * height];
    for outline in glyphs.into_iter().filter_map(|glyph| SANS.outline_glyph(glyph)) {
        let corner = outline.px_bounds().min;
        outline.draw(|column, row, ink| {
            let (x, y) = (corner.x as i64 + i64::from(column), corner.y as i64 + i64::from(row));
            if (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
                let pixel = &mut coverage[y as usize * width + x as usize];
                *pixel = (*pixel + ink.clamp(0.0, 1.0)).min(1.0);
            }
        });
    }
    Mask { width, coverage, middle: baseline - 0.5 * CAP_HEIGHT * size }
}

/// The width of a text in pixels.
pub(crate) fn width(text: &str, size: f32) -> f32 {
    layout(text, size, 0.0).1.ceil()
}

/// The glyphs of a text beside each other on the baseline, and how far the last one reaches from the first.
fn layout(text: &str, size: f32, baseline: f32) -> (Vec<Glyph>, f32) {
    let font = SANS.as_scaled(scale(size));
    let mut length = 0.0;
    let mut glyphs: Vec<Glyph> = Vec::new();
    for letter in text.chars() {
        let mut glyph = font.scaled_glyph(letter);
        length += glyphs.last().map_or(0.0, |last| font.kern(last.id, glyph.id));
        glyph.position = point(LEFT + length, baseline);
        length += font.h_advance(glyph.id);
        glyphs.push(glyph);
    }
    (glyphs, length)
}

/// ab_glyph measures a font from its lowest to its highest letters, typography by its em.
fn scale(size: f32) -> PxScale {
    let em = SANS.units_per_em().unwrap_or(SANS.height_unscaled());
    PxScale::from(size * SANS.height_unscaled() / em)
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

    /// A digit of DejaVu Sans is 0.636 em wide, and a capital H 0.729 em high.
    #[test]
    fn sizes_are_those_of_the_em() {
        assert_eq!(width("0000000000", 100.0), 637.0);
        let mask = render("H", 100.0);
        let inked = mask.coverage.chunks(mask.width).filter(|row| row.iter().any(|&ink| ink > 0.5)).count();
        assert_eq!(inked, 73);
    }

    #[test]
    fn odd_text_does_not_panic() {
        assert_eq!(width("", 20.0), 0.0);
        render("", 20.0);
        render("\u{1F600}\n\t\u{0}", 20.0);
        assert!(width("wide", 20.0) > width("i", 20.0));
    }
}
