//! The shaders' host side: device, kernel, tensor and recording, then one file per stage, named like its shader.
//!
//! Description ([`KernelSpec`]), execution ([`Kernel`], [`Recording`]) and order ([`step`]) are kept apart.

pub mod activation;
pub mod adam;
pub mod add_gradient;
pub mod add_noise;
pub mod arrange;
pub mod batch_norm;
pub mod bias;
pub mod conv1x1;
pub mod conv3x3;
pub mod copy;
pub mod data;
pub mod device;
pub mod element;
pub mod exp64;
pub mod fft;
pub mod gradient;
pub mod inverse;
pub mod kernel;
pub mod max_pool;
pub mod mean_shift;
pub mod memory;
pub mod multiply_add;
pub mod narrow;
pub mod params;
pub mod physics;
pub mod profiler;
pub mod rasterise;
pub mod recording;
mod reflect;
pub mod res_block;
pub mod res_sum;
mod ring;
pub mod shape;
pub mod sink;
pub mod source;
pub mod step;
mod submission;
pub mod sum_rows;
pub mod tensor;
pub mod tile;
pub mod tune;
pub mod unet;
pub mod upsample;
pub mod variants;

pub use device::{Checks, Gpu};
pub use element::Element;
pub use kernel::{Kernel, KernelSpec};
pub use memory::MemoryUse;
pub use profiler::Timing;
pub use recording::{Recorder, Recording, Work, flat_workgroups};
pub use shape::Shape;
pub use step::Step;
pub use tensor::Tensor;
pub use variants::Variants;
