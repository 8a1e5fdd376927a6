//! Files in and out: fields, tensors, the metrics table, curves and pictures.
//!
//! Every file but the growing tables of a run appears whole or not at all ([`atomic`]). Readers take nothing
//! on trust: a size claimed by a header is compared with the length of the file before memory is asked for.

pub mod arrays;
pub mod atomic;
pub mod cache;
pub mod contents;
#[cfg(feature = "pictures")]
pub mod html;
pub mod identity;
pub mod images;
pub mod memory;
#[cfg(feature = "pictures")]
pub mod plots;
pub mod point_spread;
pub mod run_folder;
pub mod tables;
