//! What a thread needs for the sample at hand.

use crate::cpu::fast::nn::points::Workspace;
use std::sync::Mutex;

/// What is made of one sample, each `[nx, ny, channels]`.
#[derive(Default)]
pub(crate) struct Scratch {
    /// What a convolution reads.
    pub(crate) padded: Vec<f32>,
    /// ∂L/∂z, padded as the adjoint convolution reads it.
    pub(crate) gradient: Vec<f32>,
    /// An activation that is pooled or upsampled, or that the last convolution reads.
    pub(crate) activation: Vec<f32>,
    /// What the adjoint convolution carries on to what was pooled or upsampled.
    pub(crate) carried: Vec<f32>,
    pub(crate) workspace: Workspace,
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
