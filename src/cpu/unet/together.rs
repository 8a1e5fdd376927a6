//! Micro-batches that are normalised together: their batch norms share the statistics of all of them.

use crate::cpu::Real;

/// Gives the numbers of this network's micro-batches to other processes, and returns theirs too.
pub type Exchange<'a, T> = dyn FnMut(&[T]) -> Vec<T> + 'a;

/// What a network computes of the micro-batches that are normalised together.
pub struct Together<'a, T> {
    /// Samples of a micro-batch.
    pub samples: usize,
    /// Where the numbers of each micro-batch lie in what is exchanged, in the order of the micro-batches.
    pub order: &'a [usize],
    /// Brings them there, `[micro-batches, numbers of each]`.
    pub exchange: &'a mut Exchange<'a, T>,
}

impl<T: Real> Together<'_, T> {
    /// Every micro-batch's numbers, in the order of the micro-batches; `own` has those of this network's.
    pub(crate) fn all(&mut self, own: &[Vec<T>]) -> Vec<Vec<T>> {
        let len = own[0].len();
        let all = (self.exchange)(&own.concat());
        self.order.iter().map(|at| all[at * len..][..len].to_vec()).collect()
    }
}

/// As if nobody else were there: calls `compute` with a batch that is one micro-batch of so many `samples`.
pub(crate) fn alone<T: Real, R>(samples: usize, compute: impl FnOnce(&mut Together<T>) -> R) -> R {
    compute(&mut Together { samples, order: &[0], exchange: &mut |own| own.to_vec() })
}
