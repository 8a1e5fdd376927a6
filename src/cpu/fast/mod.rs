//! The network in f32 as fast as the cores allow: the engine where there is no GPU. [`crate::cpu::unet`] is
//! its plain twin, which says what is to come out.
//!
//! Channels lie side by side, `[batch, nx, ny, channels]`, so that a vector register holds channels of one
//! cell: borders, pools and upsampling need no shuffles, and a coarse level fills the registers as well as a
//! fine one. Every element is computed by the same operations in the same order whatever the width of the
//! registers: all machines with fused multiply-adds (on x86-64, of its third level: AVX2, FMA and more) end
//! in the same bytes.

mod nn;
pub mod unet;

pub use nn::peak;
pub use unet::network::Network;
