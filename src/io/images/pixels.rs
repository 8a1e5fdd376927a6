//! Pixels as most formats have them, sample by sample, on their way into fields.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::Kept;
use crate::io::images::raster::{Cells, Checked, Raster};
use image::{ColorType, ImageDecoder, ImageResult};

/// The samples of an upright picture of intensities, taken apart.
pub(crate) struct Parts {
    /// `[channels, nx, ny]`, 0 to 1.
    pub(crate) planes: Vec<f64>,
    pub(crate) alpha: Option<Vec<f32>>,
}

impl Parts {
    /// Of `samples` that a file has pixel by pixel, rows of `width` pixels from the top, with one byte or two
    /// (the high one first) for each of the `kinds` of samples of a pixel, of which the last may be alpha.
    pub(crate) fn of(samples: &[u8], depth: Depth, kinds: usize, has_alpha: bool, cells: &Cells) -> Self {
        let width = if cells.is_turned { cells.ny } else { cells.nx };
        let (count, bytes, channels) = (cells.nx * cells.ny, depth.bytes(), kinds - usize::from(has_alpha));
        let mut planes = vec![0.0; channels * count];
        let mut alpha = has_alpha.then(|| vec![0.0; count]);
        for (pixel, samples) in samples.chunks_exact(kinds * bytes).enumerate() {
            let cell = cells.of(pixel % width, pixel / width);
            for (channel, bytes) in samples.chunks_exact(bytes).enumerate() {
                let sample = bytes.iter().fold(0, |sample, &byte| sample << 8 | u16::from(byte));
                match &mut alpha {
                    Some(alpha) if channel == channels => alpha[cell] = f32::from(sample),
                    _ => planes[channel * count + cell] = f64::from(sample) / depth.white(),
                }
            }
        }
        Self { planes, alpha }
    }
}

/// The picture of 8 bits that a decoder of the crate image holds, whose claim has been checked; `orientation`
/// is that of Exif.
pub(crate) fn pixels(
    decoder: ImageResult<impl ImageDecoder>,
    orientation: u64,
    kept: Kept,
) -> Checked<Raster> {
    let damaged = |error: image::ImageError| {
        let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
        format!("cannot be read as a picture: {}; it is damaged or ends early", words.join(" "))
    };
    let mut decoder = decoder.map_err(damaged)?;
    let profile = decoder.icc_profile().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (kinds, has_alpha) = match decoder.color_type() {
        ColorType::L8 => (1, false),
        ColorType::Rgb8 => (3, false),
        ColorType::Rgba8 => (4, true),
        other => return Err(format!("{other:?} samples are not read; convert it to PNG")),
    };
    let mut samples = vec![0; usize::try_from(decoder.total_bytes()).map_err(|_| "is too large")?];
    decoder.read_image(&mut samples).map_err(damaged)?;
    let (depth, is_rgb) = (Depth::Eight, kinds >= 3);
    let cells = Cells::new(width as usize, height as usize, orientation);
    let Parts { planes, alpha } = Parts::of(&samples, depth, kinds, has_alpha, &cells);
    let kept = Kept { profile, ..kept };
    let (nx, ny) = (cells.nx, cells.ny);
    Ok(Raster { nx, ny, pages: 1, planes, is_rgb, depth, alpha, kept, notes: Vec::new() })
}
