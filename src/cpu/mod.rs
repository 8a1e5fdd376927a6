//! Every stage in plain Rust, generic over f32 and f64: the reference that the shaders are checked against, and
//! the engine where there is no GPU. File names are those of `gpu/` and `shaders/`.
//!
//! Stages work on one sample; [`unet`] and [`step`] put them together for a batch, with rayon over samples.
//! Sums over samples run in a fixed order, so results do not depend on the number of threads.

pub mod activation;
pub mod adam;
pub mod batch_norm;
pub mod conv1x1;
pub mod conv3x3;
mod conv_backward;
pub mod damp;
pub mod fft;
pub mod inverse;
pub mod max_pool;
pub mod mean_shift;
pub mod physics;
pub mod rasterise;
pub mod real;
pub mod reduce;
pub mod res_block;
mod source;
pub mod step;
pub mod unet;
mod unet_backward;
pub mod upsample;

pub use real::Real;
pub use step::Step;
