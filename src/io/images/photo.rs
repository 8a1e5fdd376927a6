//! Pictures from files, for the heat equation to work on, and back in the same kind of samples.
//!
//! Samples of 8 and 16 bits are intensities: 0 to 1 for their full range, as stored, and no gamma curve is
//! undone. All other samples are values in the file's own units, such as kelvin, and may be negative. Every
//! channel of every page is a field of its own, in the orientation of all fields here: x to the right, y
//! upward. Alpha and what the file tells of itself are carried along; a camera's orientation is applied, and
//! the tag that tells it is not kept. Where nothing is visible, fields have colours that fit what is around,
//! and files keep those that they had.

use crate::io::atomic::{self, WriteSeek};
use crate::io::images::decode::{claim, decode, format};
use crate::io::images::format::Format;
use crate::io::images::hidden::Veil;
use crate::io::images::metadata::Kept;
use crate::io::images::raster::{Raster, Sheet};
use crate::io::images::{jpeg, png, scale, tiff};
use crate::{Error, Result};
use std::borrow::Cow;
use std::fs::Metadata;
use std::io::{self, Read};
use std::path::Path;

pub use crate::io::images::depth::Depth;

/// A picture, or a stack of pictures of one size and kind, as fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    /// Pixels from left to right.
    pub nx: usize,
    /// Pixels from bottom to top.
    pub ny: usize,
    /// Pictures in the stack; 1 for a picture that is alone.
    pub pages: usize,
    /// Page by page a plane for each channel, such as one for grey or three for red, green, blue:
    /// `[pages * channels, nx, ny]`. Intensities are 0 to 1, other samples are in their own units
    /// ([`Depth`]).
    pub planes: Vec<f64>,
    /// What a sample is in the file.
    pub depth: Depth,
    /// Whether the first three channels of a page are red, green and blue.
    is_rgb: bool,
    /// Opacity, 0 to [`Depth::white`], `[pages, nx, ny]`.
    alpha: Option<Vec<f32>>,
    /// The file's samples where alpha is 0: those of the first plane in the order of its cells, then those of
    /// the second one.
    hidden: Vec<f64>,
    kept: Kept,
}

/// Reads a PNG, JPEG, TIFF, GIF, WebP or BMP picture: of any number of channels and any kind of sample that
/// TIFF has, with or without alpha. Fewer than 8 bits become 8 bits; palettes, inks (CMYK) and JPEG's colours
/// become red, green and blue. The pages of a TIFF file are a stack if they are of one size and kind; smaller
/// copies are left out, which the log says.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is damaged, ends early, is of another
/// format, animated, holds pages that differ, a sample that is not finite or no pixel, or when there is not
/// enough memory for it.
pub fn read(path: &Path) -> Result<Photo> {
    let facts = path.metadata().map_err(Error::io(path, "cannot read"))?;
    if !facts.is_file() {
        return Err(Error::file(path, "not a regular file; name a picture"));
    }
    from_bytes(path, std::fs::read(path).map_err(Error::io(path, "cannot read"))?)
}

/// Reads a picture as [`read`] does, from the bytes of a file; errors name it as `path`.
///
/// # Errors
/// Those of [`read`].
pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Photo> {
    let mut raster = decode(bytes).map_err(|what| Error::file(path, what))?;
    for note in raster.notes.drain(..) {
        log::warn!("{}: {note}", path.display());
    }
    Ok(Photo::from_raster(raster))
}

/// Bytes that a file's first part, which tells how large its picture is, has at most, mostly.
const FIRST: u64 = 1 << 18;

/// What reading a picture takes.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// Bytes of its samples while they are kept, as they are stored.
    pub kept: u64,
    /// Bytes that reading takes at most.
    pub reading: u64,
}

/// What reading a picture would take, by what its file tells before its samples; none where it does not say,
/// or cannot be read.
pub fn needed(path: &Path) -> Option<Needed> {
    let length = path.metadata().ok().filter(Metadata::is_file)?.len();
    let first = |count: u64| {
        let mut bytes = Vec::new();
        std::fs::File::open(path).ok()?.take(count).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let start = first(FIRST)?;
    let claim = match claim(&start) {
        None if length > FIRST => claim(&first(length)?)?,
        found => found?,
    };
    Some(Needed { kept: claim.kept(), reading: claim.read().saturating_add(length) })
}

/// Whether these first bytes of a file are those of a picture, of any format.
pub fn is_picture(start: &[u8]) -> bool {
    format(start).is_some()
}

impl Photo {
    /// A grey (one plane) or colour (three planes) picture of fields `[planes, nx, ny]`.
    pub fn new(nx: usize, ny: usize, planes: Vec<f64>, depth: Depth) -> Self {
        assert!([nx * ny, 3 * nx * ny].contains(&planes.len()), "one plane or three of {nx} x {ny}");
        let is_rgb = planes.len() > nx * ny;
        let kept = Kept::default();
        Self { nx, ny, pages: 1, planes, depth, is_rgb, alpha: None, hidden: Vec::new(), kept }
    }

    fn from_raster(raster: Raster) -> Self {
        let Raster { nx, ny, pages, mut planes, is_rgb, depth, alpha, kept, .. } = raster;
        let hidden = match &alpha {
            Some(alpha) => {
                let veil = Veil { alpha, nx, ny, white: depth.white(), premultiplied: kept.is_premultiplied };
                veil.lift(&mut planes)
            }
            None => Vec::new(),
        };
        Self { nx, ny, pages, planes, depth, is_rgb, alpha, hidden, kept }
    }

    /// The planes as the file has them: with the colours that are hidden, and multiplied by alpha if the
    /// file's are.
    fn stored(&self) -> Cow<'_, [f64]> {
        let Self { nx, ny, ref hidden, depth, ref kept, .. } = *self;
        let premultiplied = kept.is_premultiplied;
        let Some(alpha) = self.alpha.as_ref().filter(|_| !hidden.is_empty() || premultiplied) else {
            return Cow::Borrowed(&self.planes);
        };
        let mut planes = self.planes.clone();
        if let Some((low, high)) = depth.bounds() {
            planes.iter_mut().for_each(|value| *value = value.clamp(low, high));
        }
        Veil { alpha, nx, ny, white: depth.white(), premultiplied }.lay(&mut planes, hidden);
        Cow::Owned(planes)
    }

    /// The number of planes: channels (1 for grey, 3 for colour, others in TIFF files) times pages.
    pub fn channels(&self) -> usize {
        self.planes.len() / (self.nx * self.ny)
    }

    /// The standard deviation of what rounding has added to a value of a field, in its units: to integer
    /// samples ([`Depth::rounding`]), and of a JPEG file to its long waves.
    pub fn rounding(&self) -> f64 {
        self.depth.rounding().hypot(self.kept.lost / self.depth.white())
    }

    /// The sides of a pixel along x (columns) and y (rows), in metres, from 1e-12 to 1e6, as the file tells
    /// them: its density with a unit, or the words of ImageJ and OME-TIFF. None where it tells none. Many
    /// programs write 72 or 96 per inch where nothing is known; that is returned like any other.
    pub fn pixel(&self) -> Option<[f64; 2]> {
        scale::pixel(&self.kept)
    }

    /// Whether the file has lost something to JPEG or WebP: it was such a file, or a TIFF file that is packed
    /// so.
    pub fn is_lossy(&self) -> bool {
        self.kept.is_lossy
    }

    /// Short words for messages, such as "90x60 pixels, 3 channels, 16-bit" or "90x60 pixels, 1 channel,
    /// float32, 12 pages".
    pub fn describe(&self) -> String {
        let channels = match self.channels() / self.pages {
            1 => "1 channel".to_owned(),
            channels => format!("{channels} channels"),
        };
        let pages = if self.pages == 1 { String::new() } else { format!(", {} pages", self.pages) };
        format!("{}x{} pixels, {channels}, {}{pages}", self.nx, self.ny, self.depth.describe())
    }

    /// This picture with other values, `[pages * channels, nx, ny]`. Intensities are cut off below 0 and
    /// above 1 and rounded to the depth, so that they are what a file of it holds; values in their own units
    /// stay as they are.
    pub fn with_planes(&self, planes: &[f64]) -> Self {
        assert_eq!(planes.len(), self.planes.len(), "as many values as before");
        let white = self.depth.white();
        let planes = match self.depth.bounds() {
            Some((low, high)) => {
                planes.iter().map(|v| (v.clamp(low, high) * white).round() / white).collect()
            }
            None => planes.to_vec(),
        };
        let Self { nx, ny, pages, depth, is_rgb, .. } = *self;
        let (alpha, hidden, kept) = (self.alpha.clone(), self.hidden.clone(), self.kept.clone());
        Self { nx, ny, pages, planes, depth, is_rgb, alpha, hidden, kept }
    }

    /// Refuses a name that does not tell a format, or one whose format cannot hold this picture.
    pub fn check_name(&self, path: &Path) -> Result<()> {
        let checked = match Format::of(path) {
            Some(format) => self.check_format(format),
            None if atomic::is_stream(path) => Ok(()),
            None => Err("name a .png, .tiff or .jpg picture".to_owned()),
        };
        checked.map_err(|what| Error::file(path, format!("cannot write: {what}")))
    }

    /// Refuses a format that cannot hold this picture.
    fn check_format(&self, format: Format) -> std::result::Result<(), String> {
        let format = match format {
            Format::Gif | Format::WebP | Format::Bmp => {
                return Err(format!(
                    "{format:?} is read and not written; name a .png, .tiff or .jpg picture"
                ));
            }
            Format::Tiff => return Ok(()),
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
        };
        let channels = self.channels() / self.pages;
        if self.pages > 1 {
            Err(format!("{format} holds one picture, the stack has {}; name a .tiff file", self.pages))
        } else if !self.depth.is_intensity() {
            let samples = self.depth.describe();
            Err(format!("{format} holds no {samples} samples; name a .tiff file"))
        } else if channels != if self.is_rgb { 3 } else { 1 } {
            Err(format!("{format} holds no {channels} channels; name a .tiff file"))
        } else if format == "JPEG" && self.depth == Depth::Sixteen {
            Err("JPEG holds 8 bits, the picture has 16; name a .png or .tiff file".into())
        } else if format == "JPEG" && self.alpha.is_some() {
            Err("JPEG holds no alpha channel; name a .png or .tiff file".into())
        } else {
            Ok(())
        }
    }

    /// Writes the picture atomically, in the format that the name says. JPEG loses a little (quality 97).
    /// Integers in their own units are written as floating point numbers that can hold them
    /// ([`Depth::written`]).
    ///
    /// # Errors
    /// [`Error::File`] for a name without a format or one that cannot hold this picture, and for values that
    /// the file's samples cannot hold; [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check_name(path)?;
        self.check_values(path)?;
        let format = Format::of(path).unwrap_or(self.plain_format());
        atomic::write_anywhere(path, |out| self.encode(format, out))
    }

    /// The bytes of a file with this picture: PNG, or TIFF where PNG cannot hold it.
    ///
    /// # Errors
    /// [`Error::File`] for values that the file's samples cannot hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let path = Path::new("the picture");
        self.check_values(path)?;
        let bytes = atomic::bytes_of(|out| self.encode(self.plain_format(), out));
        bytes.map_err(Error::io(path, "cannot encode"))
    }

    /// The format of a result whose name says none.
    fn plain_format(&self) -> Format {
        if self.check_format(Format::Png).is_ok() { Format::Png } else { Format::Tiff }
    }

    /// Refuses values that the file's samples cannot hold.
    fn check_values(&self, path: &Path) -> Result<()> {
        let too_large =
            |v: &&f64| !v.is_finite() || self.depth.written() == Depth::Float32 && !(**v as f32).is_finite();
        if let Some(bad) = self.planes.iter().find(too_large) {
            let samples = self.depth.written().describe();
            return Err(Error::file(path, format!("cannot write: {bad} is no number that {samples} holds")));
        }
        Ok(())
    }

    fn encode(&self, format: Format, out: &mut dyn WriteSeek) -> io::Result<()> {
        if self.kept.profile.is_some() && self.kept.profile_for(if self.is_rgb { 3 } else { 1 }).is_none() {
            log::warn!("the picture's colour profile is for other colours than these: left out");
        }
        let planes = self.stored();
        let Self { nx, ny, pages, is_rgb, depth, kept, .. } = self;
        let (alpha, planes) = (self.alpha.as_deref(), &planes[..]);
        let sheet =
            Sheet { nx: *nx, ny: *ny, pages: *pages, planes, is_rgb: *is_rgb, depth: *depth, alpha, kept };
        match format {
            Format::Jpeg => jpeg::write(&sheet, out),
            Format::Tiff => tiff::write(&sheet, out),
            // No other format is written: `check_name` has refused it.
            _ => png::write(&sheet, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ColorType, DynamicImage, ImageBuffer, ImageFormat};
    use std::io::Cursor;
    use std::path::PathBuf;

    fn room() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        (folder, move |name: &str| root.join(name))
    }

    fn bytes_of(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// The picture as it is read from a PNG file.
    fn photo(image: &DynamicImage) -> Photo {
        Photo::from_raster(decode(bytes_of(image, ImageFormat::Png)).unwrap())
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

    fn profile(space: &[u8]) -> Vec<u8> {
        [&[7; 16][..], space, &[9; 108]].concat()
    }

    #[test]
    fn every_depth_channel_and_profile_survives() {
        let (_folder, path) = room();
        for image in pictures() {
            // A soft edge is mixed with its surroundings; what is opaque or hidden comes back as it was.
            let opaque = |mut photo: Photo| {
                photo.alpha.iter_mut().flatten().for_each(|alpha| *alpha = photo.depth.white() as f32);
                photo
            };
            for name in ["a.png", "a.TIFF"] {
                let mut photo = photo(&image);
                photo.kept.profile = Some(profile(if photo.is_rgb { b"RGB " } else { b"GRAY" }));
                let again = photo.with_planes(&photo.planes);
                if !image.color().has_alpha() {
                    assert_eq!(photo, again, "rounding to the depth is exact");
                }
                again.write(&path(name)).unwrap();
                let read = read(&path(name)).unwrap();
                assert_eq!((read.depth, &read.alpha), (photo.depth, &photo.alpha));
                assert_eq!(read.kept.profile, photo.kept.profile);
                opaque(read.clone()).write(&path(name)).unwrap();
                let stored = image::open(path(name));
                if name == "a.TIFF" && [ColorType::La8, ColorType::La16].contains(&image.color()) {
                    assert!(stored.is_err(), "a grey picture with alpha is nothing that image knows");
                    continue;
                }
                let stored = stored.unwrap();
                assert_eq!(stored.color(), image.color());
                if !image.color().has_alpha() {
                    assert_eq!(stored.as_bytes(), image.as_bytes());
                }
            }
        }
    }

    #[test]
    fn fields_have_x_to_the_right_and_y_upward() {
        let image = &pictures()[0];
        let photo = photo(image);
        // The bottom left pixel is the first of the second row.
        assert_eq!(photo.planes[0], f64::from(image.as_bytes()[3]) / 255.0);
        assert_eq!(photo.planes[1], 0.0, "the top left one is 0");
        assert_eq!((photo.nx, photo.ny, photo.pages, photo.channels()), (3, 2, 1, 1));
        assert_eq!(photo.describe(), "3x2 pixels, 1 channel, 8-bit");
    }

    #[test]
    fn hidden_colours_are_not_seen_and_come_back() {
        let (_folder, path) = room();
        // White beside transparent black, and a hidden colour of its own in the corner.
        let image = image::RgbaImage::from_fn(16, 8, |x, y| match (x, y) {
            (15, 7) => image::Rgba([9, 99, 200, 0]),
            (8.., _) => image::Rgba([0, 0, 0, 0]),
            _ => image::Rgba([255, 255, 255, 255]),
        });
        let image = DynamicImage::ImageRgba8(image);
        for name in ["h.png", "h.tif"] {
            image.save(path(name)).unwrap();
            let photo = read(&path(name)).unwrap();
            assert!(photo.planes.iter().all(|v| (v - 1.0).abs() <= 1e-15));
            let grey = vec![0.5; photo.planes.len()];
            photo.with_planes(&grey).write(&path(name)).unwrap();
            let stored = image::open(path(name)).unwrap().to_rgba8();
            assert_eq!(stored.get_pixel(15, 7).0, [9, 99, 200, 0]);
            assert_eq!(stored.get_pixel(8, 0).0, [0, 0, 0, 0]);
            assert_eq!(stored.get_pixel(7, 0).0, [128, 128, 128, 255]);
        }
        // Nothing is visible at all: a picture like any other.
        let blank = DynamicImage::ImageLumaA8(ImageBuffer::from_raw(2, 1, vec![10, 0, 20, 0]).unwrap());
        let blank = photo(&blank);
        assert_eq!(blank.planes, [10.0 / 255.0, 20.0 / 255.0]);
        blank.with_planes(&[1.0, 0.0]).write(&path("b.png")).unwrap();
        assert_eq!(image::open(path("b.png")).unwrap().as_bytes(), [255, 0, 0, 0]);
    }

    #[test]
    fn jpeg_comes_near_and_takes_only_what_it_can_hold() {
        let (_folder, path) = room();
        let planes: Vec<f64> = (0..3 * 40 * 24).map(|i| 0.5 + 0.3 * (0.05 * i as f64).sin()).collect();
        let photo = Photo::new(40, 24, planes, Depth::Eight);
        photo.write(&path("a.jpg")).unwrap();
        let read = read(&path("a.jpg")).unwrap();
        assert_eq!((read.nx, read.ny, read.channels()), (40, 24, 3));
        assert!(read.is_lossy() && !photo.is_lossy());
        let worst = read.planes.iter().zip(&photo.planes).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.12, "{worst}");
        let float = Photo::new(1, 1, vec![-3.0], Depth::Float32);
        let stack = Photo { pages: 2, is_rgb: false, ..Photo::new(1, 2, vec![0.0; 6], Depth::Eight) };
        let flat = Photo { is_rgb: false, ..Photo::new(1, 1, vec![0.0; 3], Depth::Eight) };
        let kinds: Vec<Photo> = pictures().iter().map(super::tests::photo).collect();
        for (photo, name, expected) in [
            (&kinds[4], "b.jpg", "16"),
            (&kinds[3], "b.jpeg", "alpha"),
            (&kinds[0], "b.bmp", "Bmp is read and not written; name a .png"),
            (&kinds[0], "b.gif", "name a .png"),
            (&kinds[0], "b.webp", "name a .png"),
            (&kinds[0], "b", "name a .png"),
            (&float, "b.png", "no float32 samples"),
            (&stack, "b.png", "one picture, the stack has 2"),
            (&flat, "b.jpg", "no 3 channels"),
            (&Photo::new(1, 1, vec![1e300], Depth::Float32), "b.tif", "no number that float32 holds"),
            (&Photo::new(1, 1, vec![f64::NAN], Depth::Float64), "b.tif", "NaN is no number"),
        ] {
            let message = photo.write(&path(name)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!path(name).exists());
        }
    }

    #[test]
    fn only_intensities_are_cut_off() {
        let photo = Photo::new(2, 1, vec![0.2, 0.8], Depth::Eight);
        assert_eq!(photo.with_planes(&[-0.5, 1.5]).planes, [0.0, 1.0]);
        let photo = Photo::new(2, 1, vec![0.2, 0.8], Depth::Int16);
        assert_eq!(photo.with_planes(&[-273.15, 1.5]).planes, [-273.15, 1.5]);
    }

    #[test]
    fn errors_name_the_file_on_one_line() {
        let (_folder, path) = room();
        std::fs::write(path("bad.png"), b"\x93NUMPY").unwrap();
        let message = read(&path("bad.png")).unwrap_err().to_string();
        assert!(
            message.contains("bad.png: not a picture that is read") && !message.contains('\n'),
            "{message}"
        );
        assert!(matches!(read(&path("none.png")), Err(Error::Io { .. })));
    }

    #[test]
    fn what_files_tell_of_themselves_goes_from_format_to_format() {
        let (_folder, path) = room();
        let image = &pictures()[2];
        let mut photo = photo(image);
        let density = crate::io::images::metadata::Density::new(
            (300, 1),
            (150, 1),
            crate::io::images::metadata::Unit::Inch,
        );
        photo.kept.density = density;
        photo.kept.description = Some(b"cells".to_vec());
        photo.kept.chunks = vec![(*b"gAMA", vec![0, 0, 0xb1, 0x8f]), (*b"tEXt", b"Title\0t".to_vec())];
        photo.kept.profile = Some(profile(b"RGB "));
        photo.write(&path("a.png")).unwrap();
        let from_png = read(&path("a.png")).unwrap();
        assert_eq!(from_png.kept.chunks[..2], photo.kept.chunks);
        assert_eq!(from_png.kept.description().unwrap(), b"cells");
        from_png.write(&path("a.tif")).unwrap();
        let from_tiff = read(&path("a.tif")).unwrap();
        assert_eq!(from_tiff.kept.description.as_deref().unwrap(), b"cells");
        assert_eq!(from_tiff.kept.profile, photo.kept.profile);
        from_tiff.write(&path("a.jpg")).unwrap();
        let from_jpeg = read(&path("a.jpg")).unwrap();
        assert_eq!((from_jpeg.kept.density, &from_jpeg.kept.profile), (density, &photo.kept.profile));
        // The profile of inks is none for what is red, green and blue.
        photo.kept.profile = Some(profile(b"CMYK"));
        photo.write(&path("b.png")).unwrap();
        assert_eq!(read(&path("b.png")).unwrap().kept.profile, None);
    }
}
