//! Fields in NumPy's .npy files.

use crate::Result;
pub use crate::io::arrays::fields::{FieldData, Fields};
use crate::io::arrays::npy_file;
use std::path::Path;

/// Reads fields of 32- or 64-bit floats: rank 2 `[x, y]` or rank 3 `[batch, x, y]`, little or big endian, C
/// or Fortran order, versions 1 to 3 of the format.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be read; [`Error::File`](crate::Error::File) when it
/// is not a .npy file, holds another type or rank, has an empty axis, is shorter or longer than its header
/// says, does not fit into memory, or holds a NaN or an infinity (the first one is named by its index), and
/// for every file in a build without the feature `npy`. The size is compared with the length of the file and
/// with the memory that is there before any is asked for.
pub fn read(path: &Path) -> Result<Fields> {
    npy_file::read(path, 0)
}

/// As [`read`], for work that makes `copies` copies of all numbers in 64 bits.
///
/// # Errors
/// As [`read`]; also [`Error::File`](crate::Error::File) where there is not enough memory for the copies,
/// with the number of fields that would fit.
pub fn read_for(path: &Path, copies: u64) -> Result<Fields> {
    npy_file::read(path, copies)
}

/// The shape `[batch, x, y]` that [`read`] would return, without reading the numbers.
///
/// # Errors
/// As [`read`], but for numbers that are not finite.
pub fn shape(path: &Path) -> Result<[usize; 3]> {
    npy_file::shape(path)
}

/// Writes fields atomically, little endian, in C order; rank 2 if `fields.rank2`.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) when the shape does not match the amount of data, or `rank2` is set
/// for a batch other than 1; [`Error::Io`](crate::Error::Io) when the file cannot be written;
/// [`Error::File`](crate::Error::File) in a build without the feature `npy`.
pub fn write(path: &Path, fields: &Fields) -> Result<()> {
    npy_file::write(path, fields)
}

/// The bytes that [`write()`] would write.
///
/// # Errors
/// Those of [`write()`] about shapes and builds.
pub fn to_bytes(fields: &Fields) -> Result<Vec<u8>> {
    npy_file::to_bytes(fields)
}

/// Reads fields as [`read`] does, from the bytes of a file; errors name it as `path`.
///
/// # Errors
/// Those of [`read`].
pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Fields> {
    npy_file::from_bytes(path, bytes)
}

#[cfg(all(test, feature = "npy"))]
mod tests {
    use super::*;
    use crate::Error;
    use crate::model::rng::{Purpose, Random};
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

    /// The format asks for a Python dictionary and for numbers that start at a multiple of 64 bytes.
    #[test]
    fn the_bytes_are_those_of_the_format() {
        let (path, _folder) = place();
        let values: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        write(&path, &Fields { shape: [1, 2, 3], data: FieldData::F32(values), rank2: true }).unwrap();
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, ), }";
        let expected = file(&format!("{text:117}\n"), &data);
        assert_eq!(std::fs::read(&path).unwrap(), expected);
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
    fn versions_2_and_3_and_other_spacing_are_read() {
        let (path, _folder) = place();
        let header = "{\"shape\":(1,2,),\"fortran_order\":False,\"descr\":\">f4\"}";
        let length = (header.len() as u32).to_le_bytes();
        let data = [1.5f32.to_be_bytes(), (-2f32).to_be_bytes()].concat();
        for magic in [b"\x93NUMPY\x02\x00", b"\x93NUMPY\x03\x00"] {
            std::fs::write(&path, [magic, &length[..], header.as_bytes(), &data].concat()).unwrap();
            assert_eq!(read(&path).unwrap().data, FieldData::F32(vec![1.5, -2.0]));
        }
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
            (header("'|O'", "(2, 2)"), "'|O'"),
            (header("'<i8'", "(2, 2)"), "'<i8'"),
            (header("'<f2'", "(2, 2)"), "'<f2'"),
            (header("[('shape', '<f4')]", "(2, 2)"), "[('shape', '<f4'), ]"),
            (header("'<f4'", "()"), "0 axes"),
            (header("'<f4'", "(4,)"), "1 axes"),
            (header("'<f4'", "(1, 1, 2, 2)"), "4 axes"),
            (header("'<f4'", "(0, 2)"), "empty"),
            (header("'<f4'", "(-1, 2)"), "cannot be negative"),
            (header("'<f4'", "(2, 2"), "could not parse Python"),
            (header("'<f4'", "(500000, 500000)"), "does not match"),
            (header("'<f4'", "(18446744073709551615, 18446744073709551615)"), "not that of a plain array"),
            (header("'<f4'", "(0xffffffffffffffff, 0Xffffffffffffffff)"), "not that of a plain array"),
            (header("'<f4'", "(999999999, 999999999)"), "does not match"),
            (header("'<f4'", "(99999999999999999999, 1)"), "not that of a plain array"),
            (header("'é'", "(2, 2)"), "not that of a plain array"),
            (header("'\\xe9'", "(2, 2)"), "not that of a plain array"),
            ("{'descr': '<f4', 'shape': (1, 4)}".into(), "'fortran_order'"),
            ("{'descr': '<f4', 'fortran_order': 1, 'shape': (1, 4)}".into(), "not a bool"),
            ("[".repeat(9000), "not that of a plain array"),
            ("[1, 2]".into(), "dict"),
        ] {
            let message = complaint(&path, &file(&header, &[0; 16]));
            assert!(message.contains(expected), "{message}");
        }
        assert!(complaint(&path, &file(&" ".repeat(20_000), &[])).contains("20000 bytes"));
        assert!(complaint(&path, b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295 bytes"));
        assert!(complaint(&path, b"\x93NUMPY\x09\x00\x01\x00 ").contains("version 9"));
        assert!(complaint(&path, b"PK\x03\x04 a zip file").contains("not a .npy file"));
    }

    /// Pieces of headers in random order: a reader that trusts them too much panics.
    #[test]
    fn nonsense_is_refused_in_one_line() {
        const PIECES: [&str; 32] = [
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "'",
            "\"",
            ",",
            ":",
            " ",
            "'descr'",
            "'<f4'",
            "'<f8'",
            "'fortran_order'",
            "True",
            "False",
            "None",
            "'shape'",
            "(2, 2)",
            "(1, 2, 2)",
            "2",
            "99999999999",
            "1e5",
            "-1",
            "0x7f",
            "1j",
            "'|O'",
            "'<U9'",
            "b'x'",
            "\\",
            "é",
        ];
        let (path, _folder) = place();
        let mut random = Random::new(Purpose::Cases, 9, 0, 0);
        let mut below = |n: usize| (random.uniform() * n as f64) as usize;
        for round in 0..3000 {
            // Half of them are a good header with something in the place of a value.
            let nonsense: String = (0..1 + below(12)).map(|_| PIECES[below(PIECES.len())]).collect();
            let header = match round % 6 {
                0 => format!("{{'descr': {nonsense}, 'fortran_order': False, 'shape': (2, 2), }}"),
                1 => format!("{{'descr': '<f4', 'fortran_order': {nonsense}, 'shape': (2, 2), }}"),
                2 => format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {nonsense}, }}"),
                _ => nonsense,
            };
            std::fs::write(&path, file(&header, &[0; 16])).unwrap();
            if let Err(error) = read(&path) {
                assert!(matches!(error, Error::File { .. }), "{error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
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
