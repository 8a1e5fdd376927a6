//! Arrays in files: fields as `.npy`, weights, rectangles and checkpoints as safetensors.

pub mod checkpoint;
mod checksum;
mod fields;
pub mod fingerprint;
pub mod npy;
#[cfg_attr(not(feature = "npy"), path = "no_npy_file.rs")]
mod npy_file;
pub mod rectangles;
pub mod tensors;
pub mod weights;
