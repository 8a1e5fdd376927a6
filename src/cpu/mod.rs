//! Every stage in plain Rust, generic over f32 and f64. It is the reference that the shaders are checked
//! against, and the engine where there is no GPU, but for the network, whose f32 is [`fast`]. Rooms and files
//! are named like those of `gpu/` and `shaders/`.
//!
//! Stages work on one sample; [`unet`] and [`step`] put them together for a batch, with rayon over samples.
//! Sums over samples run in a fixed order, so results do not depend on the number of threads.

pub mod fast;
pub mod heat;
pub mod nn;
pub mod passes;
pub mod precision;
pub mod predictor;
pub mod real;
pub mod reduce;
pub mod step;
pub mod unet;

pub use precision::Precision;
pub use real::Real;
pub use step::Step;
