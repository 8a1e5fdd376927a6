//! What trains and predicts on either engine, the GPU's shaders or the CPU.

#[cfg(not(target_family = "wasm"))]
mod cpu_engine;
#[cfg(not(target_family = "wasm"))]
pub mod device;
#[cfg(not(target_family = "wasm"))]
mod gpu_engine;
#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod kernels;
#[cfg(not(target_family = "wasm"))]
pub mod known_devices;
pub mod memory;
#[cfg(not(target_family = "wasm"))]
pub mod operators;
#[cfg(not(target_family = "wasm"))]
pub mod predictor;
#[cfg(not(target_family = "wasm"))]
mod several;
#[cfg(not(target_family = "wasm"))]
pub mod trainer;
#[cfg(not(target_family = "wasm"))]
mod training;
#[cfg(not(target_family = "wasm"))]
pub mod tuning;

#[cfg(not(target_family = "wasm"))]
pub use device::{Device, DeviceChoice};
#[cfg(not(target_family = "wasm"))]
pub use predictor::{Norm, Predictor, Trained};
#[cfg(not(target_family = "wasm"))]
pub use trainer::Trainer;
