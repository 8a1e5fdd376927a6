//! unheat
pub mod cases;
pub mod cli;
pub mod cpu;
pub mod error;
pub mod gpu;
pub mod io;
pub mod model;
pub mod train;
pub use error::{Error, Result};
