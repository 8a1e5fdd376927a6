//! The CPU engine as `Trainer` drives it: steps of one or more micro-batches, and the guard around their update.

use crate::cpu::{self, Real};
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Snapshot};
use crate::train::plan::Plan;
use std::time::Instant;

/// A [`CpuEngine`], whatever the precision of its physics.
pub(crate) trait CpuTraining {
    /// One step, unless an earlier one has failed.
    fn advance(&mut self, batch: &Batch);
    /// Losses that nobody has taken yet.
    fn take_losses(&mut self) -> Vec<Losses>;
    /// Parameters and running statistics.
    fn state(&self) -> (Vec<f32>, Vec<f32>);
    /// Those of the last step whose loss was finite.
    fn kept(&self) -> (Vec<f32>, Vec<f32>);
    /// What the next step depends on.
    fn snapshot(&self, batches_tracked: i64) -> Snapshot;
    /// Goes on from there.
    fn restore(&mut self, snapshot: &Snapshot);
    /// Parameter gradients of the last step.
    fn gradients(&self) -> Vec<f32>;
    /// Truth, observation and prediction.
    fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3];
    /// What `Trainer::cpu_seconds` returns.
    fn seconds(&self) -> [f64; 4];
}

/// The network in 32 bits, the physics in P.
pub(crate) struct CpuEngine<P> {
    step: cpu::Step<f32, P>,
    /// Micro-batches per step.
    parts: usize,
    cells: usize,
    updates: u64,
    skips: bool,
    frozen: bool,
    finished: Vec<Losses>,
    kept: (Vec<f32>, Vec<f32>),
    seconds: [f64; 4],
}

impl<P: Real> CpuEngine<P> {
    /// For steps of `parts` micro-batches of `batch` samples.
    pub(crate) fn new(plan: &Plan, batch: usize, parts: usize, skips: bool) -> Self {
        let state = &plan.start;
        let mut step = cpu::Step::new(&plan.net, &plan.heat, plan.objective, plan.adam, batch);
        step.params.copy_from_slice(&state.params);
        step.running.copy_from_slice(&state.buffers);
        let kept = (state.params.clone(), state.buffers.clone());
        let cells = plan.heat.cells();
        Self {
            step,
            parts,
            cells,
            updates: 0,
            skips,
            frozen: false,
            finished: Vec::new(),
            kept,
            seconds: [0.0; 4],
        }
    }
}

impl<P: Real> CpuTraining for CpuEngine<P> {
    fn advance(&mut self, batch: &Batch) {
        let mut last = Instant::now();
        let mut lap = |total: &mut f64| {
            *total += std::mem::replace(&mut last, Instant::now()).elapsed().as_secs_f64();
        };
        let [mut data, mut forward, mut backward, mut update] = [0.0; 4];
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let (mut losses, mut sum) = (Losses::default(), None::<Vec<f32>>);
        for part in batch.parts(self.parts, self.cells) {
            self.step.set_batch(&part);
            lap(&mut data);
            self.step.forward();
            lap(&mut forward);
            losses.append(self.step.backward());
            if self.parts > 1 {
                let gradients = &mut self.step.gradients;
                if let Some(sum) = &sum {
                    gradients.iter_mut().zip(sum).for_each(|(gradient, sum)| *gradient += sum);
                    losses.frozen |= !finite(gradients);
                }
                sum = Some(gradients.clone());
            }
            lap(&mut backward);
        }
        losses.frozen |= !finite(&self.step.running);
        self.frozen = !losses.is_finite() || self.frozen && !self.skips;
        losses.frozen |= self.frozen;
        self.updates += 1;
        if self.frozen {
            self.step.running.copy_from_slice(&self.kept.1);
        } else {
            self.kept.0.copy_from_slice(&self.step.params);
            self.kept.1.copy_from_slice(&self.step.running);
            self.step.update(self.updates);
        }
        lap(&mut update);
        self.seconds = [data, forward, backward, update];
        self.finished.push(losses);
    }

    fn take_losses(&mut self) -> Vec<Losses> {
        std::mem::take(&mut self.finished)
    }

    fn state(&self) -> (Vec<f32>, Vec<f32>) {
        (self.step.params.clone(), self.step.running.clone())
    }

    fn kept(&self) -> (Vec<f32>, Vec<f32>) {
        self.kept.clone()
    }

    fn snapshot(&self, batches_tracked: i64) -> Snapshot {
        let (params, buffers) = self.state();
        Snapshot {
            state: State { params, buffers, batches_tracked },
            first_moments: self.step.m.clone(),
            second_moments: self.step.v.clone(),
            updates: self.updates,
            kept_params: self.kept.0.clone(),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, first_moments, second_moments, updates, kept_params } = snapshot;
        for (array, values) in [
            (&mut self.step.params, &state.params),
            (&mut self.step.running, &state.buffers),
            (&mut self.step.m, first_moments),
            (&mut self.step.v, second_moments),
            (&mut self.kept.0, kept_params),
            (&mut self.kept.1, &state.buffers), // every step keeps the statistics that it leaves
        ] {
            array.copy_from_slice(values);
        }
        self.updates = *updates;
    }

    fn gradients(&self) -> Vec<f32> {
        self.step.gradients.clone()
    }

    fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3] {
        let narrow = |field: &[P]| -> Vec<f32> { field.iter().map(|v| v.f64() as f32).collect() };
        let mut all = [const { Vec::new() }; 3];
        for part in batch.parts(self.parts, self.cells) {
            self.step.set_batch(&part);
            self.step.forward();
            let (truth, observation, prediction) = self.step.fields();
            let fields = [narrow(truth), narrow(observation), prediction.to_vec()];
            all.iter_mut().zip(fields).for_each(|(all, part)| all.extend(part));
        }
        all
    }

    fn seconds(&self) -> [f64; 4] {
        self.seconds
    }
}
