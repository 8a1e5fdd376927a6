//! The training of unheat in a browser: what the page's worker calls.
//!
//! Everything is computed by the library, with the shaders on WebGPU or by the CPU engine in WebAssembly.
//! Here settings become experiments, and fields become pictures. A call never waits: what takes time is a
//! promise, and the worker makes the next call when it has settled.

pub mod bench;
mod canvases;
pub mod check;
pub mod colours;
pub mod device;
pub mod experiment;
pub mod failure;
mod observer;
mod pictures;
pub mod settings;
mod training;
