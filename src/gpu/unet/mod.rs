//! The network put together from its stages: forward and backward.

mod backward;
pub mod network;
pub mod res_block;

pub use network::Network;
