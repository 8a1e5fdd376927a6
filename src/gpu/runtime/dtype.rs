//! The numbers that tensors hold.

use crate::model::{Precision, Storage};

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 16 bits: storage only, kernels compute with 32.
    F16,
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

impl Element {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl From<Precision> for Element {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F64 => Self::F64,
        }
    }
}

impl From<Storage> for Element {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::F16 => Self::F16,
            Storage::F32 => Self::F32,
        }
    }
}
