//! Restoration without training: diffusion of arrays and pictures, classical inverses, refinement, tiles.

pub mod classical;
pub mod diffusion;
pub mod refine;
pub mod tiled;
pub mod tiles;

pub use classical::Classic;
pub use diffusion::Diffusion;
