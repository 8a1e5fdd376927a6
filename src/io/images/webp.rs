//! WebP in: one picture, packed with loss or without.

use crate::io::images::metadata::Kept;
use crate::io::images::pixels::pixels;
use crate::io::images::raster::{CUT_OFF, Checked, Claim, Raster, SEVERAL};
use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;
use std::io::Cursor;

/// The chunks of a file by name. None where it ends before the length that it tells.
fn chunks(bytes: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let length = |bytes: &[u8]| Some(u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize);
    let mut rest = bytes.get(8..8usize.checked_add(length(bytes)?)?)?.strip_prefix(b"WEBP")?;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = length(rest)?;
        chunks.push((*rest.first_chunk()?, rest.get(8..8usize.checked_add(length)?)?));
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
    }
    Some(chunks)
}

/// What the first bytes of a file claim.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (width, height, has_alpha) = match bytes.get(12..16)? {
        b"VP8 " => (number(26)? & 0x3fff, number(26)? >> 16 & 0x3fff, false),
        b"VP8L" => ((number(21)? & 0x3fff) + 1, (number(21)? >> 14 & 0x3fff) + 1, number(21)? >> 28 & 1 == 1),
        _ => ((number(24)? & 0xff_ffff) + 1, (number(26)? >> 8) + 1, bytes.get(20)? & 0x10 != 0),
    };
    let samples = if has_alpha { 4 } else { 3 };
    Some(Claim { width: width as usize, height: height as usize, pages: 1, samples, bytes: 1 })
}

pub(crate) fn read(bytes: &[u8]) -> Checked<Raster> {
    let chunks = chunks(bytes).ok_or(CUT_OFF)?;
    let has = |name: &[u8; 4]| chunks.iter().any(|chunk| &chunk.0 == name);
    if has(b"ANIM") || has(b"ANMF") {
        return Err(SEVERAL.into());
    }
    // A large picture of one colour, which takes a few bytes, is refused too: nothing could be seen in it.
    claim(bytes).ok_or(CUT_OFF)?.check(bytes.len())?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes));
    let orientation = match &mut decoder {
        Ok(decoder) => decoder.orientation().map_or(1, |orientation| orientation.to_exif().into()),
        Err(_) => 1,
    };
    let kept = Kept { is_lossy: has(b"VP8 "), ..Kept::default() };
    pixels(decoder, orientation, kept)
}
