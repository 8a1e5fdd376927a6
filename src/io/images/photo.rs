//! Pictures from files, for the heat equation to work on, and back in the same bit depth.
//!
//! Intensities are 0 to 1 for the full range of 8 or 16 bits, as stored: no gamma curve is undone. Every
//! colour channel is a field of its own, in the orientation of all fields here: x to the right, y upward.
//! Alpha and the colour profile are carried along untouched; a camera's orientation is applied, since the tag
//! that tells it is not kept.

use crate::io::atomic;
use crate::io::images::decode::{Checked, decode};
use crate::io::images::format::Format;
use crate::{Error, Result};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ColorType, DynamicImage, ImageBuffer, ImageEncoder};
use std::io::Cursor;
use std::path::Path;

/// JPEG's quality, of 100. It is high, since the pictures that are written took work.
const JPEG_QUALITY: u8 = 97;

/// Bits of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 0 to 255.
    Eight,
    /// 0 to 65535.
    Sixteen,
}

impl Depth {
    /// The sample that stands for the intensity 1.
    pub fn white(self) -> f64 {
        match self {
            Self::Eight => 255.0,
            Self::Sixteen => 65535.0,
        }
    }

    /// The standard deviation of what rounding to this depth adds to an intensity: a step over √12.
    pub fn rounding(self) -> f64 {
        1.0 / self.white() / 12f64.sqrt()
    }
}

/// A picture as fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    /// Pixels from left to right.
    pub nx: usize,
    /// Pixels from bottom to top.
    pub ny: usize,
    /// One plane for grey, three for red, green, blue: `[planes, nx, ny]`, 0 to 1.
    pub planes: Vec<f64>,
    /// Bits of a sample in the file.
    pub depth: Depth,
    /// Opacity in the file's own order and range.
    alpha: Option<Vec<u16>>,
    /// The colour profile (ICC).
    profile: Option<Vec<u8>>,
}

/// Reads a PNG, JPEG or TIFF picture of 8 or 16 bits, grey or colour, with or without alpha; fewer bits and
/// palettes become 8 bits.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is damaged, of another format,
/// animated, holds several pages, floating point samples or no pixel.
pub fn read(path: &Path) -> Result<Photo> {
    let facts = path.metadata().map_err(Error::io(path, "cannot read"))?;
    if !facts.is_file() {
        return Err(Error::file(path, "not a regular file; name a picture"));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path, "cannot read"))?;
    let photo = decode(&bytes).and_then(|(image, profile)| Photo::from_image(&image, profile));
    photo.map_err(|what| Error::file(path, what))
}

/// Whether these first bytes of a file are those of a picture, of any format.
pub fn is_picture(start: &[u8]) -> bool {
    image::guess_format(start).is_ok()
}

impl Photo {
    /// A grey (one plane) or colour (three planes) picture of fields `[planes, nx, ny]`.
    pub fn new(nx: usize, ny: usize, planes: Vec<f64>, depth: Depth) -> Self {
        assert!([nx * ny, 3 * nx * ny].contains(&planes.len()), "one plane or three of {nx} x {ny}");
        Self { nx, ny, planes, depth, alpha: None, profile: None }
    }

    fn from_image(image: &DynamicImage, profile: Option<Vec<u8>>) -> Checked<Self> {
        let (nx, ny) = (image.width() as usize, image.height() as usize);
        if nx * ny == 0 {
            return Err(format!("a picture of {nx} x {ny} pixels holds nothing"));
        }
        let (depth, samples): (Depth, Vec<u16>) = match image.color() {
            ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
                (Depth::Eight, image.as_bytes().iter().map(|&byte| byte.into()).collect())
            }
            ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
                (Depth::Sixteen, bytemuck::pod_collect_to_vec(image.as_bytes()))
            }
            other => {
                return Err(format!("{other:?} samples have no white; save it with 8 or 16 bits"));
            }
        };
        let channels = usize::from(image.color().channel_count());
        let (colours, has_alpha) = (if channels < 3 { 1 } else { 3 }, channels.is_multiple_of(2));
        let mut planes = vec![0.0; colours * nx * ny];
        for (pixel, samples) in samples.chunks_exact(channels).enumerate() {
            let cell = cell(pixel, nx, ny);
            for (plane, &sample) in samples[..colours].iter().enumerate() {
                planes[plane * nx * ny + cell] = f64::from(sample) / depth.white();
            }
        }
        let alpha =
            has_alpha.then(|| samples.chunks_exact(channels).map(|pixel| pixel[channels - 1]).collect());
        Ok(Self { nx, ny, planes, depth, alpha, profile })
    }

    /// The number of colour channels: 1 or 3.
    pub fn channels(&self) -> usize {
        self.planes.len() / (self.nx * self.ny)
    }

    /// This picture with other intensities, `[planes, nx, ny]`, cut off below 0 and above 1 and rounded to
    /// its depth, so that they are what a file of it holds.
    pub fn with_planes(&self, planes: &[f64]) -> Self {
        assert_eq!(planes.len(), self.planes.len(), "as many intensities as before");
        let white = self.depth.white();
        let planes = planes.iter().map(|v| (v.clamp(0.0, 1.0) * white).round() / white).collect();
        Self { planes, ..self.clone() }
    }

    /// Refuses a name that does not tell a format, or one whose format cannot hold this picture.
    pub fn check_name(&self, path: &Path) -> Result<()> {
        let refuse = |what: &str| Err(Error::file(path, what));
        match Format::of(path) {
            None => refuse("cannot write: name a .png, .tiff or .jpg picture"),
            Some(Format::Jpeg) if self.depth == Depth::Sixteen => {
                refuse("cannot write: JPEG holds 8 bits, the picture has 16; name a .png or .tiff file")
            }
            Some(Format::Jpeg) if self.alpha.is_some() => {
                refuse("cannot write: JPEG holds no alpha channel; name a .png or .tiff file")
            }
            Some(Format::Tiff) if self.alpha.is_some() && self.channels() == 1 => {
                refuse("cannot write: grey with alpha goes to a .png file")
            }
            Some(_) => Ok(()),
        }
    }

    /// Writes the picture atomically, in the format that the name says. JPEG loses a little (quality 97).
    ///
    /// # Errors
    /// [`Error::File`] for a name without a format or one that cannot hold this picture; [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check_name(path)?;
        let mut bytes = Cursor::new(Vec::new());
        let image = self.image();
        let encoded = match Format::of(path) {
            Some(Format::Jpeg) => {
                self.encode(&image, JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
            }
            Some(Format::Tiff) => self.encode(&image, TiffEncoder::new(&mut bytes)),
            _ => self.encode(&image, PngEncoder::new(&mut bytes)),
        };
        encoded.map_err(|error| Error::file(path, format!("cannot write: {error}")))?;
        atomic::write(path, |out| out.write_all(bytes.get_ref()))
    }

    fn encode(&self, image: &DynamicImage, mut encoder: impl ImageEncoder) -> image::ImageResult<()> {
        if let Some(profile) = &self.profile {
            encoder.set_icc_profile(profile.clone()).map_err(|error| {
                image::ImageError::Encoding(image::error::EncodingError::new(
                    image::error::ImageFormatHint::Unknown,
                    error,
                ))
            })?;
        }
        image.write_with_encoder(encoder)
    }

    fn image(&self) -> DynamicImage {
        let (nx, ny, colours) = (self.nx, self.ny, self.channels());
        let mut samples: Vec<u16> = Vec::with_capacity((colours + 1) * nx * ny);
        for pixel in 0..nx * ny {
            let cell = cell(pixel, nx, ny);
            let planes = self.planes.chunks_exact(nx * ny);
            samples.extend(
                planes.map(|plane| (plane[cell].clamp(0.0, 1.0) * self.depth.white()).round() as u16),
            );
            samples.extend(self.alpha.as_ref().map(|alpha| alpha[pixel]));
        }
        let (width, height) = (nx as u32, ny as u32);
        // Made to measure just above.
        let narrow = |samples: Vec<u16>| samples.into_iter().map(|sample| sample as u8).collect::<Vec<u8>>();
        let image = match (self.depth, colours, self.alpha.is_some()) {
            (Depth::Eight, 1, false) => {
                ImageBuffer::from_raw(width, height, narrow(samples)).map(DynamicImage::ImageLuma8)
            }
            (Depth::Eight, 1, true) => {
                ImageBuffer::from_raw(width, height, narrow(samples)).map(DynamicImage::ImageLumaA8)
            }
            (Depth::Eight, _, false) => {
                ImageBuffer::from_raw(width, height, narrow(samples)).map(DynamicImage::ImageRgb8)
            }
            (Depth::Eight, _, true) => {
                ImageBuffer::from_raw(width, height, narrow(samples)).map(DynamicImage::ImageRgba8)
            }
            (Depth::Sixteen, 1, false) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16)
            }
            (Depth::Sixteen, 1, true) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16)
            }
            (Depth::Sixteen, _, false) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16)
            }
            (Depth::Sixteen, _, true) => {
                ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba16)
            }
        };
        image.expect("a sample for every channel of every pixel")
    }
}

/// The cell of a field `[nx, ny]` that shows the pixel of this number, counted in rows from the top left.
fn cell(pixel: usize, nx: usize, ny: usize) -> usize {
    (pixel % nx) * ny + (ny - 1 - pixel / nx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;
    use std::path::PathBuf;

    fn room() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, move |name: &str| root.join(name))
    }

    /// Every sample of every kind of picture, in three columns and two rows.
    fn pictures() -> Vec<DynamicImage> {
        let bytes = |n: usize| (0..6 * n).map(|i| (i * 37 % 256) as u8).collect::<Vec<u8>>();
        let words = |n: usize| (0..6 * n).map(|i| (i * 9973 % 65536) as u16).collect::<Vec<u16>>();
        vec![
            DynamicImage::ImageLuma8(ImageBuffer::from_raw(3, 2, bytes(1)).unwrap()),
            DynamicImage::ImageLumaA8(ImageBuffer::from_raw(3, 2, bytes(2)).unwrap()),
            DynamicImage::ImageRgb8(ImageBuffer::from_raw(3, 2, bytes(3)).unwrap()),
            DynamicImage::ImageRgba8(ImageBuffer::from_raw(3, 2, bytes(4)).unwrap()),
            DynamicImage::ImageLuma16(ImageBuffer::from_raw(3, 2, words(1)).unwrap()),
            DynamicImage::ImageLumaA16(ImageBuffer::from_raw(3, 2, words(2)).unwrap()),
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(3, 2, words(3)).unwrap()),
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(3, 2, words(4)).unwrap()),
        ]
    }

    #[test]
    fn every_depth_channel_and_profile_survives() {
        let (_folder, path) = room();
        for image in pictures() {
            for name in ["a.png", "a.TIFF"] {
                if name == "a.TIFF" && [ColorType::La8, ColorType::La16].contains(&image.color()) {
                    continue; // the encoder has no such kind; `check_name` says so
                }
                let mut photo = Photo::from_image(&image, None).unwrap();
                photo.profile = Some(b"a colour profile".to_vec());
                let again = photo.with_planes(&photo.planes);
                assert_eq!(photo, again, "rounding to the depth is exact");
                again.write(&path(name)).unwrap();
                let read = read(&path(name)).unwrap();
                assert_eq!(read.planes, photo.planes);
                assert_eq!((read.depth, &read.alpha), (photo.depth, &photo.alpha));
                let stored = image::open(path(name)).unwrap();
                assert_eq!((stored.color(), stored.as_bytes()), (image.color(), image.as_bytes()));
                if name == "a.png" {
                    assert_eq!(read.profile, photo.profile);
                }
            }
        }
    }

    #[test]
    fn fields_have_x_to_the_right_and_y_upward() {
        let image = &pictures()[0];
        let photo = Photo::from_image(image, None).unwrap();
        // The bottom left pixel is the first of the second row.
        assert_eq!(photo.planes[0], f64::from(image.as_bytes()[3]) / 255.0);
        assert_eq!(photo.planes[1], 0.0, "the top left one is 0");
        assert_eq!((photo.nx, photo.ny, photo.channels()), (3, 2, 1));
    }

    #[test]
    fn jpeg_comes_near_and_takes_only_what_it_can_hold() {
        let (_folder, path) = room();
        let planes: Vec<f64> = (0..3 * 40 * 24).map(|i| 0.5 + 0.3 * (0.05 * i as f64).sin()).collect();
        let photo = Photo::new(40, 24, planes, Depth::Eight);
        photo.write(&path("a.jpg")).unwrap();
        let read = read(&path("a.jpg")).unwrap();
        assert_eq!((read.nx, read.ny, read.channels()), (40, 24, 3));
        let worst = read.planes.iter().zip(&photo.planes).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.12, "{worst}");
        for (image, name, expected) in [
            (&pictures()[4], "b.jpg", "16"),
            (&pictures()[3], "b.jpeg", "alpha"),
            (&pictures()[1], "b.tif", "png"),
            (&pictures()[0], "b.bmp", "name a .png"),
            (&pictures()[0], "b", "name a .png"),
        ] {
            let message = Photo::from_image(image, None).unwrap().write(&path(name)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!path(name).exists());
        }
    }

    #[test]
    fn intensities_out_of_range_are_cut_off() {
        let photo = Photo::new(2, 1, vec![0.2, 0.8], Depth::Eight);
        assert_eq!(photo.with_planes(&[-0.5, 1.5]).planes, [0.0, 1.0]);
    }

    #[test]
    fn what_is_no_single_picture_is_refused_in_words() {
        let (_folder, path) = room();
        let mut tiff = Cursor::new(Vec::new());
        pictures()[0].write_to(&mut tiff, ImageFormat::Tiff).unwrap();
        let mut pages = tiff.get_ref().clone();
        let directory = u32::from_le_bytes(pages[4..8].try_into().unwrap()) as usize;
        let tags = usize::from(u16::from_le_bytes(pages[directory..directory + 2].try_into().unwrap()));
        pages[directory + 2 + 12 * tags] = 8;
        let mut png = Cursor::new(Vec::new());
        pictures()[2].write_to(&mut png, ImageFormat::Png).unwrap();
        let mut float = Cursor::new(Vec::new());
        DynamicImage::ImageRgb32F(ImageBuffer::from_raw(1, 1, vec![0.0f32; 3]).unwrap())
            .write_to(&mut float, ImageFormat::Tiff)
            .unwrap();
        for (bytes, expected) in [
            (pages, "several pictures"),
            (png.get_ref()[..60].to_vec(), "cannot be read as a picture"),
            (float.into_inner(), "no white"),
            (b"GIF89a\x01\x00\x01\x00\x00\x00\x00".to_vec(), "Gif pictures are not read"),
            (b"\x93NUMPY".to_vec(), "not a PNG, JPEG or TIFF"),
            (Vec::new(), "not a PNG, JPEG or TIFF"),
        ] {
            std::fs::write(path("bad.png"), bytes).unwrap();
            let message = read(&path("bad.png")).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("bad.png"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        assert!(matches!(read(&path("none.png")), Err(Error::Io { .. })));
    }
}
