//! Trained networks on fields and pictures of any size, and what makes their predictions better.

pub mod refine;
pub mod scale;
pub mod tiled;
pub mod tiles;
