//! The samples of a page, from the order of the file into fields.

use crate::io::images::depth::Depth;
use crate::io::images::raster::{BLOCK, Cells, Checked};
use crate::io::images::tiff::page::{Colour, Kind};
use half::f16;
use tiff::decoder::DecodingResult;

/// The fields of one page while they are filled.
pub(super) struct Fields {
    kind: Kind,
    cells: Cells,
    /// The page's number, from 1.
    number: usize,
    /// The sample that is 1 in a field.
    one: f64,
    /// `[samples but for alpha, nx, ny]`.
    pub(super) planes: Vec<f64>,
    pub(super) alpha: Option<Vec<f32>>,
}

/// A rectangle of samples in the order of a file: row by row, the samples of a pixel one after the other.
#[derive(Clone, Copy)]
pub(super) struct Region {
    /// Its left upper corner.
    pub(super) x: usize,
    pub(super) y: usize,
    /// Pixels of a row and rows. What of it lies beyond the picture is left out.
    pub(super) width: usize,
    pub(super) rows: usize,
    /// The first of the samples that are here of a pixel, and how many are.
    pub(super) first: usize,
    pub(super) samples: usize,
}

impl Fields {
    pub(super) fn new(kind: &Kind, number: usize) -> Self {
        let cells = Cells::new(kind.width, kind.height, kind.orientation);
        let count = kind.width * kind.height;
        let one = match (kind.depth, kind.colour) {
            (_, Colour::Palette) => 1.0, // a place in a table
            (Depth::Eight, _) => f64::from((1u32 << kind.bits) - 1),
            (depth, _) => depth.white(),
        };
        Self {
            kind: *kind,
            cells,
            number,
            one,
            planes: vec![0.0; count * (kind.samples - usize::from(kind.alpha.is_some()))],
            alpha: kind.alpha.map(|_| vec![0.0; count]),
        }
    }

    /// Puts what the decoder has unpacked into place.
    pub(super) fn put(&mut self, unpacked: &DecodingResult, region: Region) -> Checked<()> {
        match unpacked {
            DecodingResult::U8(values) if self.kind.bits < 8 => {
                self.spread(&unpacked_bits(values, self.kind.bits, region), region, f64::from)
            }
            DecodingResult::U8(values) => self.spread(values, region, f64::from),
            DecodingResult::U16(values) => self.spread(values, region, f64::from),
            DecodingResult::U32(values) => self.spread(values, region, f64::from),
            DecodingResult::U64(values) => self.spread(values, region, |v| v as f64),
            DecodingResult::F16(values) => self.spread(values, region, f16::to_f64),
            DecodingResult::F32(values) => self.spread(values, region, f64::from),
            DecodingResult::F64(values) => self.spread(values, region, |v| v),
            DecodingResult::I8(values) => self.spread(values, region, f64::from),
            DecodingResult::I16(values) => self.spread(values, region, f64::from),
            DecodingResult::I32(values) => self.spread(values, region, f64::from),
            DecodingResult::I64(values) => self.spread(values, region, |v| v as f64),
        }
    }

    /// Puts a whole page of samples that are not packed into place.
    pub(super) fn put_plain(&mut self, bytes: &[u8], is_little: bool) -> Checked<()> {
        let Kind { width, height, samples, depth, .. } = self.kind;
        let region = Region { x: 0, y: 0, width, rows: height, first: 0, samples };
        macro_rules! plain {
            ($kind:ty, $convert:expr) => {{
                let (values, _) = bytes.as_chunks::<{ size_of::<$kind>() }>();
                let read = if is_little { <$kind>::from_le_bytes } else { <$kind>::from_be_bytes };
                self.spread(values, region, |bytes| $convert(read(bytes)))
            }};
        }
        match depth {
            Depth::Eight => plain!(u8, f64::from),
            Depth::Sixteen => plain!(u16, f64::from),
            Depth::Int8 => plain!(i8, f64::from),
            Depth::Int16 => plain!(i16, f64::from),
            Depth::Int32 => plain!(i32, f64::from),
            Depth::Int64 => plain!(i64, |v| v as f64),
            Depth::Uint32 => plain!(u32, f64::from),
            Depth::Uint64 => plain!(u64, |v| v as f64),
            Depth::Float16 => plain!(f16, f16::to_f64),
            Depth::Float32 => plain!(f32, f64::from),
            Depth::Float64 => plain!(f64, |v| v),
        }
    }

    fn spread<T: Copy>(&mut self, values: &[T], region: Region, value: impl Fn(T) -> f64) -> Checked<()> {
        let Region { x: x0, y: y0, width, rows, first, samples } = region;
        let Kind { depth, white_is_zero, alpha, .. } = self.kind;
        let count = self.kind.width * self.kind.height;
        let is_negative = white_is_zero && depth.is_intensity();
        let (columns, rows) =
            (width.min(self.kind.width.saturating_sub(x0)), rows.min(self.kind.height.saturating_sub(y0)));
        if values.len() < rows * width * samples {
            return Err("it holds fewer samples than pixels: it is damaged or cut off".into());
        }
        let whole = if depth.is_intensity() { depth.white() } else { 1.0 / depth.opaque() };
        let (cells, one) = (self.cells, self.one);
        for top in (0..rows).step_by(BLOCK) {
            let block = top..(top + BLOCK).min(rows);
            for sample in 0..samples {
                let channel = first + sample;
                let is_alpha = alpha == Some(channel);
                let plane = channel - usize::from(alpha.is_some_and(|alpha| alpha < channel));
                let start = if is_alpha { 0 } else { plane * count };
                let mut put = |cell: usize, value: f64| match &mut self.alpha {
                    Some(values) if is_alpha => values[cell] = (value * whole) as f32,
                    _ if is_negative => self.planes[start + cell] = 1.0 - value,
                    _ => self.planes[start + cell] = value,
                };
                for x in 0..columns {
                    for y in block.clone() {
                        let value = value(values[(y * width + x) * samples + sample]);
                        if !value.is_finite() {
                            return Err(self.not_finite(value, x0 + x, y0 + y));
                        }
                        put(cells.of(x0 + x, y0 + y), value / one);
                    }
                }
            }
        }
        Ok(())
    }

    fn not_finite(&self, value: f64, x: usize, y: usize) -> String {
        let what = if value.is_nan() { "not a number" } else { "infinite" };
        let Self { number, .. } = self;
        format!(
            "the sample in column {x}, row {y} of page {number} (from 0 at the top left) is {what}; put a \
             number in its place"
        )
    }
}

/// One byte for every sample of fewer bits. Rows begin at whole bytes.
fn unpacked_bits(packed: &[u8], bits: u32, region: Region) -> Vec<u8> {
    let per_row = region.width * region.samples;
    let row_bytes = (per_row * bits as usize).div_ceil(8);
    let mask = (1u16 << bits) - 1;
    let mut values = Vec::with_capacity(per_row * region.rows);
    for row in packed.chunks(row_bytes.max(1)) {
        let each = row.iter().flat_map(|&byte| {
            (0..8 / bits).map(move |i| (u16::from(byte) >> (8 - bits * (i + 1)) & mask) as u8)
        });
        values.extend(each.take(per_row));
    }
    values
}
