//! Files in and out: fields, tensors, the metrics table, curves and pictures.
//!
//! Every file but the growing tables of a run appears whole or not at all ([`atomic`]). Readers take nothing on
//! trust: a size claimed by a header is compared with the length of the file before memory is asked for.

pub mod atomic;
pub mod cache;
mod canvas;
pub mod checkpoint;
mod csv;
mod decode;
mod font;
pub mod html;
pub mod json_lines;
pub mod metrics;
pub mod npy;
mod npy_header;
pub mod photo;
pub mod picture;
pub mod plot;
pub mod rectangles;
pub mod report;
pub mod roofline;
pub mod run_folder;
mod seal;
pub mod tensors;
mod ticks;
pub mod validation;
pub mod weights;
