//! What a step's arrays hold: weights and snapshots in the 32 bits that files hold, predictions.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::step::Step;
use crate::cpu::unet::together::{Exchange, Together};
use crate::model::unet::init::State;
use crate::model::{Batch, Snapshot};

impl<P: Real> Step<f32, P> {
    /// The flat parameters and running statistics.
    pub fn weights(&self) -> (Vec<f32>, Vec<f32>) {
        (self.params.clone(), self.running.clone())
    }

    /// Parameters and running statistics of the last step whose loss was finite.
    pub fn last_good_weights(&self) -> (Vec<f32>, Vec<f32>) {
        (self.guard.last_good_params.clone(), self.guard.last_good_running.clone())
    }

    /// What the next step depends on. The caller knows how many batches the statistics have seen.
    pub fn snapshot(&self, batches_tracked: i64) -> Snapshot {
        let (params, buffers) = self.weights();
        Snapshot {
            state: State { params, buffers, batches_tracked },
            first_moments: self.m.clone(),
            second_moments: self.v.clone(),
            updates: self.submitted,
            last_good_params: self.guard.last_good_params.clone(),
        }
    }

    /// Goes on from `snapshot`, taken of a network of the same architecture.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, first_moments, second_moments, updates, last_good_params } = snapshot;
        for (array, values) in [
            (&mut self.params, &state.params),
            (&mut self.running, &state.buffers),
            (&mut self.m, first_moments),
            (&mut self.v, second_moments),
            (&mut self.guard.last_good_params, last_good_params),
            // Every step keeps the statistics that it leaves.
            (&mut self.guard.last_good_running, &state.buffers),
        ] {
            array.copy_from_slice(values);
        }
        self.submitted = *updates;
    }

    /// Flat gradients of micro-batch `i` of those that were computed last, and their batch statistics.
    pub fn share(&self, i: usize) -> (&[f32], &[f32]) {
        (&self.shares[i * self.params.len()..][..self.params.len()], &self.statistics)
    }

    /// Takes over those of a micro-batch, whoever has computed it, as [`Step::accumulate`].
    pub fn take_over(&mut self, is_first: bool, gradients: &[f32], statistics: &[f32]) {
        self.shares[..gradients.len()].copy_from_slice(gradients);
        self.statistics.copy_from_slice(statistics);
        self.accumulate(is_first, 0);
    }

    /// Runs the forward part and returns truth, observation and prediction, all `[batch, nx, ny]`. The
    /// running statistics see this batch too, as in the reference system; parameters do not change.
    pub fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3] {
        if self.together.is_some() {
            let order: Vec<usize> = (0..self.micro_batches).collect();
            return self.predict_together(batch, &order, &mut |own| own.to_vec());
        }
        let mut all = [const { Vec::new() }; 3];
        for part in batch.parts(self.micro_batches, self.operator.cells()) {
            let found = self.predict_together(&part, &[0], &mut |own| own.to_vec());
            all.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
        }
        all
    }

    /// As [`Step::predict`], for some micro-batches that are normalised with others, as
    /// [`Step::compute_together`].
    pub fn predict_together(
        &mut self,
        batch: &Batch,
        order: &[usize],
        exchange: &mut Exchange<f32>,
    ) -> [Vec<f32>; 3] {
        let narrow = |field: &[P]| -> Vec<f32> { field.iter().map(|v| v.f64() as f32).collect() };
        self.data.set(batch);
        self.forward(&mut Together { samples: self.samples, order, exchange });
        batch_norm::blend(&mut self.running, &self.statistics);
        let (truth, observation, prediction) = self.fields();
        [narrow(truth), narrow(observation), prediction.to_vec()]
    }
}
