//! Restoration without training: diffusion of fields of any size, what a measurement tells of its noise, the
//! classical inverses, and how predictions of trained networks are applied and refined.

pub mod blur;
pub mod frame;
pub mod measurement;
pub mod methods;
pub mod network;
pub mod outcome;
pub mod spectral;

pub use blur::Blur;
pub use frame::{Beyond, Frame};
pub use methods::Classic;
pub use spectral::grid::Edges;
