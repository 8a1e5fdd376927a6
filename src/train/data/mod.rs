//! What a training learns from: rectangles that are drawn, fields of a file, pieces of pictures.

pub mod drawn;
#[cfg(not(target_family = "wasm"))]
pub mod picture_crops;
#[cfg(not(target_family = "wasm"))]
mod source;

#[cfg(not(target_family = "wasm"))]
pub use source::{Data, File, HeldOut, Noise, Source};
