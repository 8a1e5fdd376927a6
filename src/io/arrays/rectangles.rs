//! Rectangles in safetensors files: `center` and `half_size` `[B, R, 2]`, `strength` `[B, R]`.

use crate::io::arrays::checksum;
use crate::io::arrays::tensors::{self, Data, Tensor};
use crate::model::Rectangle;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The rectangles of several samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Rectangles {
    /// All of them, sample after sample.
    pub list: Vec<Rectangle>,
    /// How many each sample has, at least 1; those of strength 0 do not show.
    pub per_sample: usize,
}

impl Rectangles {
    /// The number of samples.
    pub fn batch(&self) -> usize {
        self.list.len() / self.per_sample
    }
}

/// Reads 32- or 64-bit floats; other tensors in the file are left alone.
///
/// # Errors
/// [`Error::Io`] and [`Error::File`] as in [`tensors::read`]; also for a missing tensor, one of another shape
/// or type, a number that is not finite, and a negative half size.
pub fn read(path: &Path) -> Result<Rectangles> {
    let (tensors, metadata) = tensors::read(path)?;
    checksum::check(path, &metadata, &tensors)?;
    let find = |name: &str| -> Result<(&[usize], Vec<f64>)> {
        let tensor = tensors.iter().find(|t| t.name == name).ok_or_else(|| {
            Error::file(path, format!("has no tensor `{name}`; it needs center, half_size and strength"))
        })?;
        let values: Vec<f64> = match &tensor.data {
            Data::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Data::F64(values) => values.clone(),
            Data::I32(_) | Data::I64(_) => {
                return Err(Error::file(path, format!("tensor `{name}` holds integers; make it F32 or F64")));
            }
        };
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::file(path, format!("number {i} of tensor `{name}` is {}", values[i])));
        }
        Ok((&tensor.shape, values))
    };
    let (shape, strength) = find("strength")?;
    let &[batch, per_sample] = shape else {
        return Err(Error::file(path, format!("tensor `strength` has the shape {shape:?}, not [B, R]")));
    };
    if batch == 0 || per_sample == 0 {
        return Err(Error::file(path, format!("tensor `strength` is empty: its shape is {shape:?}")));
    }
    let vectors = |name: &str| -> Result<Vec<f64>> {
        let (shape, values) = find(name)?;
        if shape == [batch, per_sample, 2] {
            return Ok(values);
        }
        let what = format!("tensor `{name}` has the shape {shape:?}, not [{batch}, {per_sample}, 2]");
        Err(Error::file(path, what))
    };
    let (center, half_size) = (vectors("center")?, vectors("half_size")?);
    if let Some(i) = half_size.iter().position(|&v| v < 0.0) {
        return Err(Error::file(path, format!("number {i} of tensor `half_size` is negative")));
    }
    let pair = |values: &[f64], i: usize| [values[2 * i], values[2 * i + 1]];
    let list = strength.iter().enumerate().map(|(i, &strength)| Rectangle {
        center: pair(&center, i),
        half_size: pair(&half_size, i),
        strength,
    });
    Ok(Rectangles { list: list.collect(), per_sample })
}

/// Writes 64-bit floats, and a checksum in the metadata, atomically.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write(path: &Path, rectangles: &Rectangles) -> Result<()> {
    let (batch, per_sample) = (rectangles.batch(), rectangles.per_sample);
    let tensor = |name: &str, shape: &[usize], values: Vec<f64>| Tensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data: Data::F64(values),
    };
    let all = &rectangles.list;
    let tensors = [
        tensor("center", &[batch, per_sample, 2], all.iter().flat_map(|r| r.center).collect()),
        tensor("half_size", &[batch, per_sample, 2], all.iter().flat_map(|r| r.half_size).collect()),
        tensor("strength", &[batch, per_sample], all.iter().map(|r| r.strength).collect()),
    ];
    let about = checksum::with_checksum(path, &BTreeMap::<String, String>::new(), &tensors)?;
    tensors::write(path, &tensors, Some((checksum::METADATA, &about)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rectangles::{PER_SAMPLE, draw_batch};
    use crate::model::rng::Purpose;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.safetensors");
        let list = draw_batch(Purpose::Cases, 0, 0, 3, 64, 32);
        let rectangles = Rectangles { list, per_sample: PER_SAMPLE };
        write(&path, &rectangles).unwrap();
        assert_eq!(read(&path).unwrap(), rectangles);
        assert_eq!(rectangles.batch(), 3);
    }

    #[test]
    fn wrong_files_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.safetensors");
        let tensor = |name: &str, shape: &[usize], value: f64| Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            data: Data::F64(vec![value; shape.iter().product()]),
        };
        let complain = |tensors: &[Tensor]| {
            tensors::write(&path, tensors, None).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let [center, half, strength] = [
            tensor("center", &[2, 3, 2], 1.0),
            tensor("half_size", &[2, 3, 2], 1.0),
            tensor("strength", &[2, 3], 1.0),
        ];
        assert!(complain(&[center.clone(), half.clone()]).contains("no tensor `strength`"));
        let flat = tensor("strength", &[6], 1.0);
        assert!(complain(&[center.clone(), half.clone(), flat]).contains("[6], not [B, R]"));
        let empty = tensor("strength", &[0, 3], 1.0);
        assert!(complain(&[center.clone(), half.clone(), empty]).contains("is empty"));
        let other = tensor("center", &[2, 2, 2], 1.0);
        assert!(complain(&[other, half.clone(), strength.clone()]).contains("not [2, 3, 2]"));
        let negative = tensor("half_size", &[2, 3, 2], -1.0);
        assert!(complain(&[center.clone(), negative, strength.clone()]).contains("negative"));
        let nan = tensor("strength", &[2, 3], f64::NAN);
        assert!(complain(&[center.clone(), half.clone(), nan]).contains("is NaN"));
        let integers = Tensor { name: "strength".into(), shape: vec![2, 3], data: Data::I64(vec![1; 6]) };
        assert!(complain(&[center, half, integers]).contains("holds integers"));
    }
}
