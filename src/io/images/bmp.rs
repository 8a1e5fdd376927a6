//! BMP in.

use crate::io::images::metadata::{Density, Kept, Unit};
use crate::io::images::pixels::pixels;
use crate::io::images::raster::{CUT_OFF, Checked, Claim, Raster};
use image::codecs::bmp::BmpDecoder;
use std::io::Cursor;

/// What stands before the pixels.
struct Header {
    width: usize,
    height: usize,
    bits: usize,
    /// Whether rows are packed, so that their length is not known from the header.
    is_packed: bool,
    /// Where the pixels begin.
    start: usize,
    density: Option<Density>,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let wide = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let short = |at: usize| Some(usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
        let start = wide(10)? as usize;
        if wide(14)? == 12 {
            let (width, height, bits) = (short(18)?, short(20)?, short(24)?);
            return Some(Self { width, height, bits, is_packed: false, start, density: None });
        }
        // Rows go upward, or downward where the height is negative.
        let side = |at: usize| Some(wide(at)?.cast_signed().unsigned_abs() as usize);
        let (width, height, bits) = (side(18)?, side(22)?, short(28)?);
        let is_packed = matches!(wide(30)?, 1 | 2);
        let density = Density::new((wide(38)?, 1), (wide(42)?, 1), Unit::Metre);
        Some(Self { width, height, bits, is_packed, start, density })
    }
}

/// What the first bytes of a file claim.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let Header { width, height, bits, .. } = Header::of(bytes)?;
    Some(Claim { width, height, pages: 1, samples: if bits == 32 { 4 } else { 3 }, bytes: 1 })
}

pub(crate) fn read(bytes: &[u8]) -> Checked<Raster> {
    let header = Header::of(bytes).ok_or(CUT_OFF)?;
    let Header { width, height, bits, is_packed, start, density } = header;
    // Rows are as long as a multiple of 4 bytes. Packed ones end with the picture, which the decoder sees.
    let row = width.checked_mul(bits).map(|bits| bits.div_ceil(32) * 4);
    let end = row.and_then(|row| row.checked_mul(height)?.checked_add(start));
    if !is_packed && end.is_none_or(|end| end > bytes.len()) {
        return Err(CUT_OFF.into());
    }
    claim(bytes).ok_or(CUT_OFF)?.check(bytes.len())?;
    pixels(BmpDecoder::new(Cursor::new(bytes)), 1, Kept { density, ..Kept::default() })
}
