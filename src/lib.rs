//! Train a U-Net *through the heat equation* with hand-written WGSL compute shaders, and learn to undo heat
//! conduction.
//!
//! Random hot rectangles x* are diffused to observations y* = P(x*); a network predicts x from y*. The training
//! signal is either the plain gradient through the simulator (GD) or the scale-invariant physics update (SIP), a
//! noise-aware inverse of the diffusion (Holl, Koltun, Thuerey: *Scale-invariant Learning by Physics Inversion*).
//!
//! The rooms, each using only those before it:
//!
//! - [`model`]: what is computed, wherever it runs.
//! - [`cpu`]: every stage in plain Rust: the reference, and the engine where there is no GPU.
//! - [`gpu`]: every stage as a WGSL kernel.
//! - [`cases`]: the one list of comparisons between the two.
//! - [`io`]: arrays, weights, pictures, tables.
//! - [`train`]: the loop that drives either engine.
//! - [`mod@bench`]: how fast it does, and how fast it could.
//! - [`cli`]: the command line.
//!
//! ```
//! use unheat::train::{Device, Progress, Size, TrainConfig, train};
//!
//! struct Quiet;
//! impl Progress for Quiet {
//!     fn step(&mut self, _: &unheat::io::metrics::Row, _: u64) {}
//! }
//!
//! let folder = tempfile::tempdir().unwrap();
//! let config = TrainConfig {
//!     steps: 2,
//!     batch: 4,
//!     size: Size { nx: 16, ny: 16 },
//!     levels: 2,
//!     filters: vec![8],
//!     ..TrainConfig::default()
//! };
//! let outcome = train(&config, config.plan()?, &Device::Cpu, Some(&folder.path().join("run")), &mut Quiet)?;
//! println!("x loss {}", outcome.x_l2);
//! # Ok::<(), unheat::Error>(())
//! ```

#[cfg(not(target_family = "wasm"))]
pub mod bench;
pub mod cases;
#[cfg(not(target_family = "wasm"))]
pub mod cli;
pub mod cpu;
pub mod error;
pub mod gpu;
#[cfg(not(target_family = "wasm"))]
pub mod io;
pub mod model;
#[cfg(not(target_family = "wasm"))]
pub mod train;

pub use error::{Error, Result};
