//! GIF in: one picture, whose palette becomes red, green and blue.

use crate::io::images::metadata::Kept;
use crate::io::images::pixels::pixels;
use crate::io::images::raster::{CUT_OFF, Checked, Claim, Raster, SEVERAL};
use image::codecs::gif::GifDecoder;
use std::io::Cursor;

/// How a file is cut into blocks, found without decoding any: the decoder does not miss an end.
#[derive(Debug, PartialEq)]
struct Outline {
    pictures: usize,
    /// Whether a colour stands for what nobody sees, or the picture does not fill its screen.
    has_alpha: bool,
    /// Whether a picture reaches beyond its screen: the decoder would make room for all of it.
    is_beyond: bool,
}

impl Outline {
    /// None where the file ends before the mark that ends it.
    fn of(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let palette = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
        let screen = [0, 0, number(6)?, number(8)?];
        let mut at = 13 + palette(*bytes.get(10)?);
        let mut outline = Self { pictures: 0, has_alpha: false, is_beyond: false };
        loop {
            at += match *bytes.get(at)? {
                0x3b => return Some(outline),
                0x2c => {
                    let place = [number(at + 1)?, number(at + 3)?, number(at + 5)?, number(at + 7)?];
                    outline.pictures += 1;
                    outline.has_alpha |= place != screen;
                    let reaches = |i: usize| u32::from(place[i]) + u32::from(place[i + 2]);
                    outline.is_beyond |= (0..2).any(|i| reaches(i) > screen[i + 2].into());
                    11 + palette(*bytes.get(at + 9)?)
                }
                0x21 => {
                    let is_control = bytes.get(at + 1) == Some(&0xf9);
                    outline.has_alpha |= is_control && bytes.get(at + 3)? & 1 == 1;
                    2
                }
                _ => return None,
            };
            // Blocks of data follow, each behind its length, and one of length 0 at the end.
            loop {
                let length = usize::from(*bytes.get(at)?);
                at += 1 + length;
                if length == 0 {
                    break;
                }
            }
        }
    }
}

/// What the first bytes of a file claim.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let side = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into());
    Some(Claim { width: side(6)?, height: side(8)?, pages: 1, samples: 3, bytes: 1 })
}

pub(crate) fn read(bytes: &[u8]) -> Checked<Raster> {
    let outline = Outline::of(bytes).ok_or(CUT_OFF)?;
    if outline.pictures > 1 {
        return Err(SEVERAL.into());
    }
    if outline.is_beyond {
        return Err("its picture is larger than its screen: it is damaged".into());
    }
    claim(bytes).ok_or(CUT_OFF)?.check(bytes.len())?;
    let mut raster = pixels(GifDecoder::new(Cursor::new(bytes)), 1, Kept::default())?;
    if !outline.has_alpha {
        // The decoder leaves out what its palette does not have.
        if raster.alpha.take().is_some_and(|alpha| alpha.iter().any(|&alpha| alpha < 255.0)) {
            return Err("has colours that are not in its palette: it is damaged".into());
        }
    }
    Ok(raster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_followed_to_the_end_and_not_beyond() {
        // A screen of 2 x 1 with a palette of two colours, a comment that holds an end mark, a picture.
        let whole = b"GIF89a\x02\0\x01\0\x80\0\0abcdef\x21\xfe\x01\x3b\0\
                      \x2c\0\0\0\0\x02\0\x01\0\0\x02\x02\x44\x0a\0\x3b";
        assert_eq!(Outline::of(whole), Some(Outline { pictures: 1, has_alpha: false, is_beyond: false }));
        for length in 0..whole.len() {
            assert_eq!(Outline::of(&whole[..length]), None, "{length}");
        }
        let mut smaller = whole.to_vec();
        smaller[29] = 1;
        assert_eq!(Outline::of(&smaller), Some(Outline { pictures: 1, has_alpha: true, is_beyond: false }));
        smaller[29] = 3;
        assert!(Outline::of(&smaller).unwrap().is_beyond);
    }
}
