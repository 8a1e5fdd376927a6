//! The bytes of a PNG, JPEG or TIFF file, which may be damaged or made to do harm, as a picture in memory.

use crate::io::images::raster::{Checked, Raster};
use crate::io::images::{jpeg, png, tiff};
use image::ImageFormat;

/// What the first bytes of BigTIFF files are.
const BIG_TIFF: [&[u8]; 2] = [b"II\x2b\0\x08\0\0\0", b"MM\0\x2b\0\x08\0\0"];

/// The format of a file that begins with these bytes, if it is one of a picture.
pub(crate) fn format(start: &[u8]) -> Option<ImageFormat> {
    if BIG_TIFF.iter().any(|big| start.starts_with(big)) {
        return Some(ImageFormat::Tiff);
    }
    image::guess_format(start).ok()
}

/// The picture or pictures that these bytes of a file hold, upright.
pub(crate) fn decode(bytes: Vec<u8>) -> Checked<Raster> {
    match format(&bytes) {
        Some(ImageFormat::Png) => png::read(&bytes),
        Some(ImageFormat::Jpeg) => jpeg::read(&bytes),
        Some(ImageFormat::Tiff) => tiff::read(bytes),
        Some(other) => Err(format!("{other:?} pictures are not read; convert it to PNG, TIFF or JPEG")),
        None => Err("not a PNG, JPEG or TIFF picture".into()),
    }
}
