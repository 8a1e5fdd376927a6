//! Fields in NumPy's .npy files.
//!
//! The format has no room for a checksum, but its header ends in blanks that mean nothing: the first is a tab to say
//! so, and the last 32 spell the CRC-32 of everything else, a tab for 1 and a space for 0. Every reader of the format
//! skips them; this one checks them where there is a tab.
//!
//! The header is a Python dictionary literal, of which only the form that `numpy.save` writes for a plain array
//! is understood. A general literal parser would recurse as deep as a hostile header says.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crc32fast::Hasher;

use super::atomic;
use crate::{Error, Result};

/// What a .npy file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is parsed, in bytes. `numpy.save` writes 118 for a plain array.
const MAX_HEADER: usize = 10_000;

/// What is wrong where it does not hold.
const DAMAGED: &str = "the checksum in its header is wrong: it is damaged; write it again";

/// The blanks of the checksum.
const SEAL: usize = 32;

/// A batch of fields, in C order: y contiguous, then x, then the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// `[batch, x, y]`, each at least 1.
    pub shape: [usize; 3],
    /// The numbers, as many as the product of `shape`.
    pub data: FieldData,
    /// Whether the file holds a single field `[x, y]` without the batch axis; then `shape[0]` is 1.
    pub rank2: bool,
}

/// The numbers of [`Fields`].
#[derive(Debug, Clone, PartialEq)]
pub enum FieldData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
}

impl FieldData {
    /// The numbers, exactly.
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.into_iter().map(f64::from).collect(),
            Self::F64(values) => values,
        }
    }
}

/// Reads fields of 32- or 64-bit floats: rank 2 `[x, y]` or rank 3 `[batch, x, y]`, little or big endian, C or
/// Fortran order.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is not a .npy file, holds another type
/// or rank, has an empty axis, has another checksum than its blanks spell, is shorter or longer than its header says, or holds a NaN or an infinity (the
/// first one in file order is named by its index). The size is compared with the length of the file before
/// memory is asked for.
pub fn read(path: &Path) -> Result<Fields> {
    let (mut file, header, count) = open(path)?;
    let data = match header.float {
        Float::F32 => {
            header.numbers(&mut file, count, f32::from_le_bytes, f32::from_be_bytes).map(FieldData::F32)
        }
        Float::F64 => {
            header.numbers(&mut file, count, f64::from_le_bytes, f64::from_be_bytes).map(FieldData::F64)
        }
    };
    let data = data.map_err(|what| Error::file(path, what))?;
    Ok(Fields { shape: header.shape, data, rank2: header.rank2 })
}

/// The shape `[batch, x, y]` that [`read`] would return, without reading the numbers.
///
/// # Errors
/// As [`read`], but for numbers that are not finite.
pub fn shape(path: &Path) -> Result<[usize; 3]> {
    open(path).map(|(_, header, _)| header.shape)
}

/// The file at the start of its data, what its header says, and the number of elements.
fn open(path: &Path) -> Result<(BufReader<File>, Header, usize)> {
    let file = File::open(path).map_err(Error::io(path, "cannot read"))?;
    let facts = file.metadata().map_err(Error::io(path, "cannot read"))?;
    if !facts.is_file() {
        return Err(Error::file(path, "not a regular file; name a .npy file"));
    }
    let mut file = BufReader::with_capacity(1 << 16, file);
    let (text, start) = read_header(&mut file).map_err(|what| Error::file(path, what))?;
    let header = Header::parse(&text).map_err(|what| Error::file(path, what))?;
    let count =
        header.checked_count(facts.len().saturating_sub(start)).map_err(|what| Error::file(path, what))?;
    Ok((file, header, count))
}

/// Writes fields atomically, little endian, in C order; rank 2 if `fields.rank2`.
///
/// # Errors
/// [`Error::Usage`] when the shape does not match the amount of data, or `rank2` is set for a batch other than
/// 1; [`Error::Io`] when the file cannot be written.
pub fn write(path: &Path, fields: &Fields) -> Result<()> {
    let [batch, nx, ny] = fields.shape;
    let (descr, count) = match &fields.data {
        FieldData::F32(values) => ("<f4", values.len()),
        FieldData::F64(values) => ("<f8", values.len()),
    };
    let expected = batch.checked_mul(nx).and_then(|n| n.checked_mul(ny));
    if expected != Some(count) || (fields.rank2 && batch != 1) {
        let rank = if fields.rank2 { 2 } else { 3 };
        let shape = fields.shape;
        return Err(Error::usage(format!("{count} numbers cannot be written as {shape:?} with rank {rank}")));
    }
    let shape = if fields.rank2 { format!("({nx}, {ny})") } else { format!("({batch}, {nx}, {ny})") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut hasher = Hasher::new();
    hasher.update(header.as_bytes());
    match &fields.data {
        FieldData::F32(values) => values.iter().for_each(|value| hasher.update(&value.to_le_bytes())),
        FieldData::F64(values) => values.iter().for_each(|value| hasher.update(&value.to_le_bytes())),
    }
    // The format asks for data that start at a multiple of 64, after 10 bytes, this text and its newline.
    header.push('\t');
    let length = 10 + header.len() + SEAL + 1;
    header.extend(std::iter::repeat_n(' ', length.next_multiple_of(64) - length));
    let seal = hasher.finalize();
    header.extend((0..SEAL).map(|bit| if seal >> bit & 1 == 1 { '\t' } else { ' ' }));
    header.push('\n');
    atomic::write(path, |out| {
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&(header.len() as u16).to_le_bytes())?; // below 200: three numbers of 20 digits at most
        out.write_all(header.as_bytes())?;
        match &fields.data {
            FieldData::F32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
            FieldData::F64(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        }
    })
}

/// The checksum that the last blanks of a header spell.
fn spelled(blanks: &str) -> Option<u32> {
    let blanks = blanks.strip_suffix('\n')?.as_bytes().last_chunk::<SEAL>()?;
    let bit = |(i, byte): (usize, &u8)| match byte {
        b' ' => Some(0),
        b'\t' => Some(1 << i),
        _ => None,
    };
    blanks.iter().enumerate().map(bit).sum()
}

/// A reason, to which [`read`] adds the path.
type Checked<T> = std::result::Result<T, String>;

/// The text of the header, and the number of bytes before the data.
fn read_header(file: &mut impl Read) -> Checked<(String, u64)> {
    let mut start = Vec::new();
    // Less than that is still to be told from a text file.
    file.by_ref().take(8).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let mut take = |n: usize| {
        let mut bytes = vec![0; n];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|_| "not a whole .npy file: its header is cut short; write it again")
    };
    if !MAGIC.starts_with(&start) && !start.starts_with(MAGIC) {
        return Err("not a .npy file; name one, such as numpy.save writes".into());
    }
    start.extend(take(8 - start.len())?);
    let (length, before) = match start[6] {
        1 => (take(2)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)), 10),
        2 | 3 => (take(4)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)), 12),
        version => {
            return Err(format!("version {version} of the .npy format is unknown; write it with numpy.save"));
        }
    };
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes is not that of a plain array of floats"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| "its header is not text")?;
    Ok((text, before + length as u64))
}

#[derive(Clone, Copy)]
enum Float {
    F32,
    F64,
}

/// What the header says.
struct Header {
    float: Float,
    big_endian: bool,
    fortran: bool,
    shape: [usize; 3],
    rank2: bool,
    /// Of the text without its blanks, to go on with the data.
    hasher: Hasher,
    /// The checksum, where the blanks spell one.
    seal: Option<u32>,
}

impl Header {
    fn parse(text: &str) -> Checked<Self> {
        let descr = value_of(text, "descr")?;
        let descr = descr.strip_prefix(['\'', '"']).and_then(|rest| Some(rest.split_once(['\'', '"'])?.0));
        let (big_endian, float) = match descr {
            Some("<f4") => (false, Float::F32),
            Some(">f4") => (true, Float::F32),
            Some("<f8") => (false, Float::F64),
            Some(">f8") => (true, Float::F64),
            Some(other) => {
                return Err(format!(
                    "holds elements of type {other:?}; save it as numpy.float32 or numpy.float64"
                ));
            }
            None => return Err("holds records; save it as numpy.float32 or numpy.float64".into()),
        };
        let order = value_of(text, "fortran_order")?;
        let fortran = order.starts_with("True");
        if !fortran && !order.starts_with("False") {
            return Err("its header gives no order; write it with numpy.save".into());
        }
        let axes =
            axes(value_of(text, "shape")?).ok_or("its header gives no shape; write it with numpy.save")?;
        let (shape, rank2) = match axes[..] {
            [nx, ny] => ([1, nx, ny], true),
            [batch, nx, ny] => ([batch, nx, ny], false),
            _ => {
                return Err(format!("has {} axes; give it two, [x, y], or three, [batch, x, y]", axes.len()));
            }
        };
        if shape.contains(&0) {
            return Err(format!("is empty: its shape is {axes:?}"));
        }
        let (dictionary, blanks) = text.split_at(text.find('}').map_or(text.len(), |end| end + 1));
        if !dictionary.ends_with('}') || !blanks.trim_end().is_empty() {
            return Err("its header does not end as it should; write it with numpy.save".into());
        }
        let mut hasher = Hasher::new();
        hasher.update(dictionary.as_bytes());
        let seal = blanks.contains('\t').then(|| spelled(blanks).ok_or(DAMAGED)).transpose()?;
        Ok(Self { float, big_endian, fortran, shape, rank2, hasher, seal })
    }

    /// The number of elements, if they fill exactly the `available` bytes after the header.
    fn checked_count(&self, available: u64) -> Checked<usize> {
        let width = match self.float {
            Float::F32 => 4,
            Float::F64 => 8,
        };
        let count = self.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
        let bytes = count.and_then(|count| u64::try_from(count).ok()?.checked_mul(width));
        match (count, bytes) {
            (Some(count), Some(bytes)) if bytes == available => Ok(count),
            _ => Err(format!(
                "its shape {:?} with {width} bytes a number does not match the {available} bytes of data that \
                 follow; the file is cut short or damaged",
                self.shape
            )),
        }
    }

    /// The elements in C order.
    fn numbers<T: Copy + Default + Into<f64>, const N: usize>(
        &self,
        file: &mut impl Read,
        count: usize,
        little: fn([u8; N]) -> T,
        big: fn([u8; N]) -> T,
    ) -> Checked<Vec<T>> {
        let number = if self.big_endian { big } else { little };
        let mut values = vec![T::default(); count];
        let mut hasher = self.hasher.clone();
        let mut bytes = [0; N];
        for position in 0..count {
            file.read_exact(&mut bytes).map_err(|error| format!("cannot read the data: {error}"))?;
            hasher.update(&bytes);
            let value = number(bytes);
            let [b, x, y] = self.index(position);
            if !value.into().is_finite() {
                let index = if self.rank2 { format!("[{x}, {y}]") } else { format!("[{b}, {x}, {y}]") };
                return Err(format!("element {index} is {}; replace it by a number", value.into()));
            }
            let [_, nx, ny] = self.shape;
            values[(b * nx + x) * ny + y] = value;
        }
        if self.seal.is_some_and(|seal| seal != hasher.finalize()) {
            return Err(DAMAGED.into());
        }
        Ok(values)
    }

    /// The index `[batch, x, y]` of the element at `position` in the file.
    fn index(&self, position: usize) -> [usize; 3] {
        let [batch, nx, ny] = self.shape;
        if self.fortran {
            [position % batch, position / batch % nx, position / (batch * nx)]
        } else {
            [position / (nx * ny), position / ny % nx, position % ny]
        }
    }
}

/// What follows `'key':` in a dictionary literal.
fn value_of<'a>(text: &'a str, key: &str) -> Checked<&'a str> {
    let found = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|quoted| {
        let rest = &text[text.find(quoted)? + quoted.len()..];
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    });
    found.ok_or_else(|| format!("its header has no {key}; write it with numpy.save"))
}

/// The numbers of a Python tuple such as `(64, 64)`; `None` if it is anything else.
fn axes(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().strip_suffix(',').unwrap_or(inside.trim());
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|axis| axis.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn place() -> (PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (folder.path().join("f.npy"), folder)
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn complaint(path: &Path, bytes: &[u8]) -> String {
        std::fs::write(path, bytes).unwrap();
        let error = read(path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        assert!(!error.to_string().contains('\n'));
        error.to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let (path, _folder) = place();
        let f32s = Fields {
            shape: [2, 3, 4],
            data: FieldData::F32((0..24).map(|i| i as f32 / 7.0).collect()),
            rank2: false,
        };
        let f64s = Fields { shape: [1, 2, 1], data: FieldData::F64(vec![-1e300, 5e-324]), rank2: true };
        for fields in [f32s, f64s] {
            write(&path, &fields).unwrap();
            assert_eq!(read(&path).unwrap(), fields);
        }
    }

    /// Every bit after the header's dictionary and in it: what is accepted is what was written.
    #[test]
    fn no_changed_bit_passes_for_other_numbers() {
        let (path, _folder) = place();
        for data in
            [FieldData::F32(vec![1.0, -2.5, 0.0, 3e-40]), FieldData::F64(vec![1.0, -2.5, 0.0, 5e-324])]
        {
            let fields = Fields { shape: [1, 2, 2], data, rank2: true };
            write(&path, &fields).unwrap();
            let whole = std::fs::read(&path).unwrap();
            for bit in 0..8 * whole.len() {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, &bytes).unwrap();
                assert!(read(&path).is_ok_and(|found| found == fields) || read(&path).is_err(), "bit {bit}");
            }
        }
    }

    /// npyz is an independent reader.
    #[test]
    fn another_reader_agrees() {
        let (path, _folder) = place();
        let values: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
        write(&path, &Fields { shape: [1, 2, 3], data: FieldData::F32(values.clone()), rank2: true })
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len() - 24) % 64, 0);
        let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(npy.shape(), [2, 3]);
        assert_eq!(npy.order(), npyz::Order::C);
        assert_eq!(npy.into_vec::<f32>().unwrap(), values);
    }

    #[test]
    fn every_order_and_endianness_is_the_same_array() {
        let (path, _folder) = place();
        let [batch, nx, ny] = [2, 3, 4];
        let value = |b: usize, x: usize, y: usize| (100 * b + 10 * x + y) as f64;
        let mut c = Vec::new();
        for (b, x, y) in (0..24).map(|i| (i / 12, i / 4 % 3, i % 4)) {
            c.push(value(b, x, y));
        }
        let mut fortran = Vec::new();
        for y in 0..ny {
            for x in 0..nx {
                for b in 0..batch {
                    fortran.push(value(b, x, y));
                }
            }
        }
        for (order, values) in [("False", &c), ("True", &fortran)] {
            for (descr, number) in [
                ("<f8", f64::to_le_bytes as fn(f64) -> [u8; 8]),
                (">f8", f64::to_be_bytes as fn(f64) -> [u8; 8]),
            ] {
                let header =
                    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3, 4), }}\n");
                let data: Vec<u8> = values.iter().flat_map(|&value| number(value)).collect();
                std::fs::write(&path, file(&header, &data)).unwrap();
                let fields = read(&path).unwrap();
                assert_eq!(
                    fields,
                    Fields { shape: [2, 3, 4], data: FieldData::F64(c.clone()), rank2: false }
                );
            }
        }
    }

    #[test]
    fn version_2_and_other_spacing_are_read() {
        let (path, _folder) = place();
        let header = "{\"shape\":(1,2,),\"fortran_order\":False,\"descr\":\">f4\"}";
        let length = (header.len() as u32).to_le_bytes();
        let data = [1.5f32.to_be_bytes(), (-2f32).to_be_bytes()].concat();
        std::fs::write(&path, [b"\x93NUMPY\x02\x00", &length[..], header.as_bytes(), &data].concat())
            .unwrap();
        assert_eq!(read(&path).unwrap().data, FieldData::F32(vec![1.5, -2.0]));
    }

    #[test]
    fn values_that_are_not_finite_are_named() {
        let (path, _folder) = place();
        for (order, expected) in [("False", "[0, 1, 2]"), ("True", "[0, 0, 2]")] {
            let header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': (2, 2, 3)}}");
            let mut values = [0f32; 12];
            values[if order == "True" { 8 } else { 5 }] = f32::NAN;
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let message = complaint(&path, &file(&header, &data));
            assert!(message.contains(&format!("{expected} is NaN")), "{message}");
        }
        let data = [1f64, f64::NEG_INFINITY].map(f64::to_le_bytes).concat();
        let message =
            complaint(&path, &file("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1)}", &data));
        assert!(message.contains("[1, 0] is -inf"), "{message}");
    }

    #[test]
    fn wrong_arrays_say_why() {
        let (path, _folder) = place();
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        for (header, expected) in [
            (header("'|O'", "(2, 2)"), "\"|O\""),
            (header("'<i8'", "(2, 2)"), "\"<i8\""),
            (header("'<f2'", "(2, 2)"), "\"<f2\""),
            (header("[('shape', '<f4')]", "(2, 2)"), "records"),
            (header("'<f4'", "()"), "0 axes"),
            (header("'<f4'", "(4,)"), "1 axes"),
            (header("'<f4'", "(1, 1, 2, 2)"), "4 axes"),
            (header("'<f4'", "(0, 2)"), "empty"),
            (header("'<f4'", "(-1, 2)"), "no shape"),
            (header("'<f4'", "(2, 2"), "no shape"),
            (header("'<f4'", "(500000, 500000)"), "does not match"),
            (header("'<f4'", "(18446744073709551615, 18446744073709551615)"), "does not match"),
            (header("'<f4'", "(99999999999999999999, 1)"), "no shape"),
            ("{'descr': '<f4', 'shape': (1, 4)}".into(), "no fortran_order"),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (1, 4)}".into(), "no order"),
            ("[".repeat(9000), "no descr"),
        ] {
            let message = complaint(&path, &file(&header, &[0; 16]));
            assert!(message.contains(expected), "{message}");
        }
        assert!(complaint(&path, &file(&" ".repeat(20_000), &[])).contains("20000 bytes"));
        assert!(complaint(&path, b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295 bytes"));
        assert!(complaint(&path, b"\x93NUMPY\x09\x00\x01\x00 ").contains("version 9"));
        assert!(complaint(&path, b"PK\x03\x04 a zip file").contains("not a .npy file"));
    }

    #[test]
    fn every_truncation_and_extension_is_an_error() {
        let (path, folder) = place();
        let fields = Fields { shape: [1, 2, 2], data: FieldData::F32(vec![1.0; 4]), rank2: false };
        write(&path, &fields).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            complaint(&path, &whole[..length]);
        }
        complaint(&path, &[&whole[..], b"x"].concat());
        assert!(matches!(read(&folder.path().join("none.npy")), Err(Error::Io { .. })));
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn shapes_are_checked_before_writing() {
        let (path, _folder) = place();
        for (shape, rank2) in [([1, 2, 2], false), ([3, 1, 1], true), ([usize::MAX, 2, 2], false)] {
            let fields = Fields { shape, data: FieldData::F32(vec![0.0; 3]), rank2 };
            assert!(matches!(write(&path, &fields), Err(Error::Usage(_))));
        }
        assert!(!path.exists());
    }
}
