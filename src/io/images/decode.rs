//! The bytes of a PNG, JPEG or TIFF file, which may be damaged or made to do harm, as a picture in memory.

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// Bytes of samples that a byte of a file stands for at most: deflate makes 1 of 1032, a sample may have one
/// bit.
const MOST_COMPRESSED: u64 = 8 * 1032;

/// A value, or a reason to which the caller adds the path.
pub(crate) type Checked<T> = std::result::Result<T, String>;

/// The one picture that these bytes of a file hold, as its camera meant it, and its colour profile.
pub(crate) fn decode(bytes: &[u8]) -> Checked<(DynamicImage, Option<Vec<u8>>)> {
    let damaged = |error: image::ImageError| {
        let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
        format!("cannot be read as a picture: {}", words.join(" ")) // some messages have several lines
    };
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Tiff)) => format,
        Ok(other) => {
            return Err(format!("{other:?} pictures are not read; convert it to PNG, TIFF or JPEG"));
        }
        Err(_) => return Err("not a PNG, JPEG or TIFF picture".into()),
    };
    let several = match format {
        ImageFormat::Png => {
            PngDecoder::new(Cursor::new(bytes)).and_then(|png| png.is_apng()).map_err(damaged)?
        }
        ImageFormat::Tiff => {
            let directory = Directory::first(bytes).ok_or("its directory of tags lies beyond its end")?;
            if directory.claims_too_much {
                return Err("a tag claims more values than the file has bytes: it is damaged".into());
            }
            directory.has_next
        }
        _ => false,
    };
    if several {
        return Err("holds several pictures (an animation or pages); save each in a file of its own".into());
    }
    let most = MOST_COMPRESSED * bytes.len() as u64;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    // Twice: samples, and a buffer as large on the way to them.
    limits.max_alloc = limits.max_alloc.map(|usual| usual.min(2 * most));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let claimed = decoder.total_bytes();
    if claimed > most {
        return Err(format!(
            "claims {claimed} bytes of samples, which no {} bytes hold: it is damaged",
            bytes.len()
        ));
    }
    let profile = decoder.icc_profile().map_err(damaged)?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok((image, profile))
}

/// What a TIFF file's first directory of tags says, before anything believes it.
struct Directory {
    has_next: bool,
    /// Whether the values of a tag cannot be in the file; the decoder would ask for memory for them.
    claims_too_much: bool,
}

impl Directory {
    /// None where it is not in the file.
    fn first(bytes: &[u8]) -> Option<Self> {
        let little = bytes.starts_with(b"II");
        let number = |at: usize, len: usize| -> Option<usize> {
            let bytes = bytes.get(at..at.checked_add(len)?)?;
            let shift = |n: usize, &byte: &u8| n << 8 | usize::from(byte);
            Some(if little { bytes.iter().rev().fold(0, shift) } else { bytes.iter().fold(0, shift) })
        };
        // Bytes of an offset and a count, and of the number of tags; BigTIFF (43) has wide ones.
        let (wide, few) = if number(2, 2)? == 43 { (8, 8) } else { (4, 2) };
        let directory = number(wide, wide)?;
        let tags = number(directory, few)?;
        let start = directory.checked_add(few)?;
        let end = tags.checked_mul(4 + 2 * wide).and_then(|length| length.checked_add(start))?;
        let has_next = number(end, wide)? != 0;
        let claims_too_much = (start..end).step_by(4 + 2 * wide).any(|tag| {
            let (kind, count) = (number(tag + 2, 2).unwrap_or(0), number(tag + 4, wide).unwrap_or(0));
            let width =
                [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8].get(kind).copied().unwrap_or(0);
            count.saturating_mul(width) > bytes.len()
        });
        Some(Self { has_next, claims_too_much })
    }
}
