//! Kernels that train nothing: they measure what a device can do, or test a helper alone.

pub mod copy;
pub mod exp64;
pub mod multiply_add;
