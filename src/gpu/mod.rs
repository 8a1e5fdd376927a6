//! The shaders' host side, in rooms named like those of `shaders/` and `cpu/`.
//!
//! Description ([`KernelSpec`]), execution ([`Kernel`], [`Recording`]) and order ([`step`]) are kept apart.

pub mod adapters;
pub mod faults;
pub mod heat;
pub(crate) mod kernel_cache;
pub mod layer;
pub mod nn;
pub mod predictor;
pub mod probes;
pub mod runtime;
pub mod step;
pub(crate) mod stopwatch;
#[cfg(feature = "cli")]
pub mod translation;
pub mod tune;
pub mod unet;

pub use kernel_cache::Remedy;
pub use layer::shape::Shape;
pub use runtime::checks::Checks;
pub use runtime::device::Gpu;
pub use runtime::kernel::Kernel;
pub use runtime::memory::MemoryUse;
pub use runtime::profiler::Timing;
pub use runtime::recording::{Recorder, Recording, Work, flat_workgroups};
pub use runtime::spec::KernelSpec;
pub use runtime::tensor::Tensor;
pub use runtime::uniform::Scalar;
pub use runtime::variants::Variants;
pub use step::Step;
