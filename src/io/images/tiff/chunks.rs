//! The strips and tiles that a page of a TIFF file is cut into.

use crate::io::images::jpeg::Outline;
use crate::io::images::raster::Checked;
use crate::io::images::tiff::directory::{Directory, tag};
use crate::io::images::tiff::page::Kind;

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
pub(super) struct Chunks {
    /// Whether they have all rows, also those below the picture.
    are_tiles: bool,
    pub(super) offsets: Vec<u64>,
    lengths: Vec<u64>,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Chunks beside each other, and in one plane.
    pub(super) across: usize,
    pub(super) per_plane: usize,
}

impl Chunks {
    pub(super) fn of(page: &Directory, bytes: &[u8], kind: &Kind) -> Checked<Self> {
        let size = |tag: u16| page.number(bytes, tag).and_then(|n| u32::try_from(n).ok()).map(|n| n as usize);
        let strange = "its strips or tiles do not make up the picture: it is damaged";
        let are_tiles = page.has(tag::TILE_OFFSETS);
        let (offsets, lengths, width, height) = if are_tiles {
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
        Ok(Self { are_tiles, offsets, lengths, width, height, across, per_plane })
    }

    /// Turns every byte around, for files that begin at a byte's lowest bit.
    pub(super) fn reverse_bits(&self, bytes: &mut [u8]) {
        for (&start, &length) in self.offsets.iter().zip(&self.lengths) {
            let chunk = bytes.get_mut(start as usize..(start + length) as usize);
            chunk.into_iter().flatten().for_each(|byte| *byte = byte.reverse_bits());
        }
    }

    /// Refuses chunks that are not wholly in the file, or too short for what they are to hold.
    pub(super) fn check(
        &mut self,
        bytes: &[u8],
        kind: &Kind,
        compression: u64,
        samples: usize,
    ) -> Checked<()> {
        let most = most_unpacked(compression)?;
        let row = (self.width * samples) as u64 * u64::from(kind.bits);
        for index in 0..self.offsets.len() {
            let top = index % self.per_plane / self.across * self.height;
            let rows = if self.are_tiles { self.height } else { self.height.min(kind.height - top) };
            let needed = row.div_ceil(8).saturating_mul(rows as u64);
            // A lone strip's length is wrong in some files, and not needed where nothing is packed.
            if compression == 1 {
                self.lengths[index] = needed;
            }
            let (start, length) = (self.offsets[index], self.lengths[index]);
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

#[cfg(test)]
mod tests {
    use crate::io::images::tiff::read::read;

    #[test]
    fn big_endian_planes_in_tiles_are_read() {
        // Two planes of 5 x 3 pixels in tiles of 16 x 16, by hand.
        let mut bytes = b"MM\0\x2a\0\0\0\x08".to_vec();
        let tags: [(u16, u16, u32, u32); 11] = [
            (256, 3, 1, 5 << 16),
            (257, 3, 1, 3 << 16),
            (258, 3, 1, 16 << 16),
            (259, 3, 1, 1 << 16),
            (262, 3, 1, 1 << 16),
            (277, 3, 1, 2 << 16),
            (284, 3, 1, 2 << 16),
            (322, 3, 1, 16 << 16),
            (323, 3, 1, 16 << 16),
            (324, 4, 2, 150),
            (325, 4, 2, 158),
        ];
        bytes.extend((tags.len() as u16).to_be_bytes());
        for (tag, kind, count, value) in tags {
            bytes.extend([tag.to_be_bytes(), kind.to_be_bytes()].concat());
            bytes.extend([count.to_be_bytes(), value.to_be_bytes()].concat());
        }
        bytes.extend([0; 4]);
        bytes.resize(150, 0);
        for number in [166u32, 166 + 512, 512, 512] {
            bytes.extend(number.to_be_bytes());
        }
        for plane in 0..2u16 {
            bytes.extend((0..256u16).flat_map(|i| (plane * 1000 + i / 16 * 100 + i % 16).to_be_bytes()));
        }
        let raster = read(bytes.clone()).unwrap();
        for (cell, value) in raster.planes.iter().enumerate() {
            let (plane, x, y) = (cell / 15, cell % 15 / 3, 2 - cell % 3);
            assert_eq!(*value, (plane * 1000 + y * 100 + x) as f64 / 65535.0);
        }
        assert!(!raster.is_rgb);
        bytes.truncate(bytes.len() - 1);
        assert!(read(bytes).unwrap_err().contains("part 2 of 2 lies beyond the end"));
    }
}
