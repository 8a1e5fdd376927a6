//! Processes that talk by MPI.

use crate::engine::ranks::environment::Rank;
use crate::engine::ranks::group::Group;
use crate::engine::ranks::message::Message;
use crate::{Error, Result};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The most bytes of a message, whose length MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// Two numbers that differ where the arguments of this process do, and the program: those of another version
/// would not understand each other, and wait for ever.
fn fingerprint() -> [u64; 2] {
    let digest = |value: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        value(&mut hasher);
        hasher.finish()
    };
    let arguments = digest(&|hasher| std::env::args_os().skip(1).for_each(|word| word.hash(hasher)));
    // Where it cannot be read, as after an update, its version has to do.
    let program = std::env::current_exe().and_then(std::fs::read);
    let program = program.unwrap_or_else(|_| env!("CARGO_PKG_VERSION").into());
    [arguments, digest(&|hasher| program.hash(hasher))]
}

/// All processes that were started together. When the first one's is dropped, the others end.
pub struct World {
    communicator: SimpleCommunicator,
    // After the communicator.
    _universe: Universe,
}

impl World {
    /// Joins the others, if this process is one of several.
    ///
    /// # Errors
    /// [`Error::Device`] where MPI cannot be had, or knows of fewer processes than were started.
    pub fn join(rank: Rank) -> Result<Self> {
        let failed = |what: &str| Error::Device(format!("MPI: {what}"));
        let universe = mpi::initialize().ok_or_else(|| failed("cannot be initialised"))?;
        let communicator = universe.world();
        let size = communicator.size() as usize;
        if size != rank.count {
            return Err(failed(&format!(
                "{} processes were started, but {size} found each other; start them by the mpirun of the MPI \
                 that unheat was built with",
                rank.count
            )));
        }
        let own = fingerprint();
        let mut all = vec![0; own.len() * size];
        communicator.all_gather_into(&own[..], &mut all[..]);
        for (i, what) in ["were started with different arguments", "are different builds of unheat"]
            .into_iter()
            .enumerate()
        {
            if all.chunks_exact(own.len()).any(|other| other[i] != own[i]) {
                return Err(Error::usage(format!(
                    "the processes {what}, and share one training; start them with the same, or each \
                     by itself"
                )));
            }
        }
        Ok(Self { communicator, _universe: universe })
    }
}

impl World {
    /// Ends all processes: the others would wait for this one for ever.
    pub fn abort(&self, code: u8) -> ! {
        self.communicator.abort(code.into())
    }
}

impl Group for World {
    fn rank(&self) -> usize {
        self.communicator.rank() as usize
    }

    fn size(&self) -> usize {
        self.communicator.size() as usize
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let root = self.communicator.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(length as usize, 0);
        bytes.chunks_mut(MOST).for_each(|chunk| root.broadcast_into(chunk));
        bytes
    }

    fn all_gather(&self, own: &[u8], meanwhile: &mut dyn FnMut()) -> Vec<u8> {
        let mut all = vec![0; own.len() * self.size()];
        if all.len() <= MOST {
            mpi::request::scope(|scope| {
                let request = self.communicator.immediate_all_gather_into(scope, own, &mut all[..]);
                meanwhile();
                request.wait();
            });
            return all;
        }
        meanwhile();
        for (rank, bytes) in all.chunks_exact_mut(own.len()).enumerate() {
            if rank == self.rank() {
                bytes.copy_from_slice(own);
            }
            let root = self.communicator.process_at_rank(rank as i32);
            bytes.chunks_mut(MOST).for_each(|chunk| root.broadcast_into(chunk));
        }
        all
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.abort(1);
        }
        if self.rank() == 0 {
            self.broadcast(Message::End.to_bytes());
        }
    }
}
