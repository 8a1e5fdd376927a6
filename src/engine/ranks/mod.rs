//! One network that several processes train, each on cores of its own. Every process holds all weights. A step's
//! micro-batches are dealt out; their gradients, statistics and losses are gathered, and everybody adds them up
//! in the order of the micro-batches and updates the weights. So any number of processes ends in the same bytes.
//!
//! The first process trains as if it were alone. The others do what it says ([`serve`]), until it ends.

mod data_parallel;
pub mod environment;
mod message;
#[cfg(feature = "mpi")]
pub mod mpi;

pub(crate) use crate::engine::ranks::data_parallel::DataParallel;
pub use crate::engine::ranks::data_parallel::serve;
pub(crate) use crate::engine::ranks::message::Message;

/// Processes that can talk to each other, all at once.
pub trait Group {
    /// The number of this process, from 0 on.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Gives the bytes of process 0 to all.
    fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8>;

    /// Gives everybody's bytes to all, in the order of the processes; they are equally many.
    fn all_gather(&self, own: &[u8]) -> Vec<u8>;
}
