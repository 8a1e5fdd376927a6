//! The network's stages, each with its adjoint, on one sample.

pub mod activation;
pub mod batch_norm;
pub mod conv1x1;
pub mod conv3x3;
pub mod max_pool;
pub mod padding;
pub mod res_sum;
pub mod upsample;
