//! The bytes of a picture's file, which may be damaged or made to do harm, as a picture in memory.

use crate::io::images::raster::{Checked, Claim, Raster};
use crate::io::images::{bmp, gif, jpeg, png, tiff, webp};
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

/// Whether pictures of this format are read.
pub(crate) fn is_read(format: ImageFormat) -> bool {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    [Bmp, Gif, Jpeg, Png, Tiff, WebP].contains(&format)
}

/// What a file that begins with these bytes claims to hold; none where they do not tell. TIFF needs all of
/// them.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    match format(bytes)? {
        ImageFormat::Png => png::claim(bytes),
        ImageFormat::Jpeg => jpeg::claim(bytes),
        ImageFormat::Tiff => tiff::claim(bytes),
        ImageFormat::Gif => gif::claim(bytes),
        ImageFormat::WebP => webp::claim(bytes),
        ImageFormat::Bmp => bmp::claim(bytes),
        _ => None,
    }
}

/// The picture or pictures that these bytes of a file hold, upright.
pub(crate) fn decode(bytes: Vec<u8>) -> Checked<Raster> {
    match format(&bytes) {
        Some(ImageFormat::Png) => png::read(&bytes),
        Some(ImageFormat::Jpeg) => jpeg::read(&bytes),
        Some(ImageFormat::Tiff) => tiff::read(bytes),
        Some(ImageFormat::Gif) => gif::read(&bytes),
        Some(ImageFormat::WebP) => webp::read(&bytes),
        Some(ImageFormat::Bmp) => bmp::read(&bytes),
        Some(other) => Err(format!("{other:?} pictures are not read; convert it to PNG, TIFF or JPEG")),
        None if bytes.is_empty() => Err("holds nothing: the file is empty; get a whole copy".into()),
        None => Err("not a picture that is read (PNG, JPEG, TIFF, GIF, WebP, BMP)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::DynamicImage;
    use std::io::Cursor;

    #[test]
    fn what_is_no_whole_picture_is_refused_in_words() {
        let bytes_of = |format| {
            let mut bytes = Cursor::new(Vec::new());
            let noise = (0..3 * 64 * 48).map(|i: u32| (i * i % 251) as u8).collect();
            let noise = image::RgbImage::from_raw(64, 48, noise).unwrap();
            DynamicImage::ImageRgb8(noise).write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        };
        let [png, jpeg, tiff] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff].map(bytes_of);
        let [gif, webp, bmp] = [ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp].map(bytes_of);
        for whole in [&png, &jpeg, &tiff, &gif, &webp, &bmp] {
            let claim = claim(&whole[..whole.len().min(if *whole == tiff { usize::MAX } else { 1000 })]);
            let Claim { width, height, samples, .. } = claim.unwrap();
            assert_eq!((width, height, samples), (64, 48, 3));
            assert!(decode(whole.clone()).is_ok());
            let last = whole.len() - 20..whole.len();
            for length in (0..whole.len()).step_by(1 + whole.len() / 300).chain(last) {
                let message = decode(whole[..length].to_vec()).unwrap_err();
                assert!(!message.contains('\n'), "{message}");
            }
        }
        for (bytes, expected) in [
            (&png[..png.len() - 3], "ends early"),
            (&jpeg[..jpeg.len() * 6 / 10], "ends early"),
            (&jpeg[..jpeg.len() - 1], "ends early"),
            (&gif[..gif.len() - 1], "ends early"),
            (&webp[..webp.len() - 1], "ends early"),
            (&bmp[..bmp.len() - 1], "ends early"),
            (b"P6\n1 1\n255\nabc", "Pnm pictures are not read"),
            (b"", "holds nothing"),
            (b"hello", "not a picture"),
        ] {
            let message = decode(bytes.to_vec()).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn big_tiff_is_known_by_its_first_bytes() {
        assert_eq!(format(b"II\x2b\0\x08\0\0\0"), Some(ImageFormat::Tiff));
        assert_eq!(format(b"II\x2b\0"), None);
    }
}
