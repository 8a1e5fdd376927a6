//! What a page of a TIFF file is, by its tags.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::{Density, Kept, Packing, Unit};
use crate::io::images::raster::{Checked, Claim};
use crate::io::images::scale;
use crate::io::images::tiff::directory::{Directory, Order, tag};

/// What the samples of a pixel mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// Grey, or any number of channels.
    Grey,
    Rgb,
    Palette,
    Cmyk,
    /// Brightness and two colour differences, as JPEG has them.
    YCbCr,
}

impl Colour {
    /// Samples that make the colour.
    pub(super) fn samples(self) -> usize {
        match self {
            Self::Grey | Self::Palette => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }
}

/// A page, as far as it has to be the same on all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kind {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) colour: Colour,
    pub(super) depth: Depth,
    /// Bits of a sample.
    pub(super) bits: u32,
    /// Samples of a pixel.
    pub(super) samples: usize,
    /// Which of them is alpha.
    pub(super) alpha: Option<usize>,
    pub(super) is_premultiplied: bool,
    /// Whether intensities are stored upside down.
    pub(super) white_is_zero: bool,
    pub(super) orientation: u64,
}

/// Whether the page is a smaller copy of another, or tells what of another is transparent.
pub(super) fn is_secondary(directory: &Directory, bytes: &[u8]) -> bool {
    directory.number(bytes, tag::NEW_SUBFILE_TYPE).unwrap_or(0) & 0b101 != 0
        || directory.number(bytes, tag::SUBFILE_TYPE) == Some(2)
}

impl Kind {
    pub(super) fn of(directory: &Directory, bytes: &[u8]) -> Checked<Self> {
        let number = |tag: u16| directory.number(bytes, tag);
        let size = |tag: u16| number(tag).and_then(|n| u32::try_from(n).ok()).map(|n| n as usize);
        let missing = "a page's tags do not tell its size: it is damaged";
        let (width, height) = (size(tag::WIDTH).ok_or(missing)?, size(tag::HEIGHT).ok_or(missing)?);
        let samples = number(tag::SAMPLES).unwrap_or(1).min(65535) as usize;
        let same = |tag: u16, default: u64| {
            let values = directory.numbers(bytes, tag);
            let first = values.first().copied().unwrap_or(default);
            values.iter().all(|&value| value == first).then_some(first)
        };
        let bits = same(tag::BITS, 1).ok_or("its samples have different numbers of bits")?;
        let format = same(tag::SAMPLE_FORMAT, 1).ok_or("its samples are of different kinds")?;
        let depth = match (format, bits) {
            (1, 1 | 2 | 4 | 8) => Depth::Eight,
            (1, 16) => Depth::Sixteen,
            (1, 32) => Depth::Uint32,
            (1, 64) => Depth::Uint64,
            (2, 8) => Depth::Int8,
            (2, 16) => Depth::Int16,
            (2, 32) => Depth::Int32,
            (2, 64) => Depth::Int64,
            (3, 16) => Depth::Float16,
            (3, 32) => Depth::Float32,
            (3, 64) => Depth::Float64,
            _ => {
                let format = match format {
                    1 => "unsigned",
                    2 => "signed",
                    3 => "floating point",
                    _ => "unknown",
                };
                return Err(format!(
                    "{format} samples of {bits} bits are not read; save it with 8, 16 or 32 bits"
                ));
            }
        };
        let photometric = number(tag::PHOTOMETRIC).ok_or("no tag tells what its samples mean")?;
        let colour = match photometric {
            0 | 1 => Colour::Grey,
            2 => Colour::Rgb,
            3 => Colour::Palette,
            5 => Colour::Cmyk,
            6 => Colour::YCbCr,
            other => {
                return Err(format!("its colour space (number {other}) is not read; save it as RGB or grey"));
            }
        };
        let is_plain = match colour {
            Colour::Grey | Colour::Rgb => true,
            Colour::Palette => depth == Depth::Eight,
            Colour::Cmyk => depth.is_intensity() && bits >= 8,
            // Other packings may store fewer colour differences than pixels.
            Colour::YCbCr => bits == 8 && number(tag::COMPRESSION) == Some(7),
        };
        if !is_plain || samples < colour.samples() {
            return Err(format!(
                "{colour:?} pictures of {samples} {} samples are not read",
                depth.describe()
            ));
        }
        let mut extra = directory.numbers(bytes, tag::EXTRA_SAMPLES);
        if colour == Colour::Rgb && samples == 4 && extra.is_empty() {
            extra = vec![2]; // many writers leave the tag out, unheat's once did
        }
        let first = samples.checked_sub(extra.len()).ok_or("has more extra samples than samples")?;
        let alpha = extra.iter().position(|kind| [1, 2].contains(kind));
        let is_premultiplied = alpha.is_some_and(|at| extra[at] == 1);
        let alpha = alpha.map(|at| first + at);
        if alpha.is_some_and(|alpha| alpha < colour.samples()) {
            return Err("its alpha channel takes the place of a colour: it is damaged".into());
        }
        let orientation = number(tag::ORIENTATION).unwrap_or(1);
        let white_is_zero = photometric == 0;
        let bits = bits as u32;
        Ok(Self {
            width,
            height,
            colour,
            depth,
            bits,
            samples,
            alpha,
            is_premultiplied,
            white_is_zero,
            orientation,
        })
    }

    /// What `pages` pages of this kind claim.
    pub(super) fn claim(&self, pages: usize) -> Claim {
        let Self { width, height, .. } = *self;
        // A palette makes three of one.
        let samples = if self.colour == Colour::Palette { 2 + self.samples } else { self.samples };
        Claim { width, height, pages, samples, bytes: self.depth.bytes() }
    }

    /// Refuses a page that cannot be in one stack with this one.
    pub(super) fn check_same(&self, other: &Self, number: usize) -> Checked<()> {
        let size = |kind: &Self| format!("{}x{} pixels", kind.width, kind.height);
        let words = |kind: &Self| {
            let channels = if kind.samples == 1 { "sample" } else { "samples" };
            format!("{} {} {channels} ({:?})", kind.samples, kind.depth.describe(), kind.colour)
        };
        let told: &dyn Fn(&Self) -> String = match (other.width, other.height) == (self.width, self.height) {
            false => &size,
            true if other == self => return Ok(()),
            true => &words,
        };
        Err(format!(
            "page {number} has {}, and page 1 has {}: pages of one kind are a stack; save others in files of \
             their own",
            told(other),
            told(self)
        ))
    }
}

/// What is kept of a file with this first page.
pub(super) fn kept(directory: &Directory, bytes: &[u8], order: Order, kind: &Kind) -> Kept {
    let compression = directory.number(bytes, tag::COMPRESSION).unwrap_or(1);
    let unit = match directory.number(bytes, tag::RESOLUTION_UNIT) {
        Some(1) => Unit::Unknown,
        Some(3) => Unit::Centimetre,
        _ => Unit::Inch,
    };
    let [x, y] = [tag::X_RESOLUTION, tag::Y_RESOLUTION].map(|tag| directory.fraction(bytes, tag));
    let density = x.zip(y).and_then(|(x, y)| Density::new(x, y, unit));
    let is_turned = (5..=8).contains(&kind.orientation);
    let lies_otherwise = is_turned
        || directory.number(bytes, tag::PLANAR) == Some(2)
        || [Colour::Palette, Colour::Cmyk].contains(&kind.colour);
    // tifffile's own words about how pages lie in the file, where those that are written lie otherwise, and
    // OME's about the sides of what has been turned.
    let is_stale = |text: &[u8]| {
        lies_otherwise && text.starts_with(b"{\"shape\"") || is_turned && scale::of_ome(text).is_some()
    };
    let description = directory.text(bytes, tag::DESCRIPTION);
    Kept {
        profile: directory.bytes(bytes, tag::PROFILE).map(<[u8]>::to_vec),
        density: density.map(|density| if is_turned { density.turned() } else { density }),
        chunks: Vec::new(),
        description: description.filter(|text| !is_stale(text)),
        software: directory.text(bytes, tag::SOFTWARE),
        packing: match compression {
            1 => Packing::None,
            5 => Packing::Lzw,
            32773 => Packing::PackBits,
            _ => Packing::Deflate,
        },
        is_big: order.is_big_tiff,
        white_is_zero: kind.white_is_zero,
        is_premultiplied: kind.is_premultiplied,
        is_lossy: compression == 7,
        lost: 0.0, // what its tables say is not known here
    }
}
