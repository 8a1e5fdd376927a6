//! The network put together from its stages: forward and backward, for a batch.

mod backward;
mod conv_backward;
mod input;
pub mod network;
pub mod res_block;

pub use network::Network;
