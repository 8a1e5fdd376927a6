//! The GPU's steps with a thread that waits for them.

use crate::Result;

use crate::engine::ranks::environment::Rank;
use crate::engine::training::{Engine, Others, Sharing};
use crate::gpu::unet::together::Pass;
use crate::gpu::{self, Gpu};
use crate::io::memory::batch::{self, Purpose};
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Snapshot, StepSpec};
use std::sync::Arc;
use std::time::Duration;

/// A step on an open device.
pub(crate) struct GpuEngine {
    gpu: Arc<Gpu>,
    step: gpu::Step,
}

impl GpuEngine {
    /// Builds the step; where the device runs out of memory, the error names the largest micro-batch that
    /// fits.
    pub(crate) fn new(gpu: &Arc<Gpu>, spec: &StepSpec, start: &State) -> Result<Self> {
        let mut spec = spec.clone();
        if gpu.is_software() {
            // Nobody resets a software adapter, and llvmpipe computes in the thread that submits piece by
            // piece.
            spec.longest_submission = None;
        }
        let build =
            |samples_at_once| gpu::Step::new(gpu, &StepSpec { samples_at_once, ..spec.clone() }, start);
        let step = match spec.together {
            // A smaller micro-batch is more of them, which takes as much.
            Some(_) => build(spec.samples_at_once)?,
            None => batch::build_or_name_largest(spec.samples_at_once, build)?,
        };
        Ok(Self { gpu: gpu.clone(), step })
    }

    /// Refuses what [`GpuEngine::new`] would refuse before it builds anything.
    pub(crate) fn check(gpu: &Gpu, spec: &StepSpec) -> Result<()> {
        if gpu.is_software() {
            let processes = Rank::of_environment().map_or(1, |rank| rank.local_count);
            let purpose = Purpose::Training(spec.activations);
            let (cells, held) = (spec.operator.cells(), spec.held());
            batch::check_shared(&spec.net, cells, held, purpose, processes)?;
        }
        gpu::Step::check(gpu, spec)
    }
}

impl Sharing for GpuEngine {
    fn compute(&mut self, part: &Batch, is_first: bool) -> Result<Vec<u8>> {
        let share = self.gpu.block_on(self.step.compute(part, is_first))?;
        Ok(bytemuck::pod_collect_to_vec(&share))
    }

    fn compute_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<Vec<Vec<u8>>> {
        let begun = self.step.begin_together(parts);
        self.run(begun, &[Pass::Forward, Pass::Backward], others)?;
        let shares = self.gpu.block_on(self.step.shares())?;
        Ok(shares.into_iter().map(|share| bytemuck::pod_collect_to_vec(&share)).collect())
    }

    fn predict_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<[Vec<f32>; 3]> {
        let begun = self.step.begin_together(parts);
        self.run(begun, &[Pass::Forward], others)?;
        self.gpu.block_on(self.step.predictions())
    }

    fn share_len(&self) -> usize {
        size_of::<f32>() * self.step.share_len()
    }

    fn take_over(&mut self, share: &[u8], is_first: bool, is_last: bool) -> Result<()> {
        let share: Vec<f32> = bytemuck::pod_collect_to_vec(share);
        self.gpu.block_on(self.step.take_over(&share, is_first, is_last))
    }
}

impl GpuEngine {
    /// Runs passes of micro-batches that are normalised together with others. Whatever fails here, the others
    /// hear of it in the next exchange.
    fn run(&mut self, begun: Result<()>, passes: &[Pass], others: &mut Others) -> Result<()> {
        let Self { gpu, step } = self;
        let mut before = begun;
        for &pass in passes {
            for (i, numbers) in step.exchanges(pass).into_iter().enumerate() {
                let found = before.and_then(|()| gpu.block_on(step.statistics(pass, i)));
                let (own, error) = match found {
                    Ok(own) => (own, None),
                    Err(error) => (vec![0.0; step.parts_at_once() * numbers], Some(error)),
                };
                let all = (others.exchange)(&own, error)?;
                step.normalise(pass, i, &all, others.order);
                before = Ok(());
            }
            step.end_pass(pass);
        }
        before
    }
}

impl Engine for GpuEngine {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.gpu.block_on(self.step.submit(batch))
    }

    fn make_room(&mut self) -> Result<()> {
        self.gpu.block_on(self.step.make_room())
    }

    fn request_losses(&mut self) -> Result<()> {
        self.step.request_losses()
    }

    fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        if all {
            self.step.request_losses()?;
        }
        self.gpu.block_on(self.step.losses(all))
    }

    fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.gpu.block_on(self.step.weights())
    }

    fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        self.gpu.block_on(self.step.last_good_weights())
    }

    fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        self.gpu.block_on(self.step.snapshot(batches_tracked))
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.step.restore(snapshot);
    }

    fn gradients(&self) -> Result<Vec<f32>> {
        self.gpu.block_on(self.step.gradients())
    }

    fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.gpu.block_on(self.step.predict(batch))
    }

    fn too_long(&mut self) -> Option<(String, Duration)> {
        self.step.too_long()
    }

    fn gpu_step(&self) -> Option<&gpu::Step> {
        Some(&self.step)
    }
}
