//! Palettes, inks, and JPEG's colours as red, green and blue.

use crate::io::images::depth::Depth;
use crate::io::images::raster::Checked;

/// Looks places of a table up: the first of the planes `[_, cells]` becomes three. The depth that the table's
/// colours need comes back.
///
/// # Errors
/// A table that is too short for 2^`bits` colours.
pub(super) fn from_palette(planes: &mut Vec<f64>, cells: usize, table: &[u64], bits: u32) -> Checked<Depth> {
    let colours = 1usize << bits;
    if table.len() != 3 * colours {
        return Err(format!("its palette has {} numbers instead of {}", table.len(), 3 * colours));
    }
    // Eight bits fill both bytes of a number, or the upper one, or the lower one, as programs please.
    let all = |fits: fn(u64) -> bool| table.iter().all(|&number| fits(number));
    let (white, depth) = if all(|number| number % 257 == 0) {
        (65535.0, Depth::Eight)
    } else if all(|number| number % 256 == 0) {
        (65280.0, Depth::Eight)
    } else if all(|number| number < 256) {
        (255.0, Depth::Eight)
    } else {
        (65535.0, Depth::Sixteen)
    };
    let places: Vec<usize> = planes.drain(..cells).map(|place| place as usize).collect();
    let mut colour = Vec::with_capacity(3 * cells + planes.len());
    for table in table.chunks_exact(colours) {
        colour.extend(places.iter().map(|&place| table[place.min(colours - 1)] as f64 / white));
    }
    colour.append(planes);
    *planes = colour;
    Ok(depth)
}

/// Turns amounts of cyan, magenta, yellow and black ink, 0 to 1, into what light they leave: four planes
/// `[_, cells]` become three. What inks look like on paper only a profile would know.
pub(super) fn from_inks(planes: &mut Vec<f64>, cells: usize) {
    let black: Vec<f64> = planes.drain(3 * cells..4 * cells).collect();
    for ink in planes.chunks_exact_mut(cells).take(3) {
        ink.iter_mut().zip(&black).for_each(|(ink, black)| *ink = (1.0 - *ink) * (1.0 - black));
    }
}

/// Turns brightness and colour differences (BT.601, 8 bits, full range) into red, green and blue, rounded as
/// a decoder of JPEG would.
pub(super) fn from_differences(planes: &mut [f64], cells: usize) {
    let (luma, rest) = planes.split_at_mut(cells);
    let (blue, rest) = rest.split_at_mut(cells);
    let rounded = |v: f64| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0;
    let middle = 128.0 / 255.0;
    for ((y, b), r) in luma.iter_mut().zip(blue).zip(&mut rest[..cells]) {
        let (luma, cb, cr) = (*y, *b - middle, *r - middle);
        *y = rounded(luma + 1.402 * cr);
        *b = rounded(luma - 0.344136 * cb - 0.714136 * cr);
        *r = rounded(luma + 1.772 * cb);
    }
    // Red is where brightness was, green where the difference of blue was, blue where that of red was.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palettes_need_as_many_bits_as_their_colours() {
        let mut planes = vec![1.0, 0.0, 0.5, 0.5];
        let depth = from_palette(&mut planes, 2, &[0, 257, 0, 514, 65535, 0], 1).unwrap();
        assert_eq!(depth, Depth::Eight);
        assert_eq!(planes, [1.0 / 255.0, 0.0, 2.0 / 255.0, 0.0, 0.0, 1.0, 0.5, 0.5]);
        let mut planes = vec![1.0, 0.0];
        assert_eq!(from_palette(&mut planes, 2, &[0, 1, 0, 0, 300, 0], 1).unwrap(), Depth::Sixteen);
        let mut planes = vec![1.0, 0.0];
        assert_eq!(from_palette(&mut planes, 2, &[0, 65280, 0, 0, 256, 0], 1).unwrap(), Depth::Eight);
        assert_eq!(planes, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0 / 255.0]);
        assert!(from_palette(&mut vec![0.0], 1, &[1, 2, 3], 8).is_err());
    }

    #[test]
    fn inks_and_differences_give_the_colours_they_stand_for() {
        let mut planes = vec![0.0, 1.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.5, 0.25, 0.75];
        from_inks(&mut planes, 2);
        assert_eq!(planes, [1.0, 0.0, 1.0, 0.25, 0.0, 0.5, 0.25, 0.75]);
        let byte = |v: u8| f64::from(v) / 255.0;
        let mut planes = [76, 255, 85, 128, 255, 128].map(byte);
        from_differences(&mut planes, 2);
        let bytes = planes.map(|v| (v * 255.0).round() as u8);
        assert_eq!(bytes, [254, 255, 0, 255, 0, 255]);
    }
}
