//! Training: the settings, the engines, the loop and what it leaves behind.

pub mod checkpoint;
pub mod classic;
pub mod comparison;
pub mod comparison_report;
pub mod compute;
pub mod config;
pub mod data;
pub mod diffusion;
pub mod engine;
pub mod fields;
mod journal;
pub mod memory;
pub mod plan;
pub mod planes;
pub mod reconstruct;
pub mod refine;
pub mod report;
pub mod resume;
pub mod run;
pub mod settings;
pub mod size;
pub mod summary;
pub mod tiles;
pub mod tuning;
mod validation;

pub use classic::Classic;
pub use compute::{Compute, DeviceChoice};
pub use config::TrainConfig;
pub use data::Data;
pub use diffusion::Diffusion;
pub use engine::Engine;
pub use plan::Plan;
pub use reconstruct::{Norm, Reconstructor};
pub use resume::Resumed;
pub use run::{Outcome, Progress, resume, train};
pub use size::Size;
