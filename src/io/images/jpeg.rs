//! JPEG in and out.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::{Density, Kept, Unit};
use crate::io::images::pixels::Parts;
use crate::io::images::raster::{CUT_OFF, Cells, Checked, Claim, Raster, Sheet};
use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageEncoder};
use std::io::{self, Write};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// JPEG's quality, of 100. It is high, since the pictures that are written took work.
const QUALITY: u8 = 97;

/// How a file is cut into segments, found without decoding any.
pub(crate) struct Outline {
    /// Whether the mark that ends a picture is there, behind a scan.
    pub(crate) is_whole: bool,
    /// Width and height of the picture.
    pub(crate) size: Option<(usize, usize)>,
    /// Samples of a pixel as it is read: one of grey, else three.
    samples: usize,
    density: Option<Density>,
    /// The steps, in samples, to which brightness is rounded: that of the mean of a block, then those of
    /// ever shorter waves in it.
    steps: Option<[u16; 64]>,
}

impl Outline {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut outline = Self { is_whole: false, size: None, samples: 3, density: None, steps: None };
        let (mut at, mut has_scan) = (2, false);
        while let Some(&mark) = bytes.get(at) {
            if mark != 0xff {
                at += 1; // some writers pad segments
                continue;
            }
            let Some(&kind) = bytes.get(at + 1) else { break };
            at += match kind {
                0xff => 1,
                0x00 | 0x01 | 0xd0..=0xd8 => 2,
                0xd9 => {
                    outline.is_whole = has_scan;
                    break;
                }
                _ => {
                    let number = |at: usize| {
                        Some(usize::from(*bytes.get(at)?) << 8 | usize::from(*bytes.get(at + 1)?))
                    };
                    let Some(length) = number(at + 2) else { break };
                    let content = bytes.get(at + 4..at + 2 + length).unwrap_or_default();
                    match kind {
                        0xda => has_scan = true,
                        // A frame: neither tables (c4, c8) nor arithmetic conditions (cc).
                        0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&kind) => {
                            outline.size = number(at + 7).zip(number(at + 5));
                            outline.samples = if bytes.get(at + 9) == Some(&1) { 1 } else { 3 };
                        }
                        0xdb => outline.steps = outline.steps.or(steps(content)),
                        0xe0 => outline.density = outline.density.or(density(content)),
                        _ => {}
                    }
                    2 + length.max(2)
                }
            };
        }
        outline
    }
}

/// The first of the tables of steps in a segment, if it is that of brightness.
fn steps(content: &[u8]) -> Option<[u16; 64]> {
    let (&kind, values) = content.split_first()?;
    let wide = kind >> 4 != 0;
    let value = |i: usize| match wide {
        true => Some(u16::from(*values.get(2 * i)?) << 8 | u16::from(*values.get(2 * i + 1)?)),
        false => values.get(i).copied().map(u16::from),
    };
    let mut steps = [0; 64];
    for (i, step) in steps.iter_mut().enumerate() {
        *step = value(i)?;
    }
    (kind & 15 == 0).then_some(steps)
}

/// The standard deviation, in samples, of what rounding adds to the longest waves of blocks: the root mean
/// square of their steps over √12. Shorter waves are rounded to zero where a picture is smooth, which adds
/// nothing that could be seen.
fn lost(steps: &[u16; 64]) -> f64 {
    let longest = &steps[1..6];
    let squares: f64 = longest.iter().map(|&step| f64::from(step).powi(2)).sum();
    (squares / longest.len() as f64 / 12.0).sqrt()
}

/// What JFIF's segment says of a pixel's size.
fn density(content: &[u8]) -> Option<Density> {
    let numbers = content.strip_prefix(b"JFIF\0")?.get(2..7)?;
    let unit = match numbers[0] {
        1 => Unit::Inch,
        2 => Unit::Centimetre,
        _ => Unit::Unknown,
    };
    let pair = |at: usize| (u32::from(numbers[at]) << 8 | u32::from(numbers[at + 1]), 1);
    Density::new(pair(1), pair(3), unit)
}

/// What the first bytes of a file claim.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let Outline { size, samples, .. } = Outline::of(bytes);
    let (width, height) = size?;
    Some(Claim { width, height, pages: 1, samples, bytes: 1 })
}

pub(crate) fn read(bytes: &[u8]) -> Checked<Raster> {
    let outline = Outline::of(bytes);
    if !outline.is_whole {
        return Err(CUT_OFF.into());
    }
    let strictly = decoded(bytes, true);
    let (decoder, samples) = match strictly {
        // A rule about what may stand between segments, and not about what is missing.
        Ok(Err(error)) if error.to_string().contains("[strict-mode]") => decoded(bytes, false)?,
        other => other?,
    }
    .map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or("its size is not told")?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let cells = Cells::new(width, height, orientation.map_or(1, |o| o.to_exif().into()));
    let channels = samples.len() / (width * height);
    let Parts { planes, alpha } = Parts::of(&samples, Depth::Eight, channels, false, &cells);
    let density = outline.density.map(|density| if cells.is_turned { density.turned() } else { density });
    let lost = outline.steps.as_ref().map_or(0.0, lost);
    let kept = Kept { profile: decoder.icc_profile(), density, is_lossy: true, lost, ..Kept::default() };
    let (nx, ny) = (cells.nx, cells.ny);
    let is_rgb = channels == 3;
    Ok(Raster { nx, ny, pages: 1, planes, is_rgb, depth: Depth::Eight, alpha, kept, notes: Vec::new() })
}

type Decoded<'a> = std::result::Result<(JpegDecoder<ZCursor<&'a [u8]>>, Vec<u8>), DecodeErrors>;

/// One or three samples per pixel, or what the decoder says against it; strictly, a scan that lacks
/// something is an error, and else grey.
fn decoded(bytes: &[u8], strict: bool) -> Checked<Decoded<'_>> {
    let options =
        DecoderOptions::default().set_strict_mode(strict).set_max_width(65535).set_max_height(65535);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    if let Err(error) = decoder.decode_headers() {
        return Ok(Err(error));
    }
    let (width, height) = decoder.dimensions().ok_or("its size is not told")?;
    let (space, samples) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    Claim { width, height, pages: 1, samples, bytes: 1 }.check(bytes.len())?;
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let mut pixels = vec![0; width * height * samples];
    Ok(decoder.decode_into(&mut pixels).map(|()| (decoder, pixels)))
}

fn damaged(error: DecodeErrors) -> String {
    let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
    format!("cannot be read as a picture: {}; it is damaged or ends early", words.join(" "))
}

/// Writes a picture of 8 bits with one or three channels and no alpha.
pub(crate) fn write(sheet: &Sheet, out: impl Write) -> io::Result<()> {
    let Sheet { nx, ny, kept, .. } = *sheet;
    let mut samples = Vec::with_capacity(sheet.planes.len());
    sheet.rows(0, 0..ny, false, |sample| samples.push(sample as u8));
    let (colours, kind) = match sheet.is_rgb {
        true => (3, ExtendedColorType::Rgb8),
        false => (1, ExtendedColorType::L8),
    };
    let mut encoder = JpegEncoder::new_with_quality(out, QUALITY);
    if let Some(density) = kept.density {
        // Whole numbers per inch are nearer to what most fractions were once meant to be.
        let unit = match density.unit {
            Unit::Centimetre if density.x.1 > 1 || density.y.1 > 1 => Unit::Inch,
            Unit::Metre => Unit::Inch,
            own => own,
        };
        if let Some((x, y)) = density.whole(unit, u16::MAX.into()) {
            let unit = match unit {
                Unit::Unknown => PixelDensityUnit::PixelAspectRatio,
                Unit::Centimetre => PixelDensityUnit::Centimeters,
                Unit::Inch | Unit::Metre => PixelDensityUnit::Inches,
            };
            encoder.set_pixel_density(PixelDensity { density: (x as u16, y as u16), unit });
        }
    }
    if let Some(profile) = kept.profile_for(colours) {
        encoder.set_icc_profile(profile.to_vec()).map_err(io::Error::other)?;
    }
    encoder.write_image(&samples, nx as u32, ny as u32, kind).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_quality_are_found() {
        let (mut bytes, pixels) = (Vec::new(), [128u8; 64]);
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 75);
        encoder.write_image(&pixels, 8, 8, ExtendedColorType::L8).unwrap();
        let steps = Outline::of(&bytes).steps.unwrap();
        assert_eq!(steps[..6], [8, 6, 6, 7, 6, 5]);
        assert!((lost(&steps) - 6.03 / 12f64.sqrt()).abs() < 0.01);
    }

    #[test]
    fn marks_within_segments_and_scans_do_not_end_a_picture() {
        let whole =
            b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\x01\x01\x2c\0\x96\0\0\xff\xfe\0\x06\xff\xd9\xff\xd9\
                      \xff\xc0\0\x0b\x08\0\x02\0\x03\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\xff\0\
                      \xff\xd3\x12\xff\xff\xd9";
        let outline = Outline::of(whole);
        assert!(outline.is_whole);
        assert_eq!(outline.size, Some((3, 2)));
        assert_eq!(outline.density, Density::new((300, 1), (150, 1), Unit::Inch));
        for length in 0..whole.len() {
            assert!(!Outline::of(&whole[..length]).is_whole, "{length}");
        }
    }
}
