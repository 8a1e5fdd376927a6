//! TIFF files as pictures: pages, stacks, and ImageJ's stacks with a single directory.

use crate::io::images::depth::Depth;
use crate::io::images::metadata::Kept;
use crate::io::images::raster::{Checked, Claim, Raster};
use crate::io::images::tiff::chunks::Chunks;
use crate::io::images::tiff::colour;
use crate::io::images::tiff::directory::{Directory, Order, tag};
use crate::io::images::tiff::page::{self, Colour, Kind};
use crate::io::images::tiff::samples::{Fields, Region};
use std::io::Cursor;
use tiff::TiffError;
use tiff::decoder::{Decoder, Limits};

/// The pages that are read, and how many are left out since they are smaller copies or masks.
fn pages(bytes: &[u8], order: Order) -> Checked<(Vec<Directory>, usize)> {
    let mut pages = Directory::all(bytes, order)?;
    let all = pages.len();
    if pages.iter().any(|page| !page::is_secondary(page, bytes)) {
        pages.retain(|page| !page::is_secondary(page, bytes));
    }
    let first = pages.first().ok_or("holds no picture")?;
    if page::is_secondary(first, bytes) && first.has(tag::SUB_DIRECTORIES) {
        return Err(
            "holds a preview beside a camera's raw picture, which is not read; develop it first".into()
        );
    }
    let skipped = all - pages.len() + first.count(tag::SUB_DIRECTORIES);
    Ok((pages, skipped))
}

/// What a file claims, by its directories.
pub(crate) fn claim(bytes: &[u8]) -> Option<Claim> {
    let order = Order::of(bytes)?;
    let (pages, _) = pages(bytes, order).ok()?;
    let kind = Kind::of(&pages[0], bytes).ok()?;
    let kept = page::kept(&pages[0], bytes, order, &kind);
    let stack = if pages.len() == 1 { stack(&pages[0], bytes, &kind, &kept).ok()? } else { None };
    Some(kind.claim(stack.map_or(pages.len(), |stack| stack.slices)))
}

/// Reads all pages of a file. The bytes of its directories are changed on the way.
pub(crate) fn read(mut bytes: Vec<u8>) -> Checked<Raster> {
    let order = Order::of(&bytes).ok_or("not a TIFF file")?;
    let (pages, skipped) = pages(&bytes, order)?;
    let first = &pages[0];
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
            "ImageJ's description tells of {slices} images, and the file ends after {there}: it is cut off; \
             get a whole copy, or save it without the description"
        ));
    }
    Ok(Some(Stack { slices, start, bytes: size }))
}

fn unpack(bytes: &mut [u8], order: Order, page: &Directory, kind: &Kind, fields: &mut Fields) -> Checked<()> {
    let mut chunks = Chunks::of(page, bytes, kind)?;
    let compression = page.number(bytes, tag::COMPRESSION).unwrap_or(1);
    let samples = if chunks.offsets.len() == chunks.per_plane { kind.samples } else { 1 };
    chunks.check(bytes, kind, compression, samples)?;
    if page.number(bytes, tag::FILL_ORDER) == Some(2) {
        chunks.reverse_bits(bytes);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::images::metadata::{Density, Packing, Unit};
    use crate::io::images::raster::Sheet;
    use crate::io::images::tiff::write::write;
    use tiff::encoder::colortype::{self, ColorType};
    use tiff::encoder::{TiffEncoder, TiffKindStandard, TiffValue};
    use tiff::tags::Tag;

    const NX: usize = 5;
    const NY: usize = 3;

    fn stored<C: ColorType>(samples: &[C::Inner], tags: &[(Tag, &[u16])]) -> Vec<u8>
    where
        [C::Inner]: TiffValue,
    {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<C>(NX as u32, NY as u32).unwrap();
        image.rows_per_strip(2).unwrap();
        for (tag, values) in tags {
            image.encoder().write_tag(*tag, *values).unwrap();
        }
        image.write_data(samples).unwrap();
        bytes.into_inner()
    }

    /// The samples in the file's order again.
    fn in_rows(raster: &Raster) -> Vec<f64> {
        let channels = raster.planes.len() / (raster.nx * raster.ny);
        let cell = |pixel: usize| pixel % raster.nx * raster.ny + (raster.ny - 1 - pixel / raster.nx);
        let sample = |i: usize| raster.planes[i % channels * raster.nx * raster.ny + cell(i / channels)];
        (0..raster.planes.len()).map(sample).collect()
    }

    fn written(raster: &Raster) -> Vec<u8> {
        let Raster { nx, ny, pages, planes, is_rgb, depth, alpha, kept, .. } = raster;
        let alpha = alpha.as_deref();
        let (nx, ny, pages, is_rgb, depth) = (*nx, *ny, *pages, *is_rgb, *depth);
        let mut bytes = Cursor::new(Vec::new());
        write(&Sheet { nx, ny, pages, planes, is_rgb, depth, alpha, kept }, &mut bytes).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_sample_is_read_in_its_own_units_and_written_without_loss() {
        macro_rules! kinds {
            ($($colour:ident, $sample:ty, $depth:ident, $written:ident;)*) => {$(
                let samples: Vec<$sample> =
                    (0..NX * NY).map(|i| (i as f64 * 8.0 - 30.0) as $sample).collect();
                let raster = read(stored::<colortype::$colour>(&samples, &[])).unwrap();
                assert_eq!(raster.depth, Depth::$depth);
                let expected: Vec<f64> =
                    samples.iter().map(|&v| v as f64 / raster.depth.white()).collect();
                assert_eq!(in_rows(&raster), expected);
                let again = read(written(&raster)).unwrap();
                assert_eq!((again.depth, again.planes), (Depth::$written, raster.planes));
            )*};
        }
        kinds! {
            Gray8, u8, Eight, Eight;
            Gray16, u16, Sixteen, Sixteen;
            Gray32, u32, Uint32, Float64;
            Gray64, u64, Uint64, Float64;
            GrayI8, i8, Int8, Float32;
            GrayI16, i16, Int16, Float32;
            GrayI32, i32, Int32, Float64;
            GrayI64, i64, Int64, Float64;
            Gray32Float, f32, Float32, Float32;
            Gray64Float, f64, Float64, Float64;
        }
    }

    #[test]
    fn white_as_zero_is_turned_and_written_so_again() {
        let samples: Vec<u8> = (0..15).collect();
        let white_is_zero: (Tag, &[u16]) = (Tag::PhotometricInterpretation, &[0]);
        let mut raster = read(stored::<colortype::Gray8>(&samples, &[white_is_zero])).unwrap();
        assert_eq!(in_rows(&raster)[..2], [1.0, 1.0 - 1.0 / 255.0]);
        let bytes = written(&raster);
        let again = read(bytes.clone()).unwrap();
        assert_eq!(again.planes, raster.planes);
        raster.kept.white_is_zero = false;
        assert_ne!(bytes, written(&raster));
        // Values in their own units stay as they are.
        let samples: Vec<f32> = samples.iter().map(|&v| v.into()).collect();
        let raster = read(stored::<colortype::Gray32Float>(&samples, &[white_is_zero])).unwrap();
        assert_eq!(in_rows(&raster)[1], 1.0);
    }

    #[test]
    fn every_packing_and_big_tiff_come_back_as_they_are() {
        let samples: Vec<u16> = (0..3 * 15).map(|i| i * 1000).collect();
        let mut raster = read(stored::<colortype::RGB16>(&samples, &[])).unwrap();
        raster.kept.density = Density::new((72, 1), (300, 7), Unit::Centimetre);
        raster.kept.description = Some(b"5 \xb5m".to_vec());
        raster.kept.software = Some(b"scope".to_vec());
        for packing in [Packing::None, Packing::Lzw, Packing::Deflate, Packing::PackBits] {
            for is_big in [false, true] {
                (raster.kept.packing, raster.kept.is_big) = (packing, is_big);
                let again = read(written(&raster)).unwrap();
                assert_eq!((&again.planes, &again.kept), (&raster.planes, &raster.kept));
                assert!(again.is_rgb);
            }
        }
    }

    #[test]
    fn channels_alpha_and_pages_keep_their_places() {
        let planes: Vec<f64> = (0..2 * 4 * 15).map(|i| f64::from(i) / 255.0).collect();
        let alpha: Vec<f32> = (0..2 * 15).map(|i| i as f32).collect();
        let kept = Kept { is_premultiplied: true, ..Kept::default() };
        let depth = Depth::Eight;
        for is_rgb in [false, true] {
            let (planes, alpha) = (planes.clone(), Some(alpha.clone()));
            let (kept, notes) = (kept.clone(), Vec::new());
            let raster = Raster { nx: NX, ny: NY, pages: 2, planes, is_rgb, depth, alpha, kept, notes };
            let again = read(written(&raster)).unwrap();
            assert_eq!((again.pages, again.is_rgb), (2, is_rgb));
            assert_eq!((again.planes, again.alpha), (raster.planes, raster.alpha));
            assert!(again.kept.is_premultiplied);
        }
    }

    /// A file with these pages of 5 × 3 grey pixels, or half of it, the second of them with a tag.
    fn pages(second: Option<(Tag, u32)>, is_smaller: bool) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::<_, TiffKindStandard>::new(&mut bytes).unwrap();
        encoder.write_image::<colortype::Gray8>(5, 3, &[10; 15]).unwrap();
        let (width, height) = if is_smaller { (2, 1) } else { (5, 3) };
        let mut image = encoder.new_image::<colortype::Gray8>(width, height).unwrap();
        if let Some((tag, value)) = second {
            image.encoder().write_tag(tag, value).unwrap();
        }
        image.write_data(&vec![20; (width * height) as usize]).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn equal_pages_are_a_stack_and_smaller_copies_are_left_out() {
        let stack = read(pages(None, false)).unwrap();
        assert_eq!((stack.pages, stack.planes[15]), (2, 20.0 / 255.0));
        assert!(stack.notes.is_empty());
        let message = read(pages(None, true)).unwrap_err();
        assert!(message.contains("page 2 has 2x1 pixels, and page 1 has 5x3 pixels"), "{message}");
        let message = read(pages(Some((Tag::Orientation, 3)), false)).unwrap_err();
        assert!(message.contains("page 2"), "{message}");
        let alone = read(pages(Some((Tag::NewSubfileType, 1)), true)).unwrap();
        assert_eq!((alone.pages, alone.planes.len()), (1, 15));
        assert!(alone.notes[0].contains("smaller copy"), "{:?}", alone.notes);
        // The last page points to the first one again.
        let mut circle = pages(None, false);
        let first = circle[4..8].to_vec();
        let order = Order::of(&circle).unwrap();
        let last = Directory::all(&circle, order).unwrap()[1].offset;
        let tags = usize::from(u16::from_ne_bytes(circle[last..last + 2].try_into().unwrap()));
        circle[last + 2 + 12 * tags..][..4].copy_from_slice(&first);
        assert!(read(circle).unwrap_err().contains("circle"));
    }

    #[test]
    fn slices_of_imagej_without_directories_are_found() {
        let mut raster = read(pages(None, false)).unwrap();
        raster.kept.description = Some(b"ImageJ=1.53\nimages=3\nslices=3\n".to_vec());
        raster.pages = 1;
        raster.planes.truncate(15);
        let mut bytes = written(&raster);
        // The strip goes to the end, where two slices more follow it.
        let order = Order::of(&bytes).unwrap();
        let page = &Directory::all(&bytes, order).unwrap()[0];
        let start = bytes.len() as u64;
        page.put(&mut bytes, tag::STRIP_OFFSETS, start);
        bytes.extend([1; 15]);
        bytes.extend([2; 15]);
        bytes.extend([3; 15]);
        let stack = read(bytes.clone()).unwrap();
        assert_eq!((stack.pages, stack.planes[0], stack.planes[30]), (3, 1.0 / 255.0, 3.0 / 255.0));
        let contiguous = written(&stack);
        let pages = Directory::all(&contiguous, order).unwrap();
        let starts: Vec<_> = pages.iter().map(|page| page.number(&contiguous, tag::STRIP_OFFSETS)).collect();
        assert_eq!(starts, [8, 23, 38].map(Some), "ImageJ looks for slices behind each other");
        let again = read(contiguous).unwrap();
        assert_eq!((again.pages, again.planes), (3, stack.planes));
        assert_eq!(again.kept.description, stack.kept.description);
        bytes.truncate(bytes.len() - 1);
        assert!(read(bytes).unwrap_err().contains("the file ends after 2"));
    }

    #[test]
    fn bytes_that_begin_at_their_lowest_bit_are_turned_around() {
        let samples: Vec<u8> = (0..15).map(|i: u8| (i * 16).reverse_bits()).collect();
        let raster = read(stored::<colortype::Gray8>(&samples, &[(Tag::FillOrder, &[2])])).unwrap();
        assert_eq!(in_rows(&raster)[3], 48.0 / 255.0);
    }

    #[test]
    fn previews_are_not_taken_for_raw_pictures() {
        let raw: [(Tag, &[u16]); 2] = [(Tag::NewSubfileType, &[1]), (Tag::SubIfd, &[8])];
        assert!(read(stored::<colortype::Gray8>(&[7; 15], &raw)).unwrap_err().contains("raw picture"));
        assert!(read(stored::<colortype::Gray8>(&[7; 15], &raw[..1])).is_ok());
    }

    #[test]
    fn what_is_not_finite_cut_off_or_unknown_is_refused_in_words() {
        let mut samples = vec![1.0f32; 15];
        samples[7] = f32::NAN;
        let message = read(stored::<colortype::Gray32Float>(&samples, &[])).unwrap_err();
        assert!(
            message.contains("column 2, row 1 of page 1") && message.contains("not a number"),
            "{message}"
        );
        let whole = stored::<colortype::Gray8>(&[7; 15], &[]);
        for length in 0..whole.len() {
            assert!(read(whole[..length].to_vec()).is_err(), "{length}");
        }
        let zstd = stored::<colortype::Gray8>(&[7; 15], &[(Tag::Compression, &[50000])]);
        assert!(read(zstd).unwrap_err().contains("Zstandard"));
        let lab = stored::<colortype::Gray8>(&[7; 15], &[(Tag::PhotometricInterpretation, &[8])]);
        assert!(read(lab).unwrap_err().contains("colour space (number 8)"));
    }
}
