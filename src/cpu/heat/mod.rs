//! The physics: rectangles to fields, FFT, diffusion, its damped inverse and the training signal.

pub mod damp;
pub mod fft;
pub mod inverse;
pub mod physics;
pub mod rasterise;
pub mod shown;
