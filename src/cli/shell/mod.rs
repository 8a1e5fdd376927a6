//! What shells, manuals and reports of faults want to know of the program.

pub(super) mod completions;
pub(super) mod man;
pub(super) mod version;
