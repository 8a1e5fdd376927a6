//! Stands in for `npy_file.rs` in a build without the feature `npy`: every file is refused.

use crate::io::arrays::fields::Fields;
use crate::{Error, Result};
use std::path::Path;

pub(crate) fn read(path: &Path, _: u64) -> Result<Fields> {
    Err(refused(path))
}

pub(crate) fn shape(path: &Path) -> Result<[usize; 3]> {
    Err(refused(path))
}

pub(crate) fn write(path: &Path, _: &Fields) -> Result<()> {
    Err(refused(path))
}

pub(crate) fn to_bytes(_: &Fields) -> Result<Vec<u8>> {
    Err(refused(Path::new("the array")))
}

pub(crate) fn from_bytes(path: &Path, _: &[u8]) -> Result<Fields> {
    Err(refused(path))
}

fn refused(path: &Path) -> Error {
    Error::file(path, "this build of unheat knows no .npy files; build it with the feature `npy`")
}
