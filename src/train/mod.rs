//! Training: the settings, the engines, the loop and what it leaves behind.

pub mod compute;
pub mod config;
pub mod engine;
pub mod fields;
pub mod report;
pub mod run;
pub mod summary;

pub use compute::{Compute, DeviceChoice};
pub use config::{Size, TrainConfig};
pub use engine::Engine;
pub use run::{Outcome, Progress, train};
