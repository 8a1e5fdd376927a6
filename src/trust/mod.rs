//! Whether a device computes right. The first time that an adapter is used with some driver and version of
//! unheat, the kernels of the training are tried against the CPU reference, and its step in lockstep; the
//! verdict is kept for the next run, beside the tuned variants.
//!
//! A kernel that fails is tried in its other variants and with zeroed workgroup memory. What is right then is
//! its [`Remedy`] from there on; where nothing is, the device is not to be trusted with this training.

mod failure;
mod remedies;
mod self_test;
mod verdict;
mod work;

pub use crate::gpu::Remedy;
pub use self_test::Outcome;
pub use verdict::{Trust, establish, recall, verdict};
pub use work::Work;
