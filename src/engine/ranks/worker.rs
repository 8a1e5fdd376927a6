//! One of several processes that compute the micro-batches of a step.
//!
//! Whatever fails in one of them, all take part in the same messages: the reason travels as a byte of the
//! next one, and then all end what they do in the same place.

use crate::engine::device::Device;
use crate::engine::engines;
use crate::engine::ranks::group::Group;
use crate::engine::training::{Others, Sharing};
use crate::model::unet::init::State;
use crate::model::{Batch, StepSpec};
use crate::{Error, Result};
use std::hash::{DefaultHasher, Hash, Hasher};

/// An engine with its share of the work.
pub(crate) struct Worker {
    pub(crate) engine: Box<dyn Sharing>,
    micro_batches: usize,
    cells: usize,
    /// Micro-batches of this process, where all of a step are normalised together.
    pub(crate) together: Option<usize>,
    /// Samples of a micro-batch.
    samples: usize,
    /// Why it can do nothing any more, which the others are told at the next occasion.
    pub(crate) failure: Option<Error>,
}

/// Why something is not done, in all processes.
pub(crate) enum Failure {
    /// This process has failed.
    Own(Error),
    /// Process 0 knows of this one that it has.
    Other(usize),
    /// This one has other weights than process 0.
    Unequal(usize),
}

/// What happens in all processes, or in none.
pub(crate) type Agreed<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Own(error) => error,
            Self::Other(other) => Error::Device(format!("process {other} has failed, and says why")),
            Self::Unequal(other) => Error::usage(format!(
                "process {other} has other weights than process 0 after the same steps: its device rounds \
                 otherwise; start the processes on devices of one kind, and go on from the last checkpoint"
            )),
        }
    }
}

impl Worker {
    /// Of a group of so many `processes`.
    pub(crate) fn new(device: &Device, spec: &StepSpec, start: &State, processes: usize) -> Result<Self> {
        let own = spec.shared_by(processes);
        let engine = engines::new(device, &own, start)?;
        let (micro_batches, cells, samples) =
            (spec.micro_batches, spec.operator.cells(), spec.samples_at_once);
        Ok(Self { engine, micro_batches, cells, samples, together: own.together, failure: None })
    }

    /// Runs a step. Micro-batch i is computed by process i modulo their number; everybody takes over all of
    /// them in their order. While those of a round travel, the next ones are computed. Where a process fails,
    /// the step fails in all of them.
    pub(crate) fn step(&mut self, group: &dyn Group, batch: &Batch) -> Agreed<()> {
        let parts = batch.parts(self.micro_batches, self.cells);
        let parts: Vec<&Batch> = parts.iter().map(|part| &**part).collect();
        let mut computed = self.compute_together(group, &parts)?.into_iter();
        let mut rounds = parts.chunks(group.size()).enumerate().peekable();
        let mut share = self.share(parts.get(group.rank()), true, computed.next());
        while let Some((r, round)) = rounds.next() {
            let mut next = Vec::new();
            let all = group.all_gather(&share, &mut || {
                if let Some((_, following)) = rounds.peek() {
                    next = self.share(following.get(group.rank()), false, computed.next());
                }
            });
            let shares = check_all(&all, share.len(), &mut self.failure)?;
            for (i, share) in shares[..round.len()].iter().enumerate() {
                let is_last = r * group.size() + i + 1 == parts.len();
                let taken = self.engine.take_over(share, r + i == 0, is_last);
                self.failure = self.failure.take().or(taken.err());
            }
            share = next;
        }
        Ok(())
    }

    /// What a micro-batch adds to the step, and whether it could be computed. Where a process has no part in
    /// a round, as many bytes that nobody reads.
    fn share(&mut self, part: Option<&&Batch>, is_first: bool, computed: Option<Vec<u8>>) -> Vec<u8> {
        let found = match (computed, part, &self.failure) {
            (Some(computed), _, _) => Ok(computed),
            (None, Some(part), None) => self.engine.compute(part, is_first),
            _ => Ok(Vec::new()),
        };
        let mut share = found.unwrap_or_else(|error| {
            self.failure = Some(error);
            Vec::new()
        });
        share.resize(self.engine.share_len(), 0);
        share.push(self.failure.is_some().into());
        share
    }

    /// What the micro-batches of this process add to a step where all are normalised together; nothing where
    /// each is normalised by itself, or where this process has failed.
    fn compute_together(&mut self, group: &dyn Group, parts: &[&Batch]) -> Agreed<Vec<Vec<u8>>> {
        let Some(count) = self.together else { return Ok(Vec::new()) };
        let found =
            self.among(group, parts, count, |engine, own, others| engine.compute_together(own, others))?;
        Ok(found.unwrap_or_default())
    }

    /// Truth, observation and prediction for a batch.
    pub(crate) fn predict(&mut self, group: &dyn Group, batch: &Batch) -> Agreed<[Vec<f32>; 3]> {
        let Some(count) = self.together else { return self.engine.predict(batch).map_err(Failure::Own) };
        let parts = batch.parts(self.micro_batches, self.cells);
        let parts: Vec<&Batch> = parts.iter().map(|part| &**part).collect();
        let own =
            self.among(group, &parts, count, |engine, own, others| engine.predict_together(own, others))?;
        let len = self.samples * self.cells; // of a micro-batch's fields
        let own = own.unwrap_or_else(|| [(); 3].map(|()| vec![0.0; count * len]));
        let mut share: Vec<u8> = bytemuck::pod_collect_to_vec(&own.concat());
        share.push(self.failure.is_some().into());
        let all = group.all_gather(&share, &mut || {});
        let shares = check_all(&all, share.len(), &mut self.failure)?;
        let shares: Vec<Vec<f32>> = shares.into_iter().map(bytemuck::pod_collect_to_vec).collect();
        let order = order(parts.len(), count, group.size());
        Ok([0, 1, 2].map(|field| {
            let at = |at: &usize| &shares[at / count][(field * count + at % count) * len..][..len];
            order.iter().flat_map(at).copied().collect()
        }))
    }

    /// Runs `compute` for the micro-batches of this process among those of all, which are normalised
    /// together. Where a process has fewer than others, it computes the first one once more, for nobody.
    /// Nothing comes out where this process has failed after all exchanges; the others hear of it at the next
    /// occasion.
    fn among<R>(
        &mut self,
        group: &dyn Group,
        parts: &[&Batch],
        count: usize,
        compute: impl FnOnce(&mut dyn Sharing, &[&Batch], &mut Others) -> Result<R>,
    ) -> Agreed<Option<R>> {
        let own = (0..count).map(|i| {
            parts[Some(group.rank() + i * group.size()).filter(|part| *part < parts.len()).unwrap_or(0)]
        });
        let own: Vec<&Batch> = own.collect();
        let Self { engine, failure, .. } = self;
        let mut ended = None;
        let mut exchange = |own: &[f32], error: Option<Error>| {
            *failure = failure.take().or(error);
            let mut share = bytemuck::cast_slice(own).to_vec();
            share.push(failure.is_some().into());
            let all = group.all_gather(&share, &mut || {});
            match check_all(&all, share.len(), failure) {
                Ok(shares) => Ok(bytemuck::pod_collect_to_vec(&shares.concat())),
                Err(failure) => {
                    ended = Some(failure);
                    Err(Error::Device("a process has failed".to_owned())) // in all of them
                }
            }
        };
        let order = order(parts.len(), count, group.size());
        let found = compute(&mut **engine, &own, &mut Others { order: &order, exchange: &mut exchange });
        match (ended, found) {
            (Some(ended), _) => Err(ended),
            (None, Ok(found)) => Ok(Some(found)),
            (None, Err(own)) => {
                self.failure = self.failure.take().or(Some(own));
                Ok(None)
            }
        }
    }

    /// A number that differs where the weights do.
    fn digest(&self) -> Result<u64> {
        let (params, statistics) = self.engine.weights()?;
        let mut hasher = DefaultHasher::new();
        [params, statistics].iter().for_each(|v| bytemuck::cast_slice::<f32, u8>(v).hash(&mut hasher));
        Ok(hasher.finish())
    }

    /// Whether all processes have the same weights. They compute them each for itself, and processors and
    /// drivers of other kinds may round otherwise.
    pub(crate) fn compare(&self, group: &dyn Group) -> Agreed<()> {
        let own = match &self.failure {
            Some(failure) => Err(Error::Device(failure.to_string())),
            None => self.digest(),
        };
        let mut share = own.as_ref().map_or(0, |digest| *digest).to_ne_bytes().to_vec();
        share.push(own.is_err().into());
        let all = group.all_gather(&share, &mut || {});
        let shares = check_all(&all, share.len(), &mut own.err())?;
        match shares.iter().position(|share| share != &shares[0]) {
            None => Ok(()),
            Some(other) => Err(Failure::Unequal(other)),
        }
    }
}

/// Where each of so many micro-batches lies among those of all processes, of which each has `count`.
fn order(micro_batches: usize, count: usize, processes: usize) -> Vec<usize> {
    (0..micro_batches).map(|part| part % processes * count + part / processes).collect()
}

/// What each process has sent, `len` bytes of which the last one says whether it has failed. Where one has,
/// all fail: with their own error, or with one that names it.
fn check_all<'a>(all: &'a [u8], len: usize, own: &mut Option<Error>) -> Agreed<Vec<&'a [u8]>> {
    let shares: Vec<&[u8]> = all.chunks_exact(len).collect();
    match shares.iter().position(|share| share[len - 1] != 0) {
        None => Ok(shares.into_iter().map(|share| &share[..len - 1]).collect()),
        Some(failed) => Err(own.take().map_or(Failure::Other(failed), Failure::Own)),
    }
}

/// Whether all can begin.
pub(crate) fn agree(group: &dyn Group, own: Result<Worker>) -> Agreed<Worker> {
    let share = [own.is_err().into()];
    let all = group.all_gather(&share, &mut || {});
    let (worker, mut failure) = match own {
        Ok(worker) => (Some(worker), None),
        Err(error) => (None, Some(error)),
    };
    check_all(&all, share.len(), &mut failure)?;
    worker.ok_or(Failure::Other(group.rank())) // who has none has failed
}
