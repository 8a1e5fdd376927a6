//! The files that commands read and write: arrays, pictures, folders of them.

pub(super) mod arrays;
pub(super) mod input;
pub(super) mod named;
pub(super) mod output;
pub(super) mod restoration_figure;
pub(super) mod sources;
