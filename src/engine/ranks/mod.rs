//! One network that several processes train, each on a GPU or cores of its own. Every process holds all
//! weights. The micro-batches of a step are dealt out; their gradients, statistics and losses are gathered,
//! and everybody adds them up in the order of the micro-batches and updates the weights. So any number of
//! processes ends in the same bytes.
//!
//! The first process trains as if it were alone. The others do what it says ([`serve`]), until it ends.

pub(crate) mod data_parallel;
pub mod environment;
mod group;
pub(crate) mod message;
#[cfg(feature = "mpi")]
pub mod mpi;
mod worker;

pub use crate::engine::ranks::data_parallel::serve;
pub use crate::engine::ranks::group::Group;
