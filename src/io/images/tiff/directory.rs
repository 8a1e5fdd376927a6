//! The directories of tags in a TIFF file, whose bytes nobody vouches for.

use crate::io::images::raster::Checked;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of tags.
pub(super) mod tag {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const SUBFILE_TYPE: u16 = 255;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const DESCRIPTION: u16 = 270;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTES: u16 = 279;
    pub(crate) const X_RESOLUTION: u16 = 282;
    pub(crate) const Y_RESOLUTION: u16 = 283;
    pub(crate) const PLANAR: u16 = 284;
    pub(crate) const RESOLUTION_UNIT: u16 = 296;
    pub(crate) const SOFTWARE: u16 = 305;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const SUB_DIRECTORIES: u16 = 330;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const PROFILE: u16 = 34675;
}

/// How a file's numbers are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) is_little: bool,
    /// Whether offsets have 64 bits.
    pub(super) is_big_tiff: bool,
}

impl Order {
    /// None where these are not the first bytes of a TIFF file.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (is_little, is_big_tiff) = match bytes.first_chunk::<4>()? {
            b"II\x2a\0" => (true, false),
            b"MM\0\x2a" => (false, false),
            b"II\x2b\0" => (true, true),
            b"MM\0\x2b" => (false, true),
            _ => return None,
        };
        Some(Self { is_little, is_big_tiff })
    }

    fn number(self, bytes: &[u8], at: usize, len: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(len)?)?;
        let shift = |n: u64, &byte: &u8| n << 8 | u64::from(byte);
        Some(if self.is_little { bytes.iter().rev().fold(0, shift) } else { bytes.iter().fold(0, shift) })
    }

    /// Where the offset of the first directory stands, and its length in bytes.
    fn first(self) -> (usize, usize) {
        if self.is_big_tiff { (8, 8) } else { (4, 4) }
    }

    /// Makes the directory at `offset` the first one of the file.
    pub(super) fn set_first(self, bytes: &mut [u8], offset: usize) {
        let (at, len) = self.first();
        self.put(bytes, at, len, offset as u64);
    }

    fn put(self, bytes: &mut [u8], at: usize, len: usize, number: u64) {
        let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
        let digits = if self.is_little { &little[..len] } else { &big[8 - len..] };
        if let Some(place) = bytes.get_mut(at..at + len) {
            place.copy_from_slice(digits);
        }
    }
}

/// One directory, whose tags' values all lie within the file.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) offset: usize,
    order: Order,
    entries: BTreeMap<u16, Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: u64,
    count: usize,
    /// Where its values begin.
    at: usize,
}

/// Bytes of a value of every kind that there is.
const WIDTHS: [usize; 19] = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];

impl Directory {
    /// All directories that follow each other.
    pub(super) fn all(bytes: &[u8], order: Order) -> Checked<Vec<Self>> {
        let (at, len) = order.first();
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = order.number(bytes, at, len).ok_or("the file ends early")?;
        while next != 0 {
            if !seen.insert(next) {
                return Err("its pages follow each other in a circle: it is damaged".into());
            }
            let (directory, following) = Self::at(bytes, order, next)?;
            all.push(directory);
            next = following;
        }
        Ok(all)
    }

    fn at(bytes: &[u8], order: Order, offset: u64) -> Checked<(Self, u64)> {
        // Bytes of an offset and a count, and of the number of tags.
        let (wide, few) = if order.is_big_tiff { (8, 8) } else { (4, 2) };
        let beyond = "its directory of tags lies beyond its end: the file is cut off or damaged";
        let offset = usize::try_from(offset).map_err(|_| beyond)?;
        let tags = order.number(bytes, offset, few).and_then(|n| usize::try_from(n).ok()).ok_or(beyond)?;
        let length = 4 + 2 * wide;
        let start = offset + few;
        let end = tags.checked_mul(length).and_then(|all| all.checked_add(start)).ok_or(beyond)?;
        let next = order.number(bytes, end, wide).ok_or(beyond)?;
        let mut entries = BTreeMap::new();
        for at in (start..end).step_by(length) {
            let number = |at: usize, len: usize| order.number(bytes, at, len).ok_or(beyond);
            let (name, kind) = (number(at, 2)?, number(at + 2, 2)?);
            let (count, inline) = (number(at + 4, wide)?, at + 4 + wide);
            let width = usize::try_from(kind).ok().and_then(|kind| WIDTHS.get(kind)).copied().unwrap_or(0);
            let size = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(width);
            if size > bytes.len() {
                return Err("a tag claims more values than the file has bytes: it is damaged".into());
            }
            let place = if size <= wide { inline } else { number(inline, wide)? as usize };
            // What lies beyond the end counts as not being there.
            if width > 0 && place.checked_add(size).is_some_and(|end| end <= bytes.len()) {
                entries.insert(name as u16, Entry { kind, count: count as usize, at: place });
            }
        }
        Ok((Self { offset, order, entries }, next))
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.entries.contains_key(&tag)
    }

    /// How many values a tag has.
    pub(super) fn count(&self, tag: u16) -> usize {
        self.entries.get(&tag).map_or(0, |entry| entry.count)
    }

    /// The unsigned integers of a tag; none where it is missing or of another kind.
    pub(super) fn numbers(&self, bytes: &[u8], tag: u16) -> Vec<u64> {
        let Some(&Entry { kind, count, at }) = self.entries.get(&tag) else { return Vec::new() };
        let width = match kind {
            1 | 3 | 4 | 13 | 16 | 18 => WIDTHS[kind as usize],
            _ => return Vec::new(),
        };
        (0..count).filter_map(|i| self.order.number(bytes, at + i * width, width)).collect()
    }

    /// The first integer of a tag.
    pub(super) fn number(&self, bytes: &[u8], tag: u16) -> Option<u64> {
        self.numbers(bytes, tag).first().copied()
    }

    /// The bytes of a tag of bytes or characters.
    pub(super) fn bytes<'a>(&self, bytes: &'a [u8], tag: u16) -> Option<&'a [u8]> {
        let entry = self.entries.get(&tag).filter(|entry| [1, 2, 7].contains(&entry.kind))?;
        bytes.get(entry.at..entry.at + entry.count)
    }

    /// A text, up to the zero behind it.
    pub(super) fn text(&self, bytes: &[u8], tag: u16) -> Option<Vec<u8>> {
        let text = self.bytes(bytes, tag)?.split(|&byte| byte == 0).next()?;
        (!text.is_empty()).then(|| text.to_vec())
    }

    /// A fraction.
    pub(super) fn fraction(&self, bytes: &[u8], tag: u16) -> Option<(u32, u32)> {
        let entry = self.entries.get(&tag).filter(|entry| entry.kind == 5 && entry.count > 0)?;
        let number = |at| self.order.number(bytes, at, 4).map(|n| n as u32);
        Some((number(entry.at)?, number(entry.at + 4)?))
    }

    /// Writes a number into the place of a tag's first value.
    pub(super) fn put(&self, bytes: &mut [u8], tag: u16, number: u64) {
        if let Some(entry) = self.entries.get(&tag) {
            self.order.put(bytes, entry.at, WIDTHS[entry.kind as usize], number);
        }
    }
}
