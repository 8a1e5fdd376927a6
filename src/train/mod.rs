//! Training: the settings, the loop and what it leaves behind.

pub mod checkpoint;
pub mod comparison;
pub mod config;
pub mod data;
#[cfg(feature = "pictures")]
pub mod drawings;
pub mod found;
mod metrics_log;
pub mod picture_crops;
pub mod plan;
pub mod preview;
pub mod progress;
mod recovery;
pub mod results;
pub mod resume;
pub mod run;
pub mod same_data;
pub mod summary;
mod validation;

pub use config::TrainConfig;
pub use config::on_nan::OnNan;
pub use config::size::Size;
pub use data::Data;
pub use found::Found;
pub use plan::Plan;
pub use preview::Preview;
pub use progress::{Outcome, Progress};
pub use resume::Resumed;
pub use run::{resume, train};
