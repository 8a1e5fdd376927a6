//! TIFF in and out: intensities, values in their own units, stacks.
//!
//! What a page is follows from its directory of tags, which is read here and not believed before it has been
//! compared with the file's length. Its strips and tiles are unpacked by the `tiff` crate. That is told that
//! every page is grey with so many samples, and what the samples mean is decided here, so that floating point
//! and integer samples, palettes, inks and any number of channels are all read in one way.

mod chunks;
mod colour;
mod directory;
mod page;
mod read;
mod samples;
mod write;

pub(crate) use read::{claim, read};
pub(crate) use write::write;
