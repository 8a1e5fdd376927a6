//! Train a U-Net *through the heat equation* with hand-written WGSL compute shaders, and learn to undo heat
//! conduction.
//!
//! Random hot rectangles x* are diffused to observations y* = P(x*); a network predicts x from y*. The
//! training signal is either the plain gradient through the simulator (GD) or the scale-invariant physics
//! update (SIP), a noise-aware inverse of the diffusion (Holl, Koltun, Thuerey: *Scale-invariant Learning by
//! Physics Inversion*).
//!
//! Most programs need five names. A [`Device`] computes; the [`HeatEquation`] says what diffusion does and
//! the [`UNet`] what the network is; a [`Trainer`] trains it, a [`Predictor`] uses it:
//!
//! ```
//! use unheat::engine::{Norm, Trained};
//! use unheat::train::Size;
//! use unheat::{Device, Predictor, TrainConfig};
//!
//! let config = TrainConfig {
//!     steps: 3,
//!     batch: 4,
//!     size: Size { nx: 16, ny: 16 },
//!     levels: 2,
//!     filters: vec![8],
//!     ..TrainConfig::default()
//! };
//! let mut plan = config.plan()?; // every value checked, every file read
//! let device = Device::Cpu; // or Device::open(&DeviceChoice::Auto)?
//! let mut trainer = plan.trainer(&device)?;
//! for step in 0..config.steps {
//!     trainer.submit(&plan.data.batch(step))?;
//! }
//! let losses = trainer.losses(true)?;
//! assert_eq!(losses.len(), 3);
//!
//! let state = trainer.state()?;
//! let trained = Trained { net: &plan.step.net, state: &state, norm: Norm::Running };
//! let mut predictor = Predictor::new(&device, trained, 1, 16, 16)?;
//! let observation = vec![0.5; 16 * 16];
//! let prediction = predictor.predict(&observation)?;
//! assert_eq!(prediction.len(), 16 * 16);
//! # Ok::<(), unheat::Error>(())
//! ```
//!
//! [`train::train`] does what `unheat train` does, with its folder of results, checkpoints and recovery:
//!
//! ```
//! use unheat::train::{Progress, Size, train};
//! use unheat::{Device, TrainConfig};
//!
//! struct Quiet;
//! impl Progress for Quiet {
//!     fn step(&mut self, _: &unheat::io::tables::metrics::Row, _: u64) {}
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
//!
//! `examples/` has programs of a page: train and plot, reconstruct a picture, add a kernel with its twin and
//! its case, use nothing but the FFT.
//!
//! The rooms, each using only those before it:
//!
//! - [`model`]: what is computed, wherever it runs.
//! - [`cpu`]: every stage in plain Rust: the reference, and the engine where there is no GPU.
//! - [`gpu`]: every stage as a WGSL kernel.
//! - [`blocking`]: a thread that waits for what [`gpu`] promises; there nothing waits.
//! - [`cases`]: the one list of comparisons between the two.
//! - [`io`]: arrays, weights, pictures, tables.
//! - [`train`]: the loop that drives either engine.
//! - [`mod@bench`]: how fast it does, and how fast it could.
//! - [`cli`]: the command line.

#[cfg(not(target_family = "wasm"))]
pub mod bench;
#[cfg(not(target_family = "wasm"))]
pub mod blocking;
#[cfg(not(target_family = "wasm"))]
pub mod cases;
#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;
pub mod cpu;
#[cfg(not(target_family = "wasm"))]
pub mod engine;
pub mod error;
pub mod gpu;
#[cfg(not(target_family = "wasm"))]
pub mod io;
pub mod model;
#[cfg(not(target_family = "wasm"))]
pub mod restore;
#[cfg(not(target_family = "wasm"))]
pub mod train;

#[cfg(not(target_family = "wasm"))]
pub use engine::{Device, DeviceChoice, Predictor, Trainer};
pub use error::{Error, Result};
pub use model::{HeatEquation, UNet};
#[cfg(not(target_family = "wasm"))]
pub use restore::Diffusion;
#[cfg(not(target_family = "wasm"))]
pub use train::TrainConfig;
