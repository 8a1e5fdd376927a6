//! What a thread needs for the sample at hand.

use crate::cpu::fast::nn::conv3x3::Blocks;
use std::sync::Mutex;

/// One sample's planes.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What a convolution reads.
    pub(crate) padded: Vec<f32>,
    /// ∂L/∂z, padded as the adjoint convolution reads it.
    pub(crate) gradient: Vec<f32>,
    pub(crate) plane: Vec<f32>,
    pub(crate) planes: Vec<f32>,
    pub(crate) blocks: Blocks,
}

/// One for each thread of the pool that this was made in, kept from step to step. In a larger pool, threads
/// would wait for each other.
pub(crate) struct Scratches(Vec<Mutex<Scratch>>);

impl Scratches {
    pub(crate) fn new() -> Self {
        Self((0..rayon::current_num_threads()).map(|_| Mutex::default()).collect())
    }

    /// Calls `compute` with that of this thread.
    pub(crate) fn with<R>(&self, compute: impl FnOnce(&mut Scratch) -> R) -> R {
        let Self(all) = self;
        let own = &all[rayon::current_thread_index().unwrap_or(0) % all.len()];
        compute(&mut own.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
