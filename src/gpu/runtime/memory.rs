//! What the tensors of a device are for, and how much of its memory each use takes.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryUse {
    /// Nobody has said.
    Other,
    /// Parameters, running statistics, their last good copies, Adam's moments.
    Parameters,
    /// What layers leave for those after them and for the backward pass.
    Activations,
    /// Gradients of parameters and activations.
    Gradients,
    /// Fields, spectra and tables outside the network.
    Physics,
    /// Partial sums and whatever else lives for a few dispatches.
    Scratch,
    /// Losses on their way to the host.
    Readback,
}

impl MemoryUse {
    /// Every use, in the order of tables.
    pub const ALL: [Self; 7] = [
        Self::Parameters,
        Self::Activations,
        Self::Gradients,
        Self::Physics,
        Self::Scratch,
        Self::Readback,
        Self::Other,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters and optimiser",
            Self::Activations => "activations",
            Self::Gradients => "gradients",
            Self::Physics => "physics",
            Self::Scratch => "scratch",
            Self::Readback => "readback",
            Self::Other => "other",
        }
    }
}

/// A device's account of its memory.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Bytes of living buffers, by use.
    bytes: [AtomicU64; MemoryUse::ALL.len()],
    /// What buffers made now are for.
    current: AtomicUsize,
    /// Bytes for all living tensors, where the driver's own limit is not the one to meet.
    limit: OnceLock<u64>,
}

impl Ledger {
    /// Runs `make`; the buffers that it makes are for `memory_use`, unless it says otherwise itself.
    pub(crate) fn allocate_for<R>(&self, memory_use: MemoryUse, make: impl FnOnce() -> R) -> R {
        let before = self.current.swap(memory_use as usize, Relaxed);
        let made = make();
        self.current.store(before, Relaxed);
        made
    }

    /// Sets the bytes for all living tensors, once.
    pub(crate) fn limit(&self, bytes: u64) {
        self.limit.get_or_init(|| bytes);
    }

    /// Whether another tensor of this size keeps the limit. What is read back lies in the host's memory.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let on_device = MemoryUse::ALL.iter().filter(|&&used| used != MemoryUse::Readback);
        let taken: u64 = on_device.map(|&used| self.bytes(used)).sum();
        self.limit.get().is_none_or(|&limit| taken + bytes <= limit)
    }

    /// Bytes of the buffers that are alive now and are for `memory_use`.
    pub(crate) fn bytes(&self, memory_use: MemoryUse) -> u64 {
        self.bytes[memory_use as usize].load(Relaxed)
    }
}

/// One buffer's line in the [`Ledger`], struck out when the last clone is dropped.
#[derive(Debug)]
pub(crate) struct Allocation {
    ledger: Arc<Ledger>,
    place: usize,
    bytes: u64,
}

impl Allocation {
    /// Notes `bytes` for the current use.
    pub(crate) fn new(ledger: &Arc<Ledger>, bytes: u64) -> Self {
        let place = ledger.current.load(Relaxed);
        ledger.bytes[place].fetch_add(bytes, Relaxed);
        Self { ledger: ledger.clone(), place, bytes }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.ledger.bytes[self.place].fetch_sub(self.bytes, Relaxed);
    }
}
