//! Train a U-Net *through the heat equation* with hand-written WGSL compute shaders, and learn to undo heat
//! conduction.
//!
//! Random hot rectangles x* are diffused to observations y* = P(x*); a network predicts x from y*. The
//! training signal is either the plain gradient through the simulator (GD) or the scale-invariant physics
//! update (SIP), a noise-aware inverse of the diffusion (Holl, Koltun, Thuerey: *Scale-invariant Learning by
//! Physics Inversion*).
//!
//! # Usage
//!
//! ```toml
//! [dependencies]
//! unheat = { version = "0.1", default-features = false, features = ["npy"] }
//! ```
//!
//! Most programs need five names. A [`Device`] computes; the [`Operator`] says what diffusion does and
//! the [`UNet`] what the network is; a [`Trainer`] trains it, a [`Predictor`] uses it:
//!
//! ```
//! use unheat::engine::{Norm, Trained};
//! use unheat::model::UNetConfig;
//! use unheat::train::Size;
//! use unheat::{Device, Predictor, TrainConfig};
//!
//! let config = TrainConfig {
//!     steps: 3,
//!     batch: 4,
//!     size: Size { nx: 16, ny: 16 },
//!     levels: 2,
//!     net: UNetConfig { filters: vec![8], ..Default::default() },
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
//! use unheat::io::tables::metrics::MetricsRow;
//! use unheat::model::UNetConfig;
//! use unheat::train::{Progress, Size, train};
//! use unheat::{Device, TrainConfig};
//!
//! struct Quiet;
//! impl Progress for Quiet {
//!     fn step(&mut self, _: &MetricsRow, _: u64) {}
//! }
//!
//! let folder = tempfile::tempdir().unwrap();
//! let config = TrainConfig {
//!     steps: 2,
//!     batch: 4,
//!     size: Size { nx: 16, ny: 16 },
//!     levels: 2,
//!     net: UNetConfig { filters: vec![8], ..Default::default() },
//!     ..TrainConfig::default()
//! };
//! let outcome = train(&config, config.plan()?, &Device::Cpu, Some(&folder.path().join("run")), &mut Quiet)?;
//! println!("x loss {}", outcome.x_l2);
//! # Ok::<(), unheat::Error>(())
//! ```
//!
//! The repository's `examples/` has programs of a page: train and plot, reconstruct a picture, add a kernel
//! with its twin and its case, use nothing but the FFT.
//!
//! # Features
//!
//! - `cli` (on by default): the program `unheat` and the module `cli`. It switches the other two on.
//! - `npy`: fields from NumPy's `.npy` files and back ([`io::arrays::npy`]). Without it such files are
//!   refused with an error.
//! - `pictures`: PNG, JPEG, TIFF, GIF, WebP and BMP files as fields, plots, and HTML reports. Without it
//!   picture files are refused with an error, and a run writes everything but its pictures.
//!
//! The library without features builds from fewer than a hundred packages. Vulkan, Metal and DirectX 12 are
//! always in; which of them is built depends on the target. For `wasm32` everything is built that does not
//! wait: [`model`], [`cpu`], [`gpu`], [`cases`], and of [`io`] and [`train`] what needs no system.
//!
//! # Conventions
//!
//! - **Arrays** are flat and in C order: a field is `[nx, ny]`, x first, y contiguous; a batch is `[batch,
//!   nx, ny]`.
//! - **Units**: cells are squares of side 1, and lengths are in cells. The amount of diffusion is diffusivity
//!   × time, in cells². Temperatures have whatever unit the input has; every drawn rectangle adds between 0
//!   and 1.
//! - **Losses** are sums over the cells, not means: ½ Σ (x* − x)² for the x loss, ½ Σ (y − y*)² for the y
//!   loss.
//! - **The FFT** ([`gpu::heat::fft`], [`cpu::heat::fft`]) has no factor forward and 1/(nx·ny) backward, as
//!   NumPy's default. Frequencies are unshifted: bin k of an axis of n holds k/n for k < n/2 and (k − n)/n
//!   above.
//!
//! # Reproducibility
//!
//! Equal settings and an equal seed give the same bytes (weights, checkpoints, losses) on the same device
//! with the same driver, whatever the number of threads, however often the run was interrupted, and whichever
//! variants of the kernels are chosen. Other devices round differently. Random numbers are ChaCha with 8
//! rounds, keyed by purpose, seed, step and sample ([`model::rng`]), so their bits are the same everywhere.
//!
//! # Rooms
//!
//! Each room uses only those before it:
//!
//! - [`model`]: what is computed, wherever it runs.
//! - [`cpu`]: every stage in plain Rust: the reference, and the engine where there is no GPU.
//! - [`gpu`]: every stage as a WGSL kernel.
//! - [`blocking`]: a thread that waits for the futures of [`gpu`], where nothing waits.
//! - [`cases`]: the one list of comparisons between the two.
//! - [`io`]: arrays, weights, pictures, tables.
//! - [`engine`]: what trains and predicts, on the CPU or a GPU.
//! - [`trust`]: whether a device computes right.
//! - [`restore`]: how fields and pictures are restored.
//! - [`train`]: the loop that drives either engine.
//! - [`mod@bench`]: how fast it does, and how fast it could.
//! - `sweep`, `cli`: many runs in processes of their own, and the command line.

// What waits, and what it alone needs, is not for browsers.
#![cfg_attr(target_family = "wasm", allow(dead_code))]

pub mod bench;
#[cfg(not(target_family = "wasm"))]
pub mod blocking;
pub mod cases;
#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;
pub mod cpu;
#[cfg(not(target_family = "wasm"))]
pub mod engine;
pub mod error;
pub mod gpu;
pub mod io;
pub mod model;
#[cfg(not(target_family = "wasm"))]
pub mod restore;
#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod sweep;
pub mod train;
#[cfg(not(target_family = "wasm"))]
pub mod trust;

#[cfg(not(target_family = "wasm"))]
pub use engine::{Device, DeviceChoice, Predictor, Trainer};
pub use error::{Error, Result};
pub use model::{Operator, UNet};
#[cfg(not(target_family = "wasm"))]
pub use restore::Blur;
pub use train::TrainConfig;
