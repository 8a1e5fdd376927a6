//! Many runs of one experiment: combinations of settings, trained as far apart as processes are, and a report
//! on all of them.
//!
//! The folder of a sweep holds everything that is known: `sweep.toml` has the runs, `runs/001/` what
//! `unheat train` leaves of the first one, `runs/001.log` what it said and `runs/001.toml` how it ended.
//! Tables and pictures are made of that alone, so that a sweep can be gone on with after any end, by any
//! number of processes.

pub mod combine;
pub mod devices;
pub mod ending;
pub mod folder;
pub mod halving;
pub mod process;
pub mod report;
pub mod results;
pub mod run;
pub mod values;
pub mod work;

pub use combine::{Setting, Way};
pub use folder::Sweep;
pub use halving::Halving;
pub use run::Run;
