//! The network put together from its stages: its forward and its backward pass for a batch.

pub mod at_scale;
mod backward;
mod conv_backward;
mod forward;
mod input;
pub mod network;
pub mod norms;
mod passes;
mod res_block;
pub mod together;

pub use network::Network;
