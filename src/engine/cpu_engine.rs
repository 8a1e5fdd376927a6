//! The CPU's steps, which have run when they return, with a queue of losses and a clock.

use crate::Result;
use crate::cpu::step::Part;
use crate::cpu::unet::together::Exchange;
use crate::cpu::{self, Real};
use crate::engine::ranks::environment::Rank;
use crate::engine::training::{Engine, Others, Sharing};
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
        let losses = self.step.compute(part, |_| {});
        Ok(self.share(0, &losses))
    }

    fn compute_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<Vec<Vec<u8>>> {
        let batch = Batch::joined(parts);
        let losses =
            with(others, |order, exchange| self.step.compute_together(&batch, order, exchange, |_| {}))?;
        Ok((0..parts.len()).map(|i| self.share(i, &losses)).collect())
    }

    fn predict_together(&mut self, parts: &[&Batch], others: &mut Others) -> Result<[Vec<f32>; 3]> {
        let batch = Batch::joined(parts);
        with(others, |order, exchange| self.step.predict_together(&batch, order, exchange))
    }

    fn share_len(&self) -> usize {
        let (gradients, statistics) = self.step.share(0);
        size_of_val(gradients) + size_of_val(statistics) + 3 * self.samples * size_of::<f64>()
    }

    fn take_over(&mut self, share: &[u8], is_first: bool, is_last: bool) -> Result<()> {
        let (gradients, statistics) = self.step.share(0);
        let (gradients, rest) = share.split_at(size_of_val(gradients));
        let (statistics, losses) = rest.split_at(size_of_val(statistics));
        let [gradients, statistics] = [gradients, statistics].map(bytemuck::pod_collect_to_vec);
        self.step.take_over(is_first, &gradients, &statistics);
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

impl<P: Real> CpuEngine<P> {
    /// What micro-batch `i` of those that were computed last adds to the step.
    fn share(&self, i: usize, losses: &Losses) -> Vec<u8> {
        let (gradients, statistics) = self.step.share(i);
        let values = [gradients, statistics].map(bytemuck::cast_slice);
        let own = |all: &Vec<f64>| all[i * self.samples..][..self.samples].to_vec();
        let losses = [&losses.loss, &losses.x_l2, &losses.y_l2].map(own).concat();
        [values.concat(), bytemuck::pod_collect_to_vec(&losses)].concat()
    }
}

/// Runs `compute`, which cannot fail, among others that can: after an error nothing is exchanged any more,
/// and what is computed means nothing.
fn with<R>(others: &mut Others, compute: impl FnOnce(&[usize], &mut Exchange<f32>) -> R) -> Result<R> {
    let mut failure = None;
    let processes = others.order.iter().max().map_or(1, |last| last + 1);
    let found = compute(others.order, &mut |own| {
        let nothing = || vec![0.0; own.len() * processes];
        if failure.is_some() {
            return nothing();
        }
        (others.exchange)(own, None).unwrap_or_else(|error| {
            failure = Some(error);
            nothing()
        })
    });
    failure.map_or(Ok(found), Err)
}

/// Refuses what the CPU engine cannot do, or the system's memory cannot hold.
pub(crate) fn check(spec: &StepSpec) -> Result<()> {
    cpu::step::check(spec)?;
    let purpose = Purpose::Training(spec.activations);
    let processes = Rank::of_environment().map_or(1, |rank| rank.local_count);
    batch::check_shared(&spec.net, spec.operator.cells(), spec.held(), purpose, processes)
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
