//! The stages of the network on one sample, each with its adjoint.

pub(crate) mod channels;
pub(crate) mod conv3x3;
pub(crate) mod gemm;
mod lanes;
pub(crate) mod norm;
pub(crate) mod one_channel;
pub(crate) mod output;
pub mod peak;
pub(crate) mod points;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod tiles;
pub(crate) mod upsample;
pub(crate) mod weight_gradient;
pub(crate) mod winograd;
