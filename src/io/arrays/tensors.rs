//! Named tensors in safetensors files: what a checkpoint is made of.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorInfo, View};

use crate::io::{atomic, contents};
use crate::{Error, Result};

/// The largest file that is read, in bytes. A checkpoint of the U-Net is under a megabyte.
const MAX_FILE: u64 = 4 << 30;

/// The largest header that is parsed, in bytes. One tensor takes about 120.
const MAX_HEADER: u64 = 1 << 20;

/// What a file holds: its tensors, sorted by name, and its metadata.
pub type TensorsAndMetadata = (Vec<Tensor>, HashMap<String, String>);

/// An array with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name, unique in its file, such as `inc.double_conv.0.weight`.
    pub name: String,
    /// The length of each axis, slowest first; empty for a single number.
    pub shape: Vec<usize>,
    /// The numbers in C order, as many as the product of `shape`.
    pub data: Data,
}

/// The numbers of a [`Tensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
}

/// Writes `tensors`, and at most one pair of strings as metadata, to a safetensors file, atomically.
///
/// # Errors
/// Those of [`to_bytes`]; [`Error::Io`] when the file cannot be written.
pub fn write(path: &Path, tensors: &[Tensor], metadata: Option<(&str, &str)>) -> Result<()> {
    let bytes = to_bytes(path, tensors, metadata)?;
    atomic::write(path, |out| out.write_all(&bytes))
}

/// The bytes of a safetensors file that is called `path`.
///
/// They depend on the content alone, not on the order of `tensors`: the library sorts them by type and
/// name. More than one metadata key would be written in the order of a hash map, hence one key.
///
/// # Errors
/// [`Error::File`] when two tensors share a name, a name is the reserved `__metadata__`, or a shape does not
/// match the amount of data.
pub fn to_bytes(path: &Path, tensors: &[Tensor], metadata: Option<(&str, &str)>) -> Result<Vec<u8>> {
    let mut seen = BTreeSet::from(["__metadata__"]);
    if let Some(tensor) = tensors.iter().find(|tensor| !seen.insert(&tensor.name)) {
        return Err(Error::file(path, format!("tensor name `{}` is reserved or used twice", tensor.name)));
    }
    let metadata = metadata.map(|(key, value)| [(key.to_owned(), value.to_owned())].into_iter().collect());
    let named = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor));
    safetensors::serialize(named, metadata)
        .map_err(|error| Error::file(path, format!("cannot encode the tensors: {error}")))
}

/// Reads a safetensors file: its tensors sorted by name, and its metadata.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is cut short, its header is not that
/// of a safetensors file or disagrees with its length, or a tensor is of another type than F16, BF16 (both
/// are widened to F32), F32, F64, I32 and I64. No more memory is used than about thrice the length of the
/// file.
pub fn read(path: &Path) -> Result<TensorsAndMetadata> {
    of_bytes(path, &read_bytes(path)?)
}

/// The tensors and the metadata in the bytes of a file that is called `path`.
///
/// # Errors
/// [`Error::File`], as [`read`].
pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<TensorsAndMetadata> {
    check_start(path, bytes, bytes.len() as u64)?;
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| {
        Error::file(path, format!("not a whole safetensors file ({error}); write or download it again"))
    })?;
    let content = &bytes[8 + header..];
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let data = decode(info, &content[from..to]).ok_or_else(|| {
            let dtype = info.dtype;
            Error::file(path, format!("tensor `{name}` is {dtype}; convert it to F32"))
        })?;
        tensors.push(Tensor { name, shape: info.shape.clone(), data });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let pairs = metadata.metadata().iter().flatten();
    Ok((tensors, pairs.map(|(key, value)| (key.clone(), value.clone())).collect()))
}

/// The whole file, once its length and the length of its header are plausible.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let refused = || Error::io(path, "cannot read");
    let facts = path.metadata().map_err(refused())?;
    if path.join("weights.safetensors").is_file() {
        let inside = path.join("weights.safetensors");
        return Err(Error::file(path, format!("a folder; name the weights in it, {}", inside.display())));
    }
    if !facts.is_file() {
        // Opening a pipe would wait for who writes to it.
        return Err(Error::file(path, "not a regular file; name a .safetensors file"));
    }
    let (mut file, length) = (File::open(path).map_err(refused())?, facts.len());
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(contents::MOST.min(length)).read_to_end(&mut bytes).map_err(refused())?;
    check_start(path, &bytes, length)?;
    // `take`: a file that grows meanwhile must not grow the buffer.
    file.take(length - bytes.len() as u64).read_to_end(&mut bytes).map_err(refused())?;
    Ok(bytes)
}

/// Refuses what begins like another file, and a length or a header's length that are not plausible.
fn check_start(path: &Path, start: &[u8], length: u64) -> Result<()> {
    let refuse = |what: String| Err(Error::file(path, what));
    let found = contents::of_start(path, start);
    if found == Some(contents::TORCH) {
        return refuse(convert(path));
    }
    let Some((&first, _)) = start.split_first_chunk::<8>() else {
        return refuse(format!("{length} bytes is too short for a safetensors file; name another"));
    };
    if length > MAX_FILE {
        return refuse(format!("{length} bytes is more than the {MAX_FILE} that unheat reads"));
    }
    let header = u64::from_le_bytes(first);
    if header > MAX_HEADER || header > length - 8 {
        let is_other = |found: &&str| ["array", "picture"].iter().any(|word| found.contains(word));
        return refuse(match found.filter(is_other) {
            Some(found) => format!("{found}, not a safetensors file; name another"),
            None => format!(
                "claims a header of {header} bytes in {length}; it is cut short or not safetensors; name \
                 another"
            ),
        });
    }
    Ok(())
}

/// How to make a safetensors file of one that PyTorch has written.
fn convert(path: &Path) -> String {
    // Lightning's checkpoints hold the state dict beside other things.
    let entry =
        if path.extension().is_some_and(|extension| extension == "ckpt") { "['state_dict']" } else { "" };
    let (from, to) = (path.display(), path.with_extension("safetensors"));
    format!(
        "a file of torch.save, which only Python can read; convert it: python -c \"import torch, \
         safetensors.torch as s; s.save_file(torch.load('{from}', map_location='cpu'){entry}, '{}')\"",
        to.display()
    )
}

/// `None` for an unsupported type. The bytes may start at any address, so numbers are assembled one by one.
fn decode(info: &TensorInfo, bytes: &[u8]) -> Option<Data> {
    fn numbers<const N: usize, T>(bytes: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
    }
    match info.dtype {
        Dtype::F32 => Some(Data::F32(numbers(bytes, f32::from_le_bytes))),
        // 32 bits hold these exactly.
        Dtype::F16 => Some(Data::F32(numbers(bytes, |b| f16::from_le_bytes(b).to_f32()))),
        Dtype::BF16 => Some(Data::F32(numbers(bytes, |b| bf16::from_le_bytes(b).to_f32()))),
        Dtype::F64 => Some(Data::F64(numbers(bytes, f64::from_le_bytes))),
        Dtype::I32 => Some(Data::I32(numbers(bytes, i32::from_le_bytes))),
        Dtype::I64 => Some(Data::I64(numbers(bytes, i64::from_le_bytes))),
        _ => None,
    }
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type as safetensors files name it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F64(_) => "F64",
            Self::I32(_) => "I32",
            Self::I64(_) => "I64",
        }
    }

    /// The bytes in the file.
    pub(crate) fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        match self.data {
            Data::F32(_) => Dtype::F32,
            Data::F64(_) => Dtype::F64,
            Data::I32(_) => Dtype::I32,
            Data::I64(_) => Dtype::I64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.data.to_le_bytes().into()
    }

    fn data_len(&self) -> usize {
        self.data.len() * self.dtype().bitsize() / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Tensor> {
        let tensor =
            |name: &str, shape: &[usize], data| Tensor { name: name.into(), shape: shape.into(), data };
        vec![
            tensor("a.weight", &[2, 3], Data::F32(vec![1.0, -2.5, f32::MIN_POSITIVE, f32::NAN, 0.0, -0.0])),
            tensor("b", &[1, 2], Data::F64(vec![std::f64::consts::PI, f64::NEG_INFINITY])),
            tensor("c.count", &[], Data::I64(vec![i64::MIN])),
            tensor("d", &[3], Data::I32(vec![1, -1, i32::MAX])),
            tensor("e.empty", &[0, 4], Data::F32(vec![])),
        ]
    }

    /// `(path, folder)`: the folder lives as long as it is held.
    fn place() -> (std::path::PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (folder.path().join("t.safetensors"), folder)
    }

    #[test]
    fn what_is_written_is_read() {
        let (path, _folder) = place();
        write(&path, &sample(), Some(("state", "{\"step\": 7}"))).unwrap();
        let (tensors, metadata) = read(&path).unwrap();
        // Debug text, because NaN is not equal to itself.
        assert_eq!(format!("{tensors:?}"), format!("{:?}", sample()));
        assert_eq!(metadata, HashMap::from([("state".to_owned(), "{\"step\": 7}".to_owned())]));
    }

    #[test]
    fn bytes_depend_on_the_content_alone() {
        let (path, folder) = place();
        let other = folder.path().join("other");
        let mut reversed = sample();
        reversed.reverse();
        write(&path, &sample(), Some(("k", "v"))).unwrap();
        write(&other, &reversed, Some(("k", "v"))).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap());
    }

    #[test]
    fn names_and_shapes_are_checked_before_writing() {
        let (path, _folder) = place();
        let one = |name: &str, n| Tensor { name: name.into(), shape: vec![2], data: Data::F32(vec![0.0; n]) };
        for bad in [vec![one("a", 2), one("a", 2)], vec![one("__metadata__", 2)], vec![one("a", 3)]] {
            assert!(matches!(write(&path, &bad, None), Err(Error::File { .. })));
            assert!(!path.exists());
        }
    }

    #[test]
    fn every_truncation_and_extension_is_an_error() {
        let (path, _folder) = place();
        write(&path, &sample(), None).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(Error::File { .. })), "{length} bytes");
        }
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(matches!(read(&path), Err(Error::File { .. })));
    }

    #[test]
    fn lying_headers_are_errors() {
        let (path, _folder) = place();
        let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}"#;
        let long = r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#;
        let backwards = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#;
        let half = r#"{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,4]}}"#;
        let deep = "[".repeat(100_000);
        for header in [huge, long, backwards, half, "{}", "[1", &deep] {
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(read(&path), Err(Error::File { .. })), "{header:.80}");
        }
        for claimed in [1 << 30, u64::MAX] {
            std::fs::write(&path, [&u64::to_le_bytes(claimed)[..], b"{}"].concat()).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains("claims a header"), "{message}");
        }
    }

    #[test]
    fn an_unsupported_type_is_named() {
        let (path, _folder) = place();
        let header = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        std::fs::write(
            &path,
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat(),
        )
        .unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("`w` is U8; convert it to F32"), "{message}");
    }

    #[test]
    fn halves_are_widened_exactly() {
        let (path, _folder) = place();
        let values = [1.0f32, -0.15625, 65280.0, 0.0];
        for (dtype, bits) in [
            ("F16", values.map(|v| f16::from_f32(v).to_bits())),
            ("BF16", values.map(|v| bf16::from_f32(v).to_bits())),
        ] {
            let header = format!("{{\"w\":{{\"dtype\":\"{dtype}\",\"shape\":[4],\"data_offsets\":[0,8]}}}}");
            let data: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap().0[0].data, Data::F32(values.to_vec()), "{dtype}");
        }
    }

    #[test]
    fn a_missing_file_is_an_io_error() {
        let (path, folder) = place();
        assert!(matches!(read(&path), Err(Error::Io { .. })));
        assert!(read(folder.path()).is_err());
    }
}
