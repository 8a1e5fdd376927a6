//! Flags that several commands share, and what holds for the flags of all.

pub(super) mod device;
pub(super) mod film;
pub(super) mod measurement;
pub(super) mod numbers;
pub(super) mod operator;
pub(super) mod settings;
pub(super) mod tuning;
pub(super) mod varied;
