//! Pictures as TIFF files: strips of about a megabyte, a directory per page.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::{Kept, Packing, Unit};
use crate::io::images::raster::Sheet;
use std::io::{self, Seek, Write};
use tiff::encoder::compression::{CompressionAlgorithm, Deflate, Lzw, Packbits};
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind, TiffKindBig, TiffKindStandard};
use tiff::tags::{CompressionMethod, ExtraSamples, PhotometricInterpretation, SampleFormat, Tag, Type};
use tiff::{Directory, TiffError, TiffResult};

/// Bytes of a strip before it is packed.
const STRIP: usize = 1 << 20;

/// Bytes that offsets of 32 bits reach, but for some room for directories and for what packing makes longer.
const MOST: u64 = (u32::MAX as u64) / 3 * 2;

/// Writes all pages. Integers in their own units become floating point numbers ([`Depth::written`]).
pub(crate) fn write(sheet: &Sheet, out: impl Write + Seek) -> io::Result<()> {
    let samples = sheet.planes.len() + sheet.alpha.map_or(0, <[f32]>::len);
    let bytes = samples as u64 * sheet.depth.written().bytes() as u64;
    let written = if sheet.kept.is_big || bytes > MOST {
        TiffEncoder::new_big(out).and_then(|encoder| pages::<_, TiffKindBig>(sheet, encoder))
    } else {
        TiffEncoder::new(out).and_then(|encoder| pages::<_, TiffKindStandard>(sheet, encoder))
    };
    written.map_err(|error| match error {
        TiffError::IoError(error) => error,
        other => io::Error::other(other),
    })
}

fn pages<W: Write + Seek, K: TiffKind>(sheet: &Sheet, mut encoder: TiffEncoder<W, K>) -> TiffResult<()> {
    let rest = {
        let mut directory = encoder.image_directory()?;
        // ImageJ expects that nothing stands between the slices of its stacks.
        let first = strips(sheet, 0, &mut directory)?;
        let rest = (1..sheet.pages).map(|page| strips(sheet, page, &mut directory));
        let rest = rest.collect::<TiffResult<Vec<Places<K>>>>()?;
        finish(sheet, true, &first, directory)?;
        rest
    };
    rest.iter().try_for_each(|places| finish(sheet, false, places, encoder.image_directory()?))
}

fn finish<W: Write + Seek, K: TiffKind>(
    sheet: &Sheet,
    is_first: bool,
    places: &Places<K>,
    mut directory: DirectoryEncoder<W, K>,
) -> TiffResult<()> {
    directory.write_tag(Tag::StripOffsets, K::convert_slice(&places.offsets))?;
    directory.write_tag(Tag::StripByteCounts, K::convert_slice(&places.lengths))?;
    directory.write_tag(Tag::RowsPerStrip, places.rows_per_strip)?;
    kind(sheet, &mut directory)?;
    metadata(sheet, is_first, &mut directory)?;
    directory.finish()
}

/// Where the strips of a page are.
struct Places<K: TiffKind> {
    offsets: Vec<K::OffsetType>,
    lengths: Vec<K::OffsetType>,
    rows_per_strip: u32,
}

fn strips<W: Write + Seek, K: TiffKind>(
    sheet: &Sheet,
    page: usize,
    directory: &mut DirectoryEncoder<W, K>,
) -> TiffResult<Places<K>> {
    let depth = sheet.depth.written();
    let row_bytes = sheet.nx * (sheet.channels() + usize::from(sheet.alpha.is_some())) * depth.bytes();
    let rows_per_strip = (STRIP / row_bytes.max(1)).clamp(1, sheet.ny);
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    let (mut strip, mut packed) = (Vec::new(), Vec::new());
    for top in (0..sheet.ny).step_by(rows_per_strip) {
        strip.clear();
        let rows = top..(top + rows_per_strip).min(sheet.ny);
        // The encoder writes files in the machine's own order.
        sheet.rows(page, rows, sheet.kept.white_is_zero, |sample| match depth {
            Depth::Eight => strip.push(sample as u8),
            Depth::Sixteen => strip.extend((sample as u16).to_ne_bytes()),
            Depth::Float64 => strip.extend(sample.to_ne_bytes()),
            _ => strip.extend((sample as f32).to_ne_bytes()),
        });
        packed.clear();
        match sheet.kept.packing {
            Packing::None => packed.extend_from_slice(&strip),
            Packing::Lzw => drop(Lzw.write_to(&mut packed, &strip)?),
            Packing::Deflate => drop(Deflate::default().write_to(&mut packed, &strip)?),
            // Runs end with their rows.
            Packing::PackBits => {
                for row in strip.chunks(row_bytes) {
                    Packbits.write_to(&mut packed, row)?;
                }
            }
        }
        offsets.push(K::convert_offset(directory.write_data(&packed[..])?)?);
        lengths.push(K::convert_offset(packed.len() as u64)?);
    }
    Ok(Places { offsets, lengths, rows_per_strip: rows_per_strip as u32 })
}

fn kind<W: Write + Seek, K: TiffKind>(
    sheet: &Sheet,
    directory: &mut DirectoryEncoder<W, K>,
) -> TiffResult<()> {
    let depth = sheet.depth.written();
    let channels = sheet.channels();
    let samples = channels + usize::from(sheet.alpha.is_some());
    let format = if depth.is_intensity() { SampleFormat::Uint } else { SampleFormat::IEEEFP };
    let photometric = match (sheet.is_rgb, sheet.kept.white_is_zero) {
        (true, _) => PhotometricInterpretation::RGB,
        (false, true) => PhotometricInterpretation::WhiteIsZero,
        (false, false) => PhotometricInterpretation::BlackIsZero,
    };
    let packing = match sheet.kept.packing {
        Packing::None => CompressionMethod::None,
        Packing::Lzw => CompressionMethod::LZW,
        Packing::Deflate => CompressionMethod::Deflate,
        Packing::PackBits => CompressionMethod::PackBits,
    };
    let colours = if sheet.is_rgb { 3 } else { 1 };
    let mut extra = vec![ExtraSamples::Unspecified.to_u16(); channels.saturating_sub(colours)];
    extra.extend(sheet.alpha.map(|_| match sheet.kept.is_premultiplied {
        true => ExtraSamples::AssociatedAlpha.to_u16(),
        false => ExtraSamples::UnassociatedAlpha.to_u16(),
    }));
    directory.write_tag(Tag::ImageWidth, sheet.nx as u32)?;
    directory.write_tag(Tag::ImageLength, sheet.ny as u32)?;
    directory.write_tag(Tag::BitsPerSample, &vec![8 * depth.bytes() as u16; samples][..])?;
    directory.write_tag(Tag::SampleFormat, &vec![format.to_u16(); samples][..])?;
    directory.write_tag(Tag::SamplesPerPixel, samples as u16)?;
    directory.write_tag(Tag::PlanarConfiguration, 1u16)?;
    directory.write_tag(Tag::Compression, packing.to_u16())?;
    directory.write_tag(Tag::PhotometricInterpretation, photometric.to_u16())?;
    if !extra.is_empty() {
        directory.write_tag(Tag::ExtraSamples, &extra[..])?;
    }
    Ok(())
}

fn metadata<W: Write + Seek, K: TiffKind>(
    sheet: &Sheet,
    is_first: bool,
    directory: &mut DirectoryEncoder<W, K>,
) -> TiffResult<()> {
    let kept: &Kept = sheet.kept;
    if let Some(density) = kept.density.and_then(|density| density.fractions()) {
        let unit: u16 = match density.unit {
            Unit::Unknown => 1,
            Unit::Inch => 2,
            Unit::Centimetre | Unit::Metre => 3,
        };
        directory.write_tag(Tag::XResolution, Rational { n: density.x.0, d: density.x.1 })?;
        directory.write_tag(Tag::YResolution, Rational { n: density.y.0, d: density.y.1 })?;
        directory.write_tag(Tag::ResolutionUnit, unit)?;
    }
    let zero_ended = |text: Option<Vec<u8>>| text.map(|text| [text, vec![0]].concat());
    let profile = kept.profile_for(if sheet.is_rgb { 3 } else { 1 }).map(<[u8]>::to_vec);
    for (tag, kind, content) in [
        // A description of the whole stands on the first page alone.
        (Tag::ImageDescription, Type::ASCII, zero_ended(kept.description()).filter(|_| is_first)),
        (Tag::Software, Type::ASCII, zero_ended(kept.software())),
        (Tag::IccProfile, Type::UNDEFINED, profile),
    ] {
        if let Some(content) = content {
            let entry = directory.write_entry_bytes(kind, &content)?;
            directory.extend_from(&Directory::from_iter([(tag, entry)]));
        }
    }
    Ok(())
}
