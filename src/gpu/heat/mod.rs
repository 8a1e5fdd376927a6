//! The physics: rectangles to fields, FFT, diffusion, its damped inverse and the training signal.

pub mod add_noise;
pub mod fft;
pub mod inverse;
pub mod narrow;
pub mod physics;
pub mod rasterise;
