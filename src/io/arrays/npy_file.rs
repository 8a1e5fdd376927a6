//! NumPy's format through npyz. That takes a header at its word: it asks for all the memory that a header
//! claims, nests calls as deep as the header nests brackets, multiplies the axes without looking for an
//! overflow, and panics at a type of one letter that is not ASCII. So every header is looked at before npyz
//! reads it.

use crate::io::arrays::fields::{FieldData, Fields};
use crate::io::{atomic, contents, memory};
use crate::{Error, Result};
use npyz::{AutoSerialize, DType, Deserialize, NpyFile, NpyHeader, Order, WriterBuilder};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// What a .npy file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is parsed, in bytes. `numpy.save` writes 118 for a plain array.
const MAX_HEADER: usize = 10_000;

/// A reason, to which the caller adds the path.
type Checked<T> = std::result::Result<T, String>;

pub(crate) fn read(path: &Path, copies: u64) -> Result<Fields> {
    let opened = open(path)?;
    opened
        .check_room(copies, memory::available())
        .and_then(|()| opened.fields())
        .map_err(|what| Error::file(path, what))
}

pub(crate) fn shape(path: &Path) -> Result<[usize; 3]> {
    open(path).map(|opened| opened.shape)
}

pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Fields> {
    let opened = Opened::new(bytes, bytes.len() as u64).and_then(Opened::fields);
    opened.map_err(|what| Error::file(path, what))
}

pub(crate) fn write(path: &Path, fields: &Fields) -> Result<()> {
    check(fields)?;
    atomic::write(path, |out| encode(fields, out))
}

pub(crate) fn to_bytes(fields: &Fields) -> Result<Vec<u8>> {
    check(fields)?;
    let mut bytes = Vec::new();
    encode(fields, &mut bytes).map_err(|e| Error::usage(format!("the array cannot be encoded: {e}")))?;
    Ok(bytes)
}

/// Refuses a shape that does not match the amount of data.
fn check(fields: &Fields) -> Result<()> {
    let [batch, nx, ny] = fields.shape;
    let count = match &fields.data {
        FieldData::F32(values) => values.len(),
        FieldData::F64(values) => values.len(),
    };
    let expected = batch.checked_mul(nx).and_then(|n| n.checked_mul(ny));
    if expected != Some(count) || (fields.rank2 && batch != 1) {
        let rank = if fields.rank2 { 2 } else { 3 };
        let shape = fields.shape;
        return Err(Error::usage(format!("{count} numbers cannot be written as {shape:?} with rank {rank}")));
    }
    Ok(())
}

fn encode(fields: &Fields, out: &mut dyn Write) -> io::Result<()> {
    let axes = fields.shape.map(|axis| axis as u64);
    let axes = if fields.rank2 { &axes[1..] } else { &axes[..] };
    match &fields.data {
        FieldData::F32(values) => write_numbers(out, axes, "<f4", values),
        FieldData::F64(values) => write_numbers(out, axes, "<f8", values),
    }
}

fn write_numbers<T: AutoSerialize + Copy>(
    out: &mut dyn Write,
    axes: &[u64],
    dtype: &str,
    values: &[T],
) -> io::Result<()> {
    let dtype = DType::new_scalar(dtype.parse().map_err(io::Error::other)?);
    let mut writer = npyz::WriteOptions::new().dtype(dtype).shape(axes).writer(out).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

/// A file at the start of its numbers, of which there are as many as its header says.
struct Opened<R> {
    header: NpyHeader,
    file: R,
    /// `[batch, x, y]`
    shape: [usize; 3],
    /// Without a batch axis.
    rank2: bool,
    /// 64-bit floats, else 32-bit ones.
    is_wide: bool,
    count: usize,
}

fn open(path: &Path) -> Result<Opened<BufReader<File>>> {
    let facts = path.metadata().map_err(Error::io(path, "cannot read"))?;
    if !facts.is_file() {
        // Opening a pipe would wait for who writes to it.
        return Err(Error::file(path, "not a regular file; name a .npy file"));
    }
    let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let file = BufReader::with_capacity(1 << 16, file);
    Opened::new(file, facts.len()).map_err(|what| match contents::describe(path) {
        Some(found) if found != contents::ARRAY => {
            Error::file(path, format!("{found}, not a .npy file; name one, such as numpy.save writes"))
        }
        _ => Error::file(path, what),
    })
}

impl<R: Read> Opened<R> {
    /// Reads the header of a file of `length` bytes.
    fn new(mut file: R, length: u64) -> Checked<Self> {
        let bytes = header_bytes(&mut file)?;
        let header = NpyHeader::from_reader(&bytes[..]).map_err(|error| {
            // Where a header is no Python, npyz also draws where it stopped, on several lines.
            let reason = error.to_string();
            let reason = reason.split(" -->").next().unwrap_or_default().trim_end_matches([':', ' ']);
            format!("its header cannot be read ({reason}); write it with numpy.save")
        })?;
        let is_wide = match header.dtype().descr().as_str() {
            "'<f4'" | "'>f4'" => false,
            "'<f8'" | "'>f8'" => true,
            other => {
                return Err(format!(
                    "holds elements of type {other}; save it as numpy.float32 or numpy.float64"
                ));
            }
        };
        let axes = header.shape();
        let (shape, rank2) = match *axes {
            [nx, ny] => ([1, nx, ny], true),
            [batch, nx, ny] => ([batch, nx, ny], false),
            _ => {
                return Err(format!("has {} axes; give it two, [x, y], or three, [batch, x, y]", axes.len()));
            }
        };
        if shape.contains(&0) {
            return Err(format!("is empty: its shape is {axes:?}"));
        }
        let available = length.saturating_sub(bytes.len() as u64);
        let count = checked_count(shape, is_wide, available)?;
        let shape = shape.map(|axis| axis as usize); // none is longer than their product, which fits
        Ok(Self { header, file, shape, rank2, is_wide, count })
    }

    fn fields(self) -> Checked<Fields> {
        let (shape, rank2) = (self.shape, self.rank2);
        let data =
            if self.is_wide { FieldData::F64(self.numbers()?) } else { FieldData::F32(self.numbers()?) };
        Ok(Fields { shape, data, rank2 })
    }

    /// Refuses what does not fit into memory beside as many copies of it in 64 bits.
    fn check_room(&self, copies: u64, free: Option<u64>) -> Checked<()> {
        let width = if self.is_wide { 8 } else { 4 };
        // Numbers in Fortran's order are put into another array.
        let each = 8 * copies + if self.header.order() == Order::Fortran { 2 * width } else { width };
        let needed = each.saturating_mul(self.count as u64);
        let Some(free) = free.filter(|&free| needed > free) else { return Ok(()) };
        let [batch, nx, ny] = self.shape;
        let fits = free / (each * (nx * ny) as u64);
        let fits =
            if fits > 0 && batch > 1 { format!(", about {fits} of them would fit") } else { String::new() };
        let (needed, free) = (memory::words(needed), memory::words(free));
        Err(format!(
            "its {batch} fields of {nx}x{ny} need {needed} of memory, {free} are available{fits}: use a part \
             of them"
        ))
    }

    /// The numbers in C order, all of them finite.
    fn numbers<T: Deserialize + Copy + Into<f64>>(self) -> Checked<Vec<T>> {
        let Self { header, file, shape: [batch, nx, ny], rank2, count, .. } = self;
        let index = |i: usize| [i / (nx * ny), i / ny % nx, i % ny];
        let order = header.order();
        let stored = NpyFile::with_header(header, file).data::<T>().map_err(|error| error.to_string())?;
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| "does not fit into memory; use a part of it")?;
        for value in stored {
            values.push(value.map_err(|error| format!("cannot read the data: {error}"))?);
        }
        if order == Order::Fortran {
            let stored_at = |[b, x, y]: [usize; 3]| (y * nx + x) * batch + b;
            values = (0..count).map(|i| values[stored_at(index(i))]).collect(); // reckoned with above
        }
        if let Some(i) = values.iter().position(|&value| !value.into().is_finite()) {
            let [b, x, y] = index(i);
            let at = if rank2 { format!("[{x}, {y}]") } else { format!("[{b}, {x}, {y}]") };
            return Err(format!("element {at} is {}; replace it by a number", values[i].into()));
        }
        Ok(values)
    }
}

/// All bytes before the numbers, once their text is known to be short and plain.
fn header_bytes(file: &mut impl Read) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut take = |count: usize, bytes: &mut Vec<u8>| -> Checked<bool> {
        let taken = file.by_ref().take(count as u64).read_to_end(bytes);
        Ok(taken.map_err(|error| error.to_string())? == count)
    };
    let cut_short = || "not a whole .npy file: its header is cut short; write it again".to_owned();
    let is_long = take(8, &mut bytes)?;
    if !MAGIC.starts_with(&bytes) && !bytes.starts_with(MAGIC) {
        return Err("not a .npy file; name one, such as numpy.save writes".into());
    }
    let width = match bytes.get(6) {
        Some(1) => 2,
        Some(2 | 3) => 4,
        Some(version) => {
            return Err(format!("version {version} of the .npy format is unknown; write it with numpy.save"));
        }
        None => return Err(cut_short()),
    };
    if !is_long || !take(width, &mut bytes)? {
        return Err(cut_short());
    }
    let length = bytes[8..].iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes is not that of a plain array of floats"));
    }
    if !take(length, &mut bytes)? {
        return Err(cut_short());
    }
    if !is_plain(&bytes[8 + width..]) {
        return Err(
            "its header is not that of a plain array; save it as numpy.float32 or numpy.float64".into()
        );
    }
    Ok(bytes)
}

/// Whether a header nests little, holds nothing but ASCII, and has axes that cannot overflow 64 bits: decimal
/// numbers of 19 digits together have a product below 10^19. A plain array has two brackets, no escape
/// sequence, and digits in its type and its shape alone.
fn is_plain(text: &[u8]) -> bool {
    let count = |wanted: fn(&u8) -> bool| text.iter().filter(|byte| wanted(byte)).count();
    let is_decimal = !text.windows(2).any(|pair| pair[0] == b'0' && b"xXoObB".contains(&pair[1]));
    text.is_ascii()
        && !text.contains(&b'\\')
        && count(|byte| b"([{".contains(byte)) <= 20
        && count(u8::is_ascii_digit) <= 19
        && is_decimal
}

/// The number of elements, if they fill exactly the `available` bytes after the header.
fn checked_count(shape: [u64; 3], is_wide: bool, available: u64) -> Checked<usize> {
    let width = if is_wide { 8 } else { 4 };
    let count = shape.iter().try_fold(1u64, |n, &axis| n.checked_mul(axis));
    let fits = |&count: &u64| count.checked_mul(width) == Some(available);
    count.filter(fits).and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
        format!(
            "its shape {shape:?} with {width} bytes a number does not match the {available} bytes of data \
             that follow; the file is cut short or damaged"
        )
    })
}
