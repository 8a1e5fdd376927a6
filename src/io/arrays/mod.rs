//! Arrays in files: fields as `.npy`, weights, rectangles and checkpoints as safetensors.

pub mod checkpoint;
mod checksum;
pub mod npy;
mod npy_header;
pub mod rectangles;
pub mod tensors;
pub mod weights;
