//! What shells and manuals want to know of the command line.

pub(super) mod completions;
pub(super) mod man;
