//! What trains and predicts on either engine, the GPU's shaders or the CPU.

mod cpu_engine;
pub mod device;
mod engines;
mod gpu_engine;
#[cfg(feature = "cli")]
pub mod kernels;
pub mod known_devices;
pub mod operators;
pub mod predictor;
pub mod ranks;
mod several;
pub mod trainer;
mod training;
pub mod tuning;

pub use device::{Device, DeviceChoice};
pub use predictor::{Norm, Predictor, Trained};
pub use trainer::Trainer;
