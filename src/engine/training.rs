//! What training asks of an engine, whatever computes.

use crate::gpu;
use crate::model::{Batch, Losses, Snapshot};
use crate::{Error, Result};
use std::time::Duration;

/// An engine whose steps several processes can share: it computes micro-batches, and takes over those of
/// others.
pub(crate) trait Sharing: Engine {
    /// Computes a micro-batch and updates nothing; `is_first` of the step on this engine. What is returned
    /// says to engines of this kind what it adds to the step: gradients, batch statistics, losses.
    fn compute(&mut self, part: &Batch, is_first: bool) -> Result<Vec<u8>>;

    /// Computes this engine's micro-batches of a step whose micro-batches are normalised together, as
    /// [`Sharing::compute`] does with each. Where another process fails, it ends with that one's error.
    fn compute_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<Vec<Vec<u8>>>;

    /// As [`Engine::predict`], for those micro-batches.
    fn predict_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<[Vec<f32>; 3]>;

    /// Bytes of what [`Sharing::compute`] returns.
    fn share_len(&self) -> usize;

    /// Takes over a micro-batch, whoever has computed it. They come in their order; the step's first one
    /// begins its sums, and its last one ends it with the update.
    fn take_over(&mut self, share: &[u8], is_first: bool, is_last: bool) -> Result<()>;
}

/// See [`Others::exchange`].
pub(crate) type Exchange<'a> = dyn FnMut(&[f32], Option<Error>) -> Result<Vec<f32>> + 'a;

/// The processes that compute the other micro-batches of a step.
pub(crate) struct Others<'a> {
    /// Where each micro-batch's numbers lie in what is exchanged, in the order of the micro-batches.
    pub(crate) order: &'a [usize],
    /// Gives the numbers of this process's micro-batches to the others, or as many that mean nothing with the
    /// reason, and returns those of all. After an error nothing is exchanged any more.
    pub(crate) exchange: &'a mut Exchange<'a>,
}

/// A network in training on one device. Steps run in the order in which they are submitted, and their losses
/// arrive in that order.
pub(crate) trait Engine {
    /// Starts a step. On a GPU it runs in the background; on the CPU it has run on return.
    fn submit(&mut self, batch: &Batch) -> Result<()>;

    /// Waits until the next step will not have to wait for earlier ones.
    fn make_room(&mut self) -> Result<()> {
        Ok(()) // where they have run on return
    }

    /// Asks for the losses of all submitted steps without waiting for them.
    fn request_losses(&mut self) -> Result<()> {
        Ok(()) // where they are there on return
    }

    /// Losses that have not been collected yet, in step order; with `all`, those of every submitted step.
    fn losses(&mut self, all: bool) -> Result<Vec<Losses>>;

    /// Flat parameters and running statistics after the last step.
    fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)>;

    /// Those of the last step whose losses, gradients and statistics were finite.
    fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)>;

    /// What the next step depends on; the caller knows how many batches the statistics have seen.
    fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot>;

    /// Goes on from a snapshot of the same architecture.
    fn restore(&mut self, snapshot: &Snapshot);

    /// Flat parameter gradients of the last step.
    fn gradients(&self) -> Result<Vec<f32>>;

    /// Truth, observation and prediction, each `[batch, nx, ny]`; updates the running statistics.
    fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]>;

    /// The longest dispatch of a GPU and its estimated time, when it takes longer than a submission may; told
    /// once.
    fn too_long(&mut self) -> Option<(String, Duration)> {
        None
    }

    /// The step on the GPU, for looking into it.
    fn gpu_step(&self) -> Option<&gpu::Step> {
        None
    }

    /// Seconds that the parts of the last step took on the CPU, in the order of [`crate::cpu::step::Part`].
    fn cpu_seconds(&self) -> Option<[f64; 4]> {
        None
    }
}
