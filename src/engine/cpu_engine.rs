//! The CPU's steps, which have run when they return, with a queue of losses and a clock.

use crate::Result;
use crate::cpu::step::Part;
use crate::cpu::{self, Real};
use crate::engine::training::{Engine, Sharing};
use crate::io::memory::batch::{self, Purpose};
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Snapshot, StepSpec};
use std::time::Instant;

/// The network in 32 bits, the physics in P.
pub(crate) struct CpuEngine<P> {
    step: cpu::Step<f32, P>,
    /// Losses that nobody has collected yet.
    finished: Vec<Losses>,
    /// Those of a step whose micro-batches are taken over one by one.
    begun: Losses,
    samples: usize,
    /// What the parts of the last step took.
    seconds: [f64; 4],
}

impl<P: Real> CpuEngine<P> {
    pub(crate) fn new(spec: &StepSpec, start: &State) -> Self {
        Self {
            step: cpu::Step::new(spec, start),
            finished: Vec::new(),
            begun: Losses::default(),
            samples: spec.samples_at_once,
            seconds: [0.0; 4],
        }
    }
}

impl<P: Real> Sharing for CpuEngine<P> {
    fn compute(&mut self, part: &Batch, _: bool) -> Result<Vec<u8>> {
        let Losses { loss, x_l2, y_l2, .. } = self.step.compute(part, |_| {});
        let (gradients, statistics) = self.step.last_part();
        let values = [gradients, statistics].map(bytemuck::cast_slice);
        let losses = [&loss, &x_l2, &y_l2].map(|values| bytemuck::cast_slice(values));
        Ok([values.concat(), losses.concat()].concat())
    }

    fn share_len(&self) -> usize {
        let (gradients, statistics) = self.step.last_part();
        size_of_val(gradients) + size_of_val(statistics) + 3 * self.samples * size_of::<f64>()
    }

    fn take_over(&mut self, share: &[u8], is_first: bool, is_last: bool) -> Result<()> {
        let (gradients, statistics) = self.step.last_part();
        let (gradients, rest) = share.split_at(size_of_val(gradients));
        let (statistics, losses) = rest.split_at(size_of_val(statistics));
        let [gradients, statistics] = [gradients, statistics].map(bytemuck::pod_collect_to_vec);
        self.step.take_over(&gradients, &statistics);
        self.step.accumulate(is_first);
        let losses: Vec<f64> = bytemuck::pod_collect_to_vec(losses);
        let column = |i: usize| losses[i * self.samples..][..self.samples].to_vec();
        self.begun.append(Losses { loss: column(0), x_l2: column(1), y_l2: column(2), frozen: false });
        if is_last {
            let losses = std::mem::take(&mut self.begun);
            self.finished.push(self.step.update(losses));
        }
        Ok(())
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
