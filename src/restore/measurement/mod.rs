//! What a measurement tells of itself: its noise, the spectrum of what was measured, its edges.

pub mod amount;
pub mod edges;
pub mod noise;
pub mod signal;
pub mod spectrum;
pub(in crate::restore) mod unit;

pub use noise::{NoiseLevel, Source};
pub use spectrum::Spectrum;
