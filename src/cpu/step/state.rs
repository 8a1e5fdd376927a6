//! What a step's arrays hold: weights and snapshots in the 32 bits that files hold, predictions.

use crate::cpu::Real;
use crate::cpu::nn::batch_norm;
use crate::cpu::step::Step;
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

    /// Flat gradients and batch statistics of the last micro-batch.
    pub fn last_part(&self) -> (&[f32], &[f32]) {
        (&self.gradients, &self.statistics)
    }

    /// Puts those of a micro-batch that another process has computed in the place of the last one's.
    pub fn take_over(&mut self, gradients: &[f32], statistics: &[f32]) {
        self.gradients.copy_from_slice(gradients);
        self.statistics.copy_from_slice(statistics);
    }

    /// Runs the forward part and returns truth, observation and prediction, all `[batch, nx, ny]`. The
    /// running statistics see this batch too, as in the reference system; parameters do not change.
    pub fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3] {
        let narrow = |field: &[P]| -> Vec<f32> { field.iter().map(|v| v.f64() as f32).collect() };
        let mut all = [const { Vec::new() }; 3];
        for part in batch.parts(self.micro_batches, self.operator.cells()) {
            self.data.set(&part);
            self.forward();
            batch_norm::blend(&mut self.running, &self.statistics);
            let (truth, observation, prediction) = self.fields();
            let found = [narrow(truth), narrow(observation), prediction.to_vec()];
            all.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
        }
        all
    }
}
