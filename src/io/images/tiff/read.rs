//! TIFF files as pictures: pages, stacks, and ImageJ's stacks with a single directory.

use crate::io::images::depth::Depth;
use crate::io::images::jpeg::Outline;
use crate::io::images::metadata::Kept;
use crate::io::images::raster::{Checked, Raster};
use crate::io::images::tiff::colour;
use crate::io::images::tiff::directory::{Directory, Order, tag};
use crate::io::images::tiff::page::{self, Colour, Kind};
use crate::io::images::tiff::samples::{Fields, Region};
use std::io::Cursor;
use tiff::TiffError;
use tiff::decoder::{Decoder, Limits};

/// Reads all pages of a file. The bytes of its directories are changed on the way.
pub(crate) fn read(mut bytes: Vec<u8>) -> Checked<Raster> {
    let order = Order::of(&bytes).ok_or("not a TIFF file")?;
    let mut pages = Directory::all(&bytes, order)?;
    let all = pages.len();
    if pages.iter().any(|page| !page::is_secondary(page, &bytes)) {
        pages.retain(|page| !page::is_secondary(page, &bytes));
    }
    let first = pages.first().ok_or("holds no picture")?;
    let skipped = all - pages.len() + first.count(tag::SUB_DIRECTORIES);
    let kind = Kind::of(first, &bytes)?;
    let mut kept = page::kept(first, &bytes, order, &kind);
    for (index, page) in pages.iter().enumerate().skip(1) {
        let other = Kind::of(page, &bytes).map_err(|what| format!("page {}: {what}", index + 1))?;
        kind.check_same(&other, index + 1)?;
        kept.is_lossy |= page.number(&bytes, tag::COMPRESSION) == Some(7);
    }
    let stack = if pages.len() == 1 { stack(first, &bytes, &kind, &kept)? } else { None };
    let count = stack.map_or(pages.len(), |stack| stack.slices);
    kind.claim(count).check(bytes.len())?;

    let (mut planes, mut alpha, mut depth) = (Vec::new(), None, kind.depth);
    for index in 0..count {
        let mut fields = Fields::new(&kind, index + 1);
        let at_page = |what| if count == 1 { what } else { format!("page {}: {what}", index + 1) };
        match stack {
            None => unpack(&mut bytes, order, &pages[index], &kind, &mut fields).map_err(at_page)?,
            Some(Stack { start, bytes: size, .. }) => {
                fields.put_plain(&bytes[start + index * size..][..size], order.is_little)?;
            }
        }
        let cells = kind.width * kind.height;
        match kind.colour {
            Colour::Grey | Colour::Rgb => {}
            Colour::Cmyk => colour::from_inks(&mut fields.planes, cells),
            Colour::YCbCr => colour::from_differences(&mut fields.planes, cells),
            Colour::Palette => {
                let table = pages[index.min(pages.len() - 1)].numbers(&bytes, tag::COLOUR_MAP);
                let needed = colour::from_palette(&mut fields.planes, cells, &table, kind.bits)?;
                depth = if index > 0 && depth != needed { Depth::Sixteen } else { needed };
            }
        }
        if planes.is_empty() {
            (planes, alpha) = (fields.planes, fields.alpha);
        } else {
            planes.append(&mut fields.planes);
            alpha.iter_mut().zip(&mut fields.alpha).for_each(|(all, new)| all.append(new));
        }
    }
    let mut notes = Vec::new();
    if skipped > 0 {
        let pictures =
            if skipped == 1 { "picture that is a smaller copy" } else { "pictures that are smaller copies" };
        notes.push(format!("{skipped} {pictures} or a mask of the page before: left out"));
    }
    let turned = (5..=8).contains(&kind.orientation);
    let (nx, ny) = if turned { (kind.height, kind.width) } else { (kind.width, kind.height) };
    let is_rgb = kind.colour != Colour::Grey;
    Ok(Raster { nx, ny, pages: count, planes, is_rgb, depth, alpha, kept, notes })
}

/// ImageJ's way to write more slices than 4 GB of directories could tell of: they follow the first one.
#[derive(Clone, Copy)]
struct Stack {
    slices: usize,
    /// Where the first slice begins.
    start: usize,
    /// Bytes of a slice.
    bytes: usize,
}

fn stack(page: &Directory, bytes: &[u8], kind: &Kind, kept: &Kept) -> Checked<Option<Stack>> {
    let text = kept.description.as_deref().filter(|text| text.starts_with(b"ImageJ="));
    let images = text.into_iter().flat_map(|text| text.split(|&byte| byte == b'\n' || byte == b'\r'));
    let images =
        images.filter_map(|line| std::str::from_utf8(line.strip_prefix(b"images=")?).ok()?.parse().ok());
    let Some(slices) = images.take(1).find(|&slices: &usize| slices > 1) else { return Ok(None) };
    let plain = page.number(bytes, tag::COMPRESSION).unwrap_or(1) == 1;
    let starts = page.numbers(bytes, tag::STRIP_OFFSETS);
    let lengths = page.numbers(bytes, tag::STRIP_BYTES);
    let follow =
        starts.windows(2).zip(&lengths).all(|(pair, &length)| pair[0].checked_add(length) == Some(pair[1]));
    let one_plane = kind.samples == 1 || page.number(bytes, tag::PLANAR).unwrap_or(1) == 1;
    if !plain || !follow || !one_plane || kind.bits < 8 {
        return Ok(None);
    }
    let size = [kind.width, kind.height, kind.samples, kind.depth.bytes()];
    let size = size.iter().try_fold(1usize, |size, &n| size.checked_mul(n));
    let start = starts.first().and_then(|&start| usize::try_from(start).ok());
    let (Some(size), Some(start)) = (size.filter(|&size| size > 0), start) else { return Ok(None) };
    let there = bytes.len().saturating_sub(start) / size;
    if there < slices {
        return Err(format!(
            "ImageJ's description tells of {slices} images, and the file ends after {there}: it is cut off; get \
             a whole copy, or save it without the description"
        ));
    }
    Ok(Some(Stack { slices, start, bytes: size }))
}

/// How many bytes a byte of a strip stands for at most; none for packings that are not read.
fn most_unpacked(compression: u64) -> Checked<u64> {
    let name = match compression {
        1 => return Ok(1),
        4 => return Ok(u64::MAX), // a bit may stand for a row of any length
        5 => return Ok(1400),
        7 | 8 | 32946 => return Ok(1040),
        32773 => return Ok(65),
        2 | 3 => "an old fax scheme",
        6 => "an old JPEG scheme",
        34712 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        _ => "an unknown scheme",
    };
    Err(format!("packed with {name} (number {compression}), which is not read; save it with LZW or deflate"))
}

/// Where the strips or tiles of a page are, as far as that can be believed.
struct Chunks {
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    width: usize,
    height: usize,
    /// Chunks beside each other, and in one plane.
    across: usize,
    per_plane: usize,
}

impl Chunks {
    fn of(page: &Directory, bytes: &[u8], kind: &Kind) -> Checked<Self> {
        let size = |tag: u16| page.number(bytes, tag).and_then(|n| u32::try_from(n).ok()).map(|n| n as usize);
        let strange = "its strips or tiles do not make up the picture: it is damaged";
        let (offsets, lengths, width, height) = if page.has(tag::TILE_OFFSETS) {
            let (width, height) = size(tag::TILE_WIDTH).zip(size(tag::TILE_HEIGHT)).ok_or(strange)?;
            (tag::TILE_OFFSETS, tag::TILE_BYTES, width, height)
        } else {
            let rows = size(tag::ROWS_PER_STRIP).unwrap_or(kind.height).min(kind.height);
            (tag::STRIP_OFFSETS, tag::STRIP_BYTES, kind.width, rows)
        };
        if width == 0 || height == 0 {
            return Err(strange.into());
        }
        let (offsets, lengths) = (page.numbers(bytes, offsets), page.numbers(bytes, lengths));
        let (across, down) = (kind.width.div_ceil(width), kind.height.div_ceil(height));
        let planes = if page.number(bytes, tag::PLANAR) == Some(2) { kind.samples } else { 1 };
        let per_plane = across.checked_mul(down).ok_or(strange)?;
        let all = per_plane.checked_mul(planes).and_then(|all| u32::try_from(all).ok()).ok_or(strange)?;
        if offsets.len() != all as usize || lengths.len() != all as usize {
            return Err(strange.into());
        }
        Ok(Self { offsets, lengths, width, height, across, per_plane })
    }

    /// Refuses chunks that are not wholly in the file, or too short for what they are to hold.
    fn check(&self, bytes: &[u8], kind: &Kind, compression: u64, samples: usize) -> Checked<()> {
        let most = most_unpacked(compression)?;
        let row = (self.width * samples) as u64 * u64::from(kind.bits);
        for (index, (&start, &length)) in self.offsets.iter().zip(&self.lengths).enumerate() {
            let top = index % self.per_plane / self.across * self.height;
            let rows = self.height.min(kind.height - top) as u64;
            let needed = row.div_ceil(8).saturating_mul(rows);
            // A lone strip's length is wrong in some files, and not needed where nothing is packed.
            let length = if compression == 1 { needed } else { length };
            let inside = start.checked_add(length).is_some_and(|end| end <= bytes.len() as u64);
            if !inside {
                let (number, all) = (index + 1, self.offsets.len());
                return Err(format!(
                    "part {number} of {all} lies beyond the end of the file: it is cut off; get a whole copy"
                ));
            }
            if needed > most.saturating_mul(length).saturating_add(1024) {
                return Err(format!("{length} bytes claim to hold {needed} bytes of samples: it is damaged"));
            }
            if compression == 7 {
                let outline = Outline::of(&bytes[start as usize..(start + length) as usize]);
                if !outline.is_whole {
                    return Err("the picture ends early: the file is cut off; get a whole copy".into());
                }
                let (width, height) = outline.size.unwrap_or((0, 0));
                if width * height > 4 * (self.width + 16) * (self.height + 16) {
                    return Err(format!("a part of it claims {width}x{height} pixels: it is damaged"));
                }
            }
        }
        Ok(())
    }
}

fn unpack(bytes: &mut [u8], order: Order, page: &Directory, kind: &Kind, fields: &mut Fields) -> Checked<()> {
    let chunks = Chunks::of(page, bytes, kind)?;
    let compression = page.number(bytes, tag::COMPRESSION).unwrap_or(1);
    let samples = if chunks.offsets.len() == chunks.per_plane { kind.samples } else { 1 };
    chunks.check(bytes, kind, compression, samples)?;
    // The decoder shall see this page first, as one of plain numbers.
    order.set_first(bytes, page.offset);
    page.put(bytes, tag::PHOTOMETRIC, 1);
    let damaged = |error: TiffError| {
        let words: Vec<String> = error.to_string().split_whitespace().map(str::to_owned).collect();
        format!("cannot be read as a picture: {}; it is damaged or ends early", words.join(" "))
    };
    let decoder = Decoder::new(Cursor::new(&*bytes)).map_err(damaged)?;
    let mut decoder = decoder.with_limits(Limits::unlimited()); // what it may unpack is known by now
    for index in 0..chunks.offsets.len() {
        let place = index % chunks.per_plane;
        let (width, rows) = decoder.chunk_data_dimensions(index as u32);
        let region = Region {
            x: place % chunks.across * chunks.width,
            y: place / chunks.across * chunks.height,
            width: width as usize,
            rows: rows as usize,
            first: if samples == kind.samples { 0 } else { index / chunks.per_plane },
            samples,
        };
        let unpacked = decoder.read_chunk(index as u32).map_err(damaged)?;
        fields.put(&unpacked, region)?;
    }
    Ok(())
}
