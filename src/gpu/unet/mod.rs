//! The network put together from its stages: its forward and its backward pass for a batch.

mod backward;
mod conv_backward;
mod forward;
mod input;
pub mod network;
mod res_block;
pub(crate) mod together;

pub use network::Network;
