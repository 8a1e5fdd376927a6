//! Steps whose micro-batches are normalised together, on one device or on several.

use crate::Result;
use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::Step;
use crate::gpu::unet::together::{Pass, Segment};
use crate::model::Batch;

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

    /// Begins to compute the micro-batches of a step that are here. What follows is, for the forward pass and
    /// for the backward pass, [`Step::statistics`] and [`Step::normalise`] of each exchange in turn, then
    /// [`Step::end_pass`].
    pub(crate) fn begin_together(&mut self, parts: &[&Batch]) -> Result<()> {
        self.upload(parts)?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        self.recordings.begin(&mut work, &parts[0].truth, true);
        work.submit();
        Ok(())
    }

    /// Micro-batches here.
    pub(crate) fn parts_at_once(&self) -> usize {
        self.arrays.lanes.len()
    }

    /// How many numbers of each micro-batch are exchanged, one entry per exchange.
    pub(crate) fn exchanges(&self, pass: Pass) -> Vec<usize> {
        let segments = self.recordings.segments(pass).iter();
        segments
            .filter_map(|segment| segment.exchange)
            .map(|[channels, numbers]| channels * numbers)
            .collect()
    }

    /// The statistics of exchange `i` of the micro-batches here, `[micro-batches, numbers]`.
    pub(crate) async fn statistics(&mut self, pass: Pass, i: usize) -> Result<Vec<f32>> {
        let [channels, numbers] = self.run_segment(pass, i);
        let here = self.arrays.lanes.len();
        let Some(merged) = &self.arrays.merged else { return Ok(Vec::new()) };
        let own = self.gpu.fetch(&merged.own).await?;
        Ok(transposed(&own, channels, here, numbers))
    }

    /// Takes over the statistics of all micro-batches, which lie in `all` as `order` says.
    pub(crate) fn normalise(&self, pass: Pass, i: usize, all: &[f32], order: &[usize]) {
        if let (Some(merged), Some([channels, numbers])) =
            (&self.arrays.merged, self.recordings.segments(pass)[i].exchange)
        {
            self.gpu.write_at(&merged.all, 0, &in_order(all, order, channels, numbers));
        }
    }

    /// What comes after the last exchange of a pass.
    pub(crate) fn end_pass(&mut self, pass: Pass) {
        let last = self.recordings.segments(pass).len() - 1;
        self.run_segment(pass, last);
    }

    /// What each micro-batch here adds to the step, after both passes, as [`Step::compute`].
    pub(crate) async fn shares(&self) -> Result<Vec<Vec<f32>>> {
        let mut shares = Vec::new();
        for lane in &self.arrays.lanes {
            shares.push(self.gpu.fetch_all(lane.share()).await?.concat());
        }
        Ok(shares)
    }

    /// As [`Step::predict`], of the micro-batches here, after the forward pass.
    pub(crate) async fn predictions(&mut self) -> Result<[Vec<f32>; 3]> {
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
        let mut lanes = self.arrays.lanes.iter().zip(parts);
        lanes.try_for_each(|(lane, part)| lane.data.upload(&self.gpu, part))
    }

    /// Channels and numbers of each that are exchanged after it.
    fn run_segment(&mut self, pass: Pass, i: usize) -> [usize; 2] {
        let Segment { recording, exchange } = &self.recordings.segments(pass)[i];
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        work.run(recording);
        work.submit();
        exchange.unwrap_or_default()
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
