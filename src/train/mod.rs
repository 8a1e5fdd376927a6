//! Training: the settings, the loop and what it leaves behind.

#[cfg(not(target_family = "wasm"))]
pub mod checkpoint;
#[cfg(not(target_family = "wasm"))]
pub mod comparison;
pub mod config;
pub mod data;
#[cfg(all(feature = "pictures", not(target_family = "wasm")))]
pub mod drawings;
#[cfg(not(target_family = "wasm"))]
pub mod found;
#[cfg(not(target_family = "wasm"))]
mod metrics_log;
#[cfg(not(target_family = "wasm"))]
pub mod plan;
#[cfg(not(target_family = "wasm"))]
pub mod preview;
#[cfg(not(target_family = "wasm"))]
pub mod progress;
#[cfg(not(target_family = "wasm"))]
mod recovery;
#[cfg(not(target_family = "wasm"))]
pub mod results;
#[cfg(not(target_family = "wasm"))]
pub mod resume;
#[cfg(not(target_family = "wasm"))]
pub mod run;
#[cfg(not(target_family = "wasm"))]
pub mod same_data;
pub mod summary;
#[cfg(not(target_family = "wasm"))]
mod validation;

pub use config::TrainConfig;
pub use config::on_nan::OnNan;
pub use config::size::Size;
#[cfg(not(target_family = "wasm"))]
pub use data::Data;
#[cfg(not(target_family = "wasm"))]
pub use found::Found;
#[cfg(not(target_family = "wasm"))]
pub use plan::Plan;
#[cfg(not(target_family = "wasm"))]
pub use preview::Preview;
#[cfg(not(target_family = "wasm"))]
pub use progress::{Outcome, Progress};
#[cfg(not(target_family = "wasm"))]
pub use resume::Resumed;
#[cfg(not(target_family = "wasm"))]
pub use run::{resume, train};
