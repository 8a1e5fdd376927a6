//! Training: the settings, the engines, the loop and what it leaves behind.

pub mod classic;
pub mod compute;
pub mod config;
pub mod data;
pub mod diffusion;
pub mod engine;
pub mod fields;
pub mod memory;
pub mod planes;
pub mod reconstruct;
pub mod refine;
pub mod report;
pub mod run;
pub mod summary;
pub mod tiles;
pub mod tuning;

pub use classic::Classic;
pub use compute::{Compute, DeviceChoice};
pub use config::{Size, TrainConfig};
pub use data::Data;
pub use diffusion::Diffusion;
pub use engine::Engine;
pub use reconstruct::{Norm, Reconstructor};
pub use run::{Outcome, Progress, train};
