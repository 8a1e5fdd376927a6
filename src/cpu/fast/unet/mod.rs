//! The network put together from its stages, as in [`crate::cpu::unet`].

mod backward;
mod conv_backward;
mod forward;
mod input;
pub(crate) mod network;
mod passes;
mod res_block;
mod scratch;
mod weights;

pub use network::Network;
