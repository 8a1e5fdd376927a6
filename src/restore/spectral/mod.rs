//! Fields of any size as sums of waves, in which diffusion is a factor.

pub mod gpu_filter;
pub mod grid;
pub mod rings;
