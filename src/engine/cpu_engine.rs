//! The CPU's steps, which have run when they return, with a queue of losses and a clock.

use crate::Result;
use crate::cpu::step::Part;
use crate::cpu::{self, Real};

use crate::engine::training::{Engine, Sharing};
use crate::io::memory::batch::{self, Purpose};
use crate::model::unet::init::State;
use crate::model::{Batch, DType, Losses, Snapshot, StepSpec};
use std::time::Instant;

/// The network in 32 bits, the physics in P.
pub(crate) struct CpuEngine<P> {
    step: cpu::Step<f32, P>,
    /// Losses that nobody has collected yet.
    finished: Vec<Losses>,
    /// What the parts of the last step took.
    seconds: [f64; 4],
}

impl<P: Real> CpuEngine<P> {
    pub(crate) fn new(spec: &StepSpec, start: &State) -> Self {
        Self { step: cpu::Step::new(spec, start), finished: Vec::new(), seconds: [0.0; 4] }
    }
}

/// An engine whose steps several processes share.
pub(crate) fn sharing(spec: &StepSpec, start: &State) -> Box<dyn Sharing> {
    match spec.physics {
        DType::F16 | DType::F32 => Box::new(CpuEngine::<f32>::new(spec, start)),
        DType::F64 => Box::new(CpuEngine::<f64>::new(spec, start)),
    }
}

impl<P: Real> Sharing for CpuEngine<P> {
    fn compute(&mut self, part: &Batch) -> Losses {
        self.step.compute(part, |_| {})
    }

    fn last_part(&self) -> (&[f32], &[f32]) {
        self.step.last_part()
    }

    fn accumulate(&mut self, first: bool, gradients: &[f32], statistics: &[f32]) {
        self.step.take_over(gradients, statistics);
        self.step.accumulate(first);
    }

    fn update(&mut self, losses: Losses) -> Losses {
        self.step.update(losses)
    }
}

/// Refuses what the CPU engine cannot do, or the system's memory cannot hold.
pub(crate) fn check(spec: &StepSpec) -> Result<()> {
    cpu::step::check(spec)?;
    let purpose = Purpose::Training(spec.activations);
    batch::check_system(&spec.net, spec.operator.cells(), spec.samples_at_once, purpose)
}

impl<P: Real> Engine for CpuEngine<P> {
    fn submit(&mut self, batch: &Batch) -> Result<()> {
        let (mut seconds, mut last) = ([0.0; 4], Instant::now());
        let losses = self.step.run_parts(batch, |part: Part| {
            let now = Instant::now();
            seconds[part as usize] += (now - last).as_secs_f64();
            last = now;
        });
        self.seconds = seconds;
        self.finished.push(losses);
        Ok(())
    }

    fn losses(&mut self, _: bool) -> Result<Vec<Losses>> {
        Ok(std::mem::take(&mut self.finished))
    }

    fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(self.step.weights())
    }

    fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok(self.step.last_good_weights())
    }

    fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        Ok(self.step.snapshot(batches_tracked))
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.step.restore(snapshot);
    }

    fn gradients(&self) -> Result<Vec<f32>> {
        Ok(self.step.gradients.clone())
    }

    fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        Ok(self.step.predict(batch))
    }

    fn cpu_seconds(&self) -> Option<[f64; 4]> {
        Some(self.seconds)
    }
}
