//! PNG in and out.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::{Density, Kept, Unit};
use crate::io::images::pixels::Parts;
use crate::io::images::raster::{BLOCK, CUT_OFF, Cells, Checked, Claim, Raster, SEVERAL, Sheet};
use crate::io::images::scale;
use image::metadata::Orientation;
use png::{BitDepth, ColorType, Compression, DecodeOptions, Decoder, Encoder, Info, PixelDimensions};
use png::{Filter, Limits, Transformations};
use std::io::{self, Cursor, Write};

/// The eight bytes that a file begins with.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks that are kept as they are: texts, and what the samples' colours mean.
const KEPT: [&[u8; 4]; 9] = [b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI"];

/// Bytes that a profile may take at least, however short the file.
const PROFILE: usize = 1 << 20;

/// The chunks of a file that are in order, by name. None where it ends before the one that is to end it.
fn chunks(bytes: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut rest = bytes.strip_prefix(SIGNATURE)?;
    let mut chunks = Vec::new();
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let (name, content) =
            (*rest.get(4..)?.first_chunk::<4>()?, rest.get(8..8usize.checked_add(length)?)?);
        let sum = u32::from_be_bytes(*rest.get(8 + length..)?.first_chunk()?);
        if sum == crc32fast::hash(&rest[4..8 + length]) {
            chunks.push((name, content));
        }
        if &name == b"IEND" {
            return Some(chunks);
        }
        rest = &rest[12 + length..];
    }
}

/// What the first bytes of a file claim.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let samples = match bytes.get(25)? {
        0 => 1,
        4 => 2,
        6 => 4,
        _ => 3, // colours, of a palette too
    };
    let bytes = if *bytes.get(24)? == 16 { 2 } else { 1 };
    Some(Claim { width: side(16)?, height: side(20)?, pages: 1, samples, bytes })
}

pub(crate) fn read(bytes: &[u8]) -> Checked<Raster> {
    let damaged = |error: png::DecodingError| {
        let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
        format!("cannot be read as a picture: {}", words.join(" "))
    };
    let chunks = chunks(bytes).ok_or(CUT_OFF)?;
    let mut options = DecodeOptions::default();
    options.set_ignore_text_chunk(true); // they are kept as they are
    let mut decoder = Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_transformations(Transformations::EXPAND);
    let most = bytes.len().saturating_mul(1032).saturating_add(PROFILE);
    decoder.set_limits(Limits { bytes: most });
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let claim = Claim { width, height, pages: 1, samples: 1, bytes: 1 };
    claim.check(bytes.len())?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    if reader.info().animation_control.is_some() {
        return Err(SEVERAL.into());
    }
    let (kind, bits) = reader.output_color_type();
    let (depth, width_of_sample) =
        if bits == BitDepth::Sixteen { (Depth::Sixteen, 2) } else { (Depth::Eight, 1) };
    let samples = kind.samples();
    Claim { samples, bytes: width_of_sample, ..claim }.check(bytes.len())?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("is too large")?];
    reader.next_frame(&mut buffer).map_err(damaged)?;

    let exif = chunks.iter().find(|(name, _)| name == b"eXIf");
    let orientation = exif.and_then(|(_, exif)| Orientation::from_exif_chunk(exif));
    let orientation = orientation.map_or(1, |o| o.to_exif().into());
    let cells = Cells::new(width, height, orientation);
    // A camera's other words about itself tell the orientation once more.
    let is_stale = |content: &[u8]| orientation != 1 && content.starts_with(b"XML:com.adobe.xmp\0");
    let has_alpha = matches!(kind, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let Parts { planes, alpha } = Parts::of(&buffer, depth, samples, has_alpha, &cells);
    let named = |name: &[u8; 4]| chunks.iter().find(|chunk| &chunk.0 == name).map(|chunk| chunk.1);
    let density = named(b"pHYs").and_then(density);
    let kept = Kept {
        profile: reader.info().icc_profile.as_ref().map(|profile| profile.to_vec()),
        density: density.map(|density| if cells.is_turned { density.turned() } else { density }),
        chunks: chunks
            .iter()
            .filter(|(name, content)| KEPT.contains(&name) && !is_stale(content))
            .map(|(name, content)| (*name, content.to_vec()))
            .collect(),
        ..Kept::default()
    };
    Ok(Raster {
        nx: cells.nx,
        ny: cells.ny,
        pages: 1,
        planes,
        is_rgb: samples >= 3,
        depth,
        alpha,
        kept,
        notes: Vec::new(),
    })
}

fn density(content: &[u8]) -> Option<Density> {
    let number = |at: usize| Some((u32::from_be_bytes(*content.get(at..)?.first_chunk()?), 1));
    let unit = if *content.get(8)? == 1 { Unit::Metre } else { Unit::Unknown };
    Density::new(number(0)?, number(4)?, unit)
}

/// Writes a picture of 8 or 16 bits with one or three channels.
pub(crate) fn write(sheet: &Sheet, out: impl Write) -> io::Result<()> {
    let (colours, color_type) = match (sheet.is_rgb, sheet.alpha.is_some()) {
        (false, false) => (1, ColorType::Grayscale),
        (false, true) => (1, ColorType::GrayscaleAlpha),
        (true, false) => (3, ColorType::Rgb),
        (true, true) => (3, ColorType::Rgba),
    };
    let is_wide = sheet.depth == Depth::Sixteen;
    let mut info = Info::with_size(sheet.nx as u32, sheet.ny as u32);
    info.color_type = color_type;
    info.bit_depth = if is_wide { BitDepth::Sixteen } else { BitDepth::Eight };
    info.pixel_dims = scale::density(sheet.kept).and_then(|density| {
        let (whole, unit) = match density.unit {
            Unit::Unknown => (Unit::Unknown, png::Unit::Unspecified),
            _ => (Unit::Metre, png::Unit::Meter),
        };
        let (xppu, yppu) = density.whole(whole, u32::MAX >> 1)?;
        Some(PixelDimensions { xppu, yppu, unit })
    });
    info.icc_profile = sheet.kept.profile_for(colours).map(|profile| profile.to_vec().into());
    let mut encoder = Encoder::with_info(out, info)?;
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header()?;
    for (name, content) in sheet.kept.chunks() {
        writer.write_chunk(png::chunk::ChunkType(name), &content)?;
    }
    let mut rows = writer.stream_writer()?;
    let mut block = Vec::new();
    for top in (0..sheet.ny).step_by(BLOCK) {
        block.clear();
        sheet.rows(0, top..(top + BLOCK).min(sheet.ny), false, |sample| match is_wide {
            true => block.extend((sample as u16).to_be_bytes()),
            false => block.push(sample as u8),
        });
        rows.write_all(&block)?;
    }
    rows.finish()?;
    Ok(writer.finish()?)
}
