//! Pictures between their files and the fields: where each pixel goes, and whether there is room for it.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::Kept;
use crate::io::memory;
use std::ops::Range;

/// Bytes of samples that a byte of a file stands for at most: deflate makes 1 of 1032, a sample may have one
/// bit.
const MOST_COMPRESSED: u64 = 8 * 1032;

/// Bytes of memory per sample: a field and the result that is computed from it, in 64 bits.
const BYTES_PER_SAMPLE: u64 = 2 * 8;

/// Rows of a file that are gone through together, since fields have them as columns: as many values as are
/// fetched from memory at once.
pub(crate) const BLOCK: usize = 8;

/// What is said of a file that ends early.
pub(crate) const CUT_OFF: &str = "the picture ends early: the file is cut off; get a whole copy";

/// What is said of animations.
pub(crate) const SEVERAL: &str = "holds several pictures (an animation); save each in a file of its own";

/// A value, or a reason to which the caller adds the path.
pub(crate) type Checked<T> = std::result::Result<T, String>;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Raster {
    /// Pixels from left to right, as the picture is meant to be seen.
    pub(crate) nx: usize,
    /// Pixels from bottom to top.
    pub(crate) ny: usize,
    /// Pictures of this size and kind.
    pub(crate) pages: usize,
    /// `[pages * channels, nx, ny]`, in the units of [`Depth`].
    pub(crate) planes: Vec<f64>,
    /// Whether the first three channels are red, green and blue.
    pub(crate) is_rgb: bool,
    pub(crate) depth: Depth,
    /// `[pages, nx, ny]`, from 0 to [`Depth::white`].
    pub(crate) alpha: Option<Vec<f32>>,
    pub(crate) kept: Kept,
    /// What the person should know of how it was read.
    pub(crate) notes: Vec<String>,
}

/// What is to be written, in the same order and units.
pub(crate) struct Sheet<'a> {
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    pub(crate) pages: usize,
    pub(crate) planes: &'a [f64],
    pub(crate) is_rgb: bool,
    pub(crate) depth: Depth,
    pub(crate) alpha: Option<&'a [f32]>,
    pub(crate) kept: &'a Kept,
}

impl Sheet<'_> {
    /// Samples of a pixel but for alpha.
    pub(crate) fn channels(&self) -> usize {
        self.planes.len() / (self.nx * self.ny * self.pages)
    }

    /// Hands the samples of these rows, counted from the top, to `each`, as the file has them: pixel by pixel
    /// first its channels, then its alpha. With `is_negative` white is 0.
    pub(crate) fn rows(&self, page: usize, rows: Range<usize>, is_negative: bool, mut each: impl FnMut(f64)) {
        let (channels, cells) = (self.channels(), self.nx * self.ny);
        let samples = channels + usize::from(self.alpha.is_some());
        let white = self.depth.white();
        let is_intensity = self.depth.is_intensity();
        let stored = |value: f64| match is_intensity {
            true if is_negative => white - (value.clamp(0.0, 1.0) * white).round(),
            true => (value.clamp(0.0, 1.0) * white).round(),
            false => value,
        };
        let mut turned = vec![0.0; BLOCK * self.nx * samples];
        for top in rows.clone().step_by(BLOCK) {
            let count = BLOCK.min(rows.end - top);
            let mut put = |sample: usize, x: usize, column: &mut dyn FnMut(usize) -> f64| {
                for row in 0..count {
                    turned[(row * self.nx + x) * samples + sample] =
                        column(x * self.ny + (self.ny - 1 - top - row));
                }
            };
            for channel in 0..channels {
                let plane = &self.planes[(page * channels + channel) * cells..][..cells];
                (0..self.nx).for_each(|x| put(channel, x, &mut |cell| stored(plane[cell])));
            }
            if let Some(alpha) = self.alpha {
                let alpha = &alpha[page * cells..][..cells];
                (0..self.nx).for_each(|x| put(channels, x, &mut |cell| alpha[cell].into()));
            }
            turned[..count * self.nx * samples].iter().for_each(|&sample| each(sample));
        }
    }
}

/// The cells of one upright picture, which its pixels are put into as the file has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells {
    pub(crate) nx: usize,
    pub(crate) ny: usize,
    /// Whether the picture is turned by a quarter, so that its sides change places.
    pub(crate) is_turned: bool,
    first: isize,
    right: isize,
    down: isize,
}

impl Cells {
    /// For a file with pictures of `width` × `height` pixels that are turned and mirrored as `orientation`
    /// says (1 to 8, as in Exif; others count as 1).
    pub(crate) fn new(width: usize, height: usize, orientation: u64) -> Self {
        let is_turned = (5..=8).contains(&orientation);
        let (nx, ny) = if is_turned { (height, width) } else { (width, height) };
        let (w, h) = (width as isize - 1, height as isize - 1);
        let cell = |x: isize, y: isize| {
            let (x, y) = match orientation {
                2 => (w - x, y),
                3 => (w - x, h - y),
                4 => (x, h - y),
                5 => (y, x),
                6 => (h - y, x),
                7 => (h - y, w - x),
                8 => (y, w - x),
                _ => (x, y),
            };
            x * ny as isize + (ny as isize - 1 - y)
        };
        let first = cell(0, 0);
        Self { nx, ny, is_turned, first, right: cell(1, 0) - first, down: cell(0, 1) - first }
    }

    /// The cell in a field `[nx, ny]` that shows the pixel in this column and row, from the file's top left.
    pub(crate) fn of(&self, x: usize, y: usize) -> usize {
        (self.first + x as isize * self.right + y as isize * self.down) as usize
    }
}

/// What a file claims to hold, before memory is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pages: usize,
    /// Samples of a pixel.
    pub(crate) samples: usize,
    /// Bytes of a sample.
    pub(crate) bytes: usize,
}

impl Claim {
    /// Bytes of its planes as they are kept for training: samples as they are stored, but in 32 bits where
    /// alpha may have changed them, which an even number of samples tells.
    pub(crate) fn kept(&self) -> u64 {
        let has_alpha = self.samples.is_multiple_of(2);
        let bytes = if has_alpha { 4 } else { self.bytes.min(4) };
        self.samples_in_all() / self.samples.max(1) as u64
            * ((self.samples - usize::from(has_alpha)) * bytes) as u64
    }

    /// Bytes that reading takes: a field in 64 bits, and what it is computed from.
    pub(crate) fn read(&self) -> u64 {
        self.samples_in_all().saturating_mul(BYTES_PER_SAMPLE)
    }

    fn samples_in_all(&self) -> u64 {
        let sides = [self.width, self.height, self.pages, self.samples];
        sides.iter().fold(1, |product: u64, &n| product.saturating_mul(n as u64))
    }

    /// Refuses what a file of `length` bytes cannot hold, and what does not fit into memory.
    pub(crate) fn check(&self, length: usize) -> Checked<()> {
        self.check_room(length, memory::available())
    }

    fn check_room(&self, length: usize, free: Option<u64>) -> Checked<()> {
        let Self { width, height, pages, samples, bytes } = *self;
        if width == 0 || height == 0 || pages == 0 || samples == 0 {
            return Err(format!("a picture of {width} x {height} pixels holds nothing"));
        }
        let product =
            |numbers: &[usize]| numbers.iter().fold(1u64, |product, &n| product.saturating_mul(n as u64));
        let claimed = product(&[width, height, pages, samples, bytes]);
        if claimed > MOST_COMPRESSED.saturating_mul(length as u64) {
            return Err(format!(
                "claims {claimed} bytes of samples, which no {length} bytes hold: it is damaged"
            ));
        }
        let per_pixel = product(&[pages, samples]).saturating_mul(BYTES_PER_SAMPLE);
        let needed = product(&[width, height]).saturating_mul(per_pixel);
        let Some(free) = free.filter(|&free| needed > free) else { return Ok(()) };
        let fits = (free / per_pixel) as f64;
        let shrunk = (fits / (width as f64 * height as f64)).sqrt();
        let side = |n: usize| (n as f64 * shrunk).floor();
        let what = match pages {
            1 => format!("{width}x{height} pixels with {samples} samples each"),
            _ => format!("{pages} pages of {width}x{height} pixels with {samples} samples each"),
        };
        Err(format!(
            "{what} take {:.1} GB of memory, and {:.1} GB are free; {}x{} pixels would fit: cut or shrink it",
            needed as f64 / 1e9,
            free as f64 / 1e9,
            side(width),
            side(height)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_puts_the_corners_where_exif_says() {
        // Where the file's first pixel, and the next one to the right, are to be seen, from the top left.
        for (orientation, first, next) in [
            (1, (0, 0), (1, 0)),
            (2, (2, 0), (1, 0)),
            (3, (2, 1), (1, 1)),
            (4, (0, 1), (1, 1)),
            (5, (0, 0), (0, 1)),
            (6, (1, 0), (1, 1)),
            (7, (1, 2), (1, 1)),
            (8, (0, 2), (0, 1)),
            (99, (0, 0), (1, 0)),
        ] {
            let cells = Cells::new(3, 2, orientation);
            let cell = |(x, y): (usize, usize)| x * cells.ny + (cells.ny - 1 - y);
            assert_eq!((cells.of(0, 0), cells.of(1, 0)), (cell(first), cell(next)), "{orientation}");
            let mut all: Vec<usize> = (0..6).map(|i| cells.of(i % 3, i / 3)).collect();
            all.sort();
            assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_what_would() {
        let claim = Claim { width: 12_000, height: 8_000, pages: 1, samples: 3, bytes: 2 };
        claim.check_room(600_000_000, Some(5_000_000_000)).unwrap();
        claim.check_room(600_000_000, None).unwrap();
        let message = claim.check_room(600_000_000, Some(1_152_000_000)).unwrap_err();
        assert!(message.contains("12000x8000") && message.contains("4.6 GB") && message.contains("1.2 GB"));
        assert!(message.contains("6000x4000 pixels would fit"), "{message}");
        assert!(claim.check_room(60_000, None).unwrap_err().contains("damaged"));
        assert!(Claim { width: 0, ..claim }.check_room(9, None).unwrap_err().contains("holds nothing"));
        let huge = Claim { width: usize::MAX, height: usize::MAX, ..claim };
        assert!(huge.check_room(usize::MAX >> 1, Some(1)).is_err());
    }
}
