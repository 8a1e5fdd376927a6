//! Fields one after another, as an animated picture: PNG or GIF. Both hold the same 255 colours exactly.

use crate::io::atomic;
use crate::io::plots::canvas::Colour;
use crate::io::plots::field_panels::{NOT_A_NUMBER, inferno, pixels};
use crate::{Error, Result};
use gif::{EncodingError, Frame, Repeat};
use png::{BitDepth, ColorType, Compression, Filter};
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;

/// How long a frame may be shown, in milliseconds.
pub const DELAYS: RangeInclusive<u32> = 1..=60_000;

/// Colours that values have; one more is for what is not a number.
const LEVELS: u8 = 255;

/// What is not a number among greys.
const NO_GREY: Colour = [0x33, 0x66, 0xcc];

/// The colours from the lowest to the highest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// From black over red to yellow, as all drawings of fields here. Grey is not a number.
    Inferno,
    /// From black to white. Blue is not a number.
    Grey,
}

impl Palette {
    /// Red, green and blue of all places: of the levels, and of what is not a number.
    fn colours(self) -> Vec<u8> {
        let colour = |level: u8| match self {
            Self::Inferno => inferno(f64::from(level) / f64::from(LEVELS - 1)),
            Self::Grey => [(u16::from(level) * 255 / u16::from(LEVELS - 1)) as u8; 3],
        };
        let none = if self == Self::Inferno { NOT_A_NUMBER } else { NO_GREY };
        (0..LEVELS).map(colour).chain([none]).flatten().collect()
    }
}

#[derive(Clone, Copy)]
enum Format {
    Png,
    Gif,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().unwrap_or_default().to_string_lossy().to_lowercase().as_str() {
            "png" | "apng" => Ok(Self::Png),
            "gif" => Ok(Self::Gif),
            _ => Err(Error::file(path, "cannot write: a film is a .png, .apng or .gif file")),
        }
    }
}

/// Refuses a name whose ending is not that of an animated picture: `.png`, `.apng` or `.gif`.
///
/// # Errors
/// [`Error::File`].
pub fn check(path: &Path) -> Result<()> {
    Format::of(path).map(|_| ())
}

/// Writes fields as an animated picture that repeats for ever, atomically: PNG for the endings `.png` and
/// `.apng`, GIF for `.gif`.
///
/// `frames` are `[frames, nx, ny]` with y contiguous; x is drawn to the right, y upward. `limits` hold the
/// values of the first and the last colour; what lies outside has these. Small fields are enlarged by whole
/// factors to at least 256 pixels, and those of more than 512 cells thinned out. A frame is shown for
/// `delay_ms` milliseconds ([`DELAYS`]). GIF rounds them to hundredths of a second, and to two at least,
/// since browsers slow down what is faster.
///
/// # Errors
/// [`Error::Usage`] when there is no frame, the numbers are not those of whole frames, or the delay is out of
/// range; [`Error::File`] for another ending; [`Error::Io`] and [`Error::File`] when the file cannot be
/// written.
pub fn write(
    path: &Path,
    frames: &[f64],
    nx: usize,
    ny: usize,
    limits: (f64, f64),
    palette: Palette,
    delay_ms: u32,
) -> Result<()> {
    let format = Format::of(path)?;
    let cells = nx.checked_mul(ny).filter(|&cells| cells > 0 && frames.len().is_multiple_of(cells));
    let count = cells.and_then(|cells| u32::try_from(frames.len() / cells).ok()).filter(|&count| count > 0);
    let (Some(cells), Some(count)) = (cells, count) else {
        let numbers = frames.len();
        return Err(Error::usage(format!("{numbers} numbers are no film of fields of {nx} x {ny}")));
    };
    if !DELAYS.contains(&delay_ms) {
        let (least, most) = (DELAYS.start(), DELAYS.end());
        return Err(Error::usage(format!("delay {delay_ms}: must be from {least} to {most} milliseconds")));
    }
    let (width, height) = pixels(nx, ny);
    let frames = frames.chunks_exact(cells).map(|frame| places(frame, (nx, ny), (width, height), limits));
    // The sides are 512 at most, and the milliseconds fit into 16 bits.
    let film = Film { width: width as u16, height: height as u16, count, delay_ms: delay_ms as u16, palette };
    atomic::write(path, |out| match format {
        Format::Png => film.png(frames, out),
        Format::Gif => film.gif(frames, out).map_err(|error| match error {
            EncodingError::Io(error) => error,
            other => io::Error::other(other),
        }),
    })
}

/// The places in the palette of a frame's pixels, row by row from the top.
fn places(
    frame: &[f64],
    (nx, ny): (usize, usize),
    (width, height): (usize, usize),
    limits: (f64, f64),
) -> Vec<u8> {
    let cells = (0..height).flat_map(|row| {
        let y = ny - 1 - row * ny / height;
        (0..width).map(move |column| column * nx / width * ny + y)
    });
    cells.map(|cell| place(frame[cell], limits)).collect()
}

fn place(value: f64, (low, high): (f64, f64)) -> u8 {
    if value.is_nan() {
        return LEVELS;
    }
    let share = (value - low) / (high - low);
    // A range without extent says nothing about low and high.
    let share = if share.is_nan() { 0.5 } else { share.clamp(0.0, 1.0) };
    (share * f64::from(LEVELS - 1)).round() as u8
}

struct Film {
    width: u16,
    height: u16,
    count: u32,
    delay_ms: u16,
    palette: Palette,
}

impl Film {
    fn png(&self, frames: impl Iterator<Item = Vec<u8>>, out: impl Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(out, self.width.into(), self.height.into());
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_palette(self.palette.colours());
        encoder.set_compression(Compression::Balanced);
        // Differences between places of a palette mean nothing.
        encoder.set_filter(Filter::NoFilter);
        encoder.set_animated(self.count, 0)?;
        encoder.set_frame_delay(self.delay_ms, 1000)?;
        let mut writer = encoder.write_header()?;
        for frame in frames {
            writer.write_image_data(&frame)?;
        }
        Ok(writer.finish()?)
    }

    fn gif(
        &self,
        frames: impl Iterator<Item = Vec<u8>>,
        out: impl Write,
    ) -> std::result::Result<(), EncodingError> {
        let Self { width, height, .. } = *self;
        let delay = ((self.delay_ms + 5) / 10).max(2);
        let mut encoder = gif::Encoder::new(out, width, height, &self.palette.colours())?;
        encoder.set_repeat(Repeat::Infinite)?;
        for frame in frames {
            encoder.write_frame(&Frame { width, height, delay, buffer: frame.into(), ..Frame::default() })?;
        }
        encoder.into_inner().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::gif::GifDecoder;
    use image::codecs::png::PngDecoder;
    use image::{AnimationDecoder, RgbaImage};
    use std::fs::File;
    use std::io::BufReader;

    /// The frames of a file, and the milliseconds that each is shown for.
    fn frames(path: &Path) -> Vec<(RgbaImage, u32)> {
        let file = BufReader::new(File::open(path).unwrap());
        let frames = match Format::of(path).unwrap() {
            Format::Png => {
                let decoder = PngDecoder::new(file).unwrap();
                assert!(decoder.is_apng().unwrap());
                decoder.apng().unwrap().into_frames()
            }
            Format::Gif => GifDecoder::new(file).unwrap().into_frames(),
        };
        let frames = frames.collect_frames().unwrap().into_iter();
        let frames = frames.map(|frame| {
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            (frame.into_buffer(), numerator / denominator)
        });
        frames.collect()
    }

    fn colour(image: &RgbaImage, x: u32, y: u32) -> Colour {
        let [r, g, b, alpha] = image.get_pixel(x, y).0;
        assert_eq!(alpha, 255);
        [r, g, b]
    }

    #[test]
    fn frames_have_their_colours_and_times_with_x_to_the_right_and_y_upward() {
        let folder = tempfile::tempdir().unwrap();
        // Fields of 3 x 2 cells: the cell (2, 0) is hot in the first one, and (0, 1) not a number.
        let film = [[0.0, f64::NAN, 0.0, 0.0, 2.0, 1.0], [1.0, 0.0, -9.0, f64::INFINITY, 0.0, 0.0], [0.0; 6]];
        for name in ["f.png", "f.apng", "f.GIF"] {
            let path = folder.path().join(name);
            write(&path, film.as_flattened(), 3, 2, (0.0, 2.0), Palette::Inferno, 40).unwrap();
            let read = frames(&path);
            assert_eq!(read.len(), 3);
            assert!(read.iter().all(|(image, delay)| image.dimensions() == (258, 172) && *delay == 40));
            let cell = |frame: usize, x: u32, y: u32| colour(&read[frame].0, 86 * x + 40, 171 - 86 * y - 40);
            assert_eq!(cell(0, 2, 0), inferno(1.0), "bottom right");
            assert_eq!(cell(0, 0, 1), NOT_A_NUMBER, "top left");
            assert_eq!(cell(0, 2, 1), inferno(0.5));
            assert_eq!(cell(0, 1, 0), inferno(0.0));
            assert_eq!([cell(1, 0, 0), cell(1, 1, 0)], [inferno(0.5), inferno(0.0)]);
            assert_eq!([cell(1, 1, 1), cell(2, 1, 1)], [inferno(1.0), inferno(0.0)]);
            // Cells are blocks without soft edges.
            assert_eq!(colour(&read[0].0, 172, 86), inferno(1.0));
            assert_eq!(colour(&read[0].0, 171, 86), inferno(0.0));
        }
    }

    #[test]
    fn one_frame_is_a_film_too() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one.png", "one.gif"] {
            let path = folder.path().join(name);
            write(&path, &[0.0, 0.5, 1.0, f64::NAN], 1, 4, (0.0, 1.0), Palette::Grey, 1234).unwrap();
            let read = frames(&path);
            let rows = [NO_GREY, [255; 3], [127; 3], [0; 3]];
            assert_eq!(rows, [0, 64, 128, 192].map(|row| colour(&read[0].0, 63, row)));
            let delay = if name == "one.png" { 1234 } else { 1230 };
            assert_eq!((read.len(), read[0].0.dimensions(), read[0].1), (1, (64, 256), delay));
        }
    }

    #[test]
    fn films_repeat_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["r.png", "r.gif"] {
            write(&path(name), &[0.0; 8], 2, 2, (0.0, 1.0), Palette::Inferno, 1).unwrap();
        }
        let reader = png::Decoder::new(BufReader::new(File::open(path("r.png")).unwrap())).read_info();
        let control = reader.unwrap().info().animation_control.unwrap();
        assert_eq!((control.num_frames, control.num_plays), (2, 0));
        let mut decoder = gif::Decoder::new(File::open(path("r.gif")).unwrap()).unwrap();
        assert_eq!(decoder.next_frame_info().unwrap().unwrap().delay, 2);
        assert_eq!(decoder.repeat(), Repeat::Infinite);
    }

    #[test]
    fn large_and_odd_fields_are_drawn() {
        let folder = tempfile::tempdir().unwrap();
        for (nx, ny, size) in [(600, 300, (512, 256)), (400, 100, (400, 100)), (1000, 1, (512, 1))] {
            let values: Vec<f64> = (0..2 * nx * ny).map(|i| (i * 7919 % 1000) as f64).collect();
            for name in ["l.png", "l.gif"] {
                let path = folder.path().join(name);
                for limits in [(0.0, 999.0), (5.0, 5.0), (f64::NAN, 1.0), (f64::MIN, f64::MAX)] {
                    write(&path, &values, nx, ny, limits, Palette::Grey, 60_000).unwrap();
                }
                let read = frames(&path);
                assert_eq!((read.len(), read[1].0.dimensions(), read[1].1), (2, size, 60_000));
            }
        }
        let values: Vec<f64> = (0..=254).map(f64::from).collect();
        let path = folder.path().join("all.gif");
        write(&path, &values, 255, 1, (0.0, 254.0), Palette::Inferno, 100).unwrap();
        let read = &frames(&path)[0].0;
        for level in 0..255 {
            assert_eq!(colour(read, 2 * level, 0), inferno(f64::from(level) / 254.0), "{level}");
        }
    }

    #[test]
    fn other_endings_and_impossible_films_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["f", "f.webp", "f.mp4", "gif", ".png", "f.png.txt"] {
            let message = check(&path(name)).unwrap_err().to_string();
            assert!(
                message.ends_with(&format!("{name}: cannot write: a film is a .png, .apng or .gif file"))
            );
            assert!(write(&path(name), &[0.0], 1, 1, (0.0, 1.0), Palette::Grey, 9).is_err());
        }
        check(&path("f.Png")).unwrap();
        for (numbers, nx, ny, delay) in
            [(0, 2, 2, 9), (5, 2, 2, 9), (4, 0, 2, 9), (4, usize::MAX, 2, 9), (4, 2, 2, 0), (4, 2, 2, 60_001)]
        {
            let frames = vec![0.0; numbers];
            let refused = write(&path("f.gif"), &frames, nx, ny, (0.0, 1.0), Palette::Grey, delay);
            assert!(matches!(refused, Err(Error::Usage(_))));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
