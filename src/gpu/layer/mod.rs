//! What a layer of the network is to a kernel: its shape, its arrays, what a convolution reads and where its
//! output goes.

pub mod epilogue;
pub mod gradient;
pub mod input;
pub mod layers;
pub mod shape;
pub mod tile;
