//! Fields in NumPy's .npy files. What is special about their headers: `npy_header`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::io::arrays::npy_header::{Checked, Float, Header, sealed};
use crate::io::atomic;
use crate::{Error, Result};

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
/// or rank, has an empty axis, has another checksum than its blanks spell, is shorter or longer than its header says, or
/// holds a NaN or an infinity (the first one in file order is named by its index). The size is compared with the length
/// of the file before memory is asked for.
pub fn read(path: &Path) -> Result<Fields> {
    let (mut file, header, count) = open(path)?;
    let data = match header.float {
        Float::F32 => {
            numbers(&header, &mut file, count, f32::from_le_bytes, f32::from_be_bytes).map(FieldData::F32)
        }
        Float::F64 => {
            numbers(&header, &mut file, count, f64::from_le_bytes, f64::from_be_bytes).map(FieldData::F64)
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
    let (header, start) = Header::read(&mut file).map_err(|what| Error::file(path, what))?;
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
    let (float, count) = match &fields.data {
        FieldData::F32(values) => (Float::F32, values.len()),
        FieldData::F64(values) => (Float::F64, values.len()),
    };
    let expected = batch.checked_mul(nx).and_then(|n| n.checked_mul(ny));
    if expected != Some(count) || (fields.rank2 && batch != 1) {
        let rank = if fields.rank2 { 2 } else { 3 };
        let shape = fields.shape;
        return Err(Error::usage(format!("{count} numbers cannot be written as {shape:?} with rank {rank}")));
    }
    let header = sealed(float, fields.shape, fields.rank2, |hasher| match &fields.data {
        FieldData::F32(values) => values.iter().for_each(|value| hasher.update(&value.to_le_bytes())),
        FieldData::F64(values) => values.iter().for_each(|value| hasher.update(&value.to_le_bytes())),
    });
    atomic::write(path, |out| {
        out.write_all(&header)?;
        match &fields.data {
            FieldData::F32(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
            FieldData::F64(values) => values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes())),
        }
    })
}

/// The elements in C order.
fn numbers<T: Copy + Default + Into<f64>, const N: usize>(
    header: &Header,
    file: &mut impl Read,
    count: usize,
    little: fn([u8; N]) -> T,
    big: fn([u8; N]) -> T,
) -> Checked<Vec<T>> {
    let number = if header.big_endian { big } else { little };
    let mut values = vec![T::default(); count];
    let mut hasher = header.hasher();
    let mut bytes = [0; N];
    for position in 0..count {
        file.read_exact(&mut bytes).map_err(|error| format!("cannot read the data: {error}"))?;
        hasher.update(&bytes);
        let value = number(bytes);
        let [b, x, y] = header.index(position);
        if !value.into().is_finite() {
            let index = if header.rank2 { format!("[{x}, {y}]") } else { format!("[{b}, {x}, {y}]") };
            return Err(format!("element {index} is {}; replace it by a number", value.into()));
        }
        let [_, nx, ny] = header.shape;
        values[(b * nx + x) * ny + y] = value;
    }
    header.check(hasher)?;
    Ok(values)
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
