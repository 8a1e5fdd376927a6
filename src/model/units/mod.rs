//! Physical quantities, as people write them: what diffusion is in metres and seconds, and how large a cell
//! is.

pub mod physical;
pub mod pixel;
pub mod quantity;

pub use physical::{Extent, Physical};
pub use pixel::PixelSize;
pub use quantity::{Diffusivity, Length, Time};
