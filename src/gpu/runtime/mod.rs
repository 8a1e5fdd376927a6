//! What runs kernels and knows none of them: the device, compiled kernels, tensors, recordings and their
//! timing.

pub(crate) mod checks;
pub mod device;
pub mod dispatch;
pub mod kernel;
pub mod memory;
pub(crate) mod one_shot;
pub mod profiler;
pub mod recording;
pub(crate) mod reflect;
pub(crate) mod shader_files;
pub mod spec;
pub(crate) mod submission;
pub mod tensor;
pub mod uniform;
pub mod variants;
