//! Steps whose micro-batches are normalised together, on one device or on several.

use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::Step;
use crate::gpu::unet::together::Segment;
use crate::gpu::{Gpu, Tensor};
use crate::model::Batch;
use crate::{Error, Result};

/// Gives the statistics of the micro-batches here to other devices, or as many numbers that mean nothing with
/// the reason, and returns those of all, `[micro-batches, numbers]`. After an error it is not called again.
pub type Exchange<'a> = dyn FnMut(&[f32], Option<Error>) -> Result<Vec<f32>> + 'a;

impl Step {
    /// Submits a step, all of whose micro-batches are here.
    pub(super) async fn submit_together(&mut self, parts: &[&Batch]) -> Result<()> {
        self.make_room().await?;
        self.upload(parts)?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        self.recordings.compute(&mut work, &parts[0].truth, true);
        work.submit();
        for i in 0..parts.len() {
            self.make_room().await?;
            if i > 0 {
                self.bring_to_first(i);
            }
            self.submit_part(None, i == 0, i + 1 == parts.len())?;
        }
        Ok(())
    }

    /// As [`Step::compute`], for the micro-batches of a step that are here. `order` says where the statistics
    /// of each micro-batch lie in what `exchange` returns.
    pub async fn compute_together(
        &mut self,
        parts: &[&Batch],
        order: &[usize],
        exchange: &mut Exchange<'_>,
    ) -> Result<Vec<Vec<f32>>> {
        let begun = self.begin(parts);
        let forward = self.run(begun, true, order, exchange).await;
        self.run(forward, false, order, exchange).await?;
        let mut shares = Vec::new();
        for lane in &self.arrays.lanes {
            shares.push(self.gpu.fetch_all(lane.share()).await?.concat());
        }
        Ok(shares)
    }

    /// As [`Step::predict`], for the micro-batches of a step that are here.
    pub async fn predict_together(
        &mut self,
        parts: &[&Batch],
        order: &[usize],
        exchange: &mut Exchange<'_>,
    ) -> Result<[Vec<f32>; 3]> {
        let begun = self.begin(parts);
        self.run(begun, true, order, exchange).await?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        work.run(&self.recordings.guard); // takes over the statistics
        work.submit();
        let mut all = [const { Vec::new() }; 3];
        for lane in &self.arrays.lanes {
            let found = self.predicted(lane).await?;
            all.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
        }
        Ok(all)
    }

    fn upload(&self, parts: &[&Batch]) -> Result<()> {
        let lanes = self.arrays.lanes.iter().zip(parts);
        lanes.into_iter().try_for_each(|(lane, part)| lane.data.upload(&self.gpu, part))
    }

    fn begin(&mut self, parts: &[&Batch]) -> Result<()> {
        self.upload(parts)?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        self.recordings.begin(&mut work, &parts[0].truth, true);
        work.submit();
        Ok(())
    }

    /// Runs the forward or the backward pass, if what comes before it could be done; where statistics are
    /// exchanged, the others hear of it in any case.
    async fn run(
        &mut self,
        mut before: Result<()>,
        is_forward: bool,
        order: &[usize],
        exchange: &mut Exchange<'_>,
    ) -> Result<()> {
        let Self { gpu, arrays, recordings, pace, .. } = self;
        let Some(merged) = &arrays.merged else { return before };
        let segments = if is_forward { &recordings.forward } else { &recordings.backward };
        for Segment { recording, exchange: numbers } in segments {
            if before.is_ok() {
                let mut work = Submission::new(gpu, pace);
                work.run(recording);
                work.submit();
            }
            let Some([channels, numbers]) = *numbers else { return before };
            let own = match before {
                Ok(()) => first(gpu, &merged.own, channels * merged.here * numbers).await,
                Err(error) => Err(error),
            };
            let (own, error) = match own {
                Ok(own) => (own, None),
                Err(error) => (vec![0.0; channels * merged.here * numbers], Some(error)),
            };
            let by_part = transposed(&own, channels, merged.here, numbers);
            let all = exchange(&by_part, error)?;
            gpu.write_at(&merged.all, 0, &in_order(&all, order, channels, numbers));
            before = Ok(());
        }
        before
    }

    /// Puts what micro-batch `i` adds to the step where micro-batches are taken over.
    fn bring_to_first(&self, i: usize) {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        let [from, to] = [i, 0].map(|lane| self.arrays.lanes[lane].share());
        for (from, to) in from.into_iter().zip(to).filter(|(from, to)| from.buffer != to.buffer) {
            encoder.copy_buffer_to_buffer(&from.buffer, 0, &to.buffer, 0, to.bytes());
        }
        self.gpu.queue.submit([encoder.finish()]);
    }
}

/// The first `len` numbers.
async fn first(gpu: &Gpu, tensor: &Tensor, len: usize) -> Result<Vec<f32>> {
    let mut all = gpu.fetch(tensor).await?;
    all.truncate(len);
    Ok(all)
}

/// From `[channels, parts, numbers]` to `[parts, channels, numbers]`.
fn transposed(values: &[f32], channels: usize, parts: usize, numbers: usize) -> Vec<f32> {
    let all = (0..parts).flat_map(|part| (0..channels).map(move |c| c * parts + part));
    all.flat_map(|at| &values[at * numbers..][..numbers]).copied().collect()
}

/// From `[parts, channels, numbers]`, of which `order` says which is where, to `[channels, parts, numbers]`.
fn in_order(values: &[f32], order: &[usize], channels: usize, numbers: usize) -> Vec<f32> {
    let all = (0..channels).flat_map(|c| order.iter().map(move |part| part * channels + c));
    all.flat_map(|at| &values[at * numbers..][..numbers]).copied().collect()
}
