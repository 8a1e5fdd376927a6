//! The network's stages, each with its adjoint: one file per stage, named like its shader.

pub mod activation;
pub mod add_gradient;
pub mod batch_norm;
pub mod batch_norm_together;
pub mod bias;
pub mod conv1x1;
pub mod conv3x3;
pub mod conv3x3_weight_gradient;
pub mod max_pool;
pub mod pack_weights;
pub mod res_sum;
pub mod sum_rows;
pub mod upsample;
