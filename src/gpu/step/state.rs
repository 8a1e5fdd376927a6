//! What a step's arrays hold, read back and written: weights, snapshots, gradients, predictions.

use crate::Result;
use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::Step;
use crate::gpu::step::arrays::{Arrays, Lane};
use crate::model::dtype::GRADIENT_SCALE;
use crate::model::unet::init::State;
use crate::model::{Batch, DType, Snapshot};

impl Step {
    /// The flat parameters and running statistics.
    pub async fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let network = &self.arrays.first().network;
        let [params, running] = self.gpu.fetch_all([&network.params, &network.running]).await?;
        Ok((params, running))
    }

    /// Parameters and running statistics of the last step whose loss was finite.
    pub async fn last_good_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let guard = &self.arrays.guard;
        let both = [&guard.last_good_params, &guard.last_good_running];
        let [params, running] = self.gpu.fetch_all(both).await?;
        Ok((params, running))
    }

    /// What the next step depends on. The caller knows how many batches the statistics have seen.
    pub async fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        let Arrays { optimiser, guard, .. } = &self.arrays;
        let network = &self.arrays.first().network;
        let all = [&network.params, &network.running, &optimiser.m, &optimiser.v, &guard.last_good_params];
        let [params, buffers, first_moments, second_moments, last_good_params] =
            self.gpu.fetch_all(all).await?;
        let state = State { params, buffers, batches_tracked };
        Ok(Snapshot { state, first_moments, second_moments, updates: self.submitted, last_good_params })
    }

    /// Goes on from `snapshot`, taken of a network of the same architecture.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, first_moments, second_moments, updates, last_good_params } = snapshot;
        let Arrays { optimiser, guard, .. } = &self.arrays;
        let network = &self.arrays.first().network;
        for (tensor, values) in [
            (&network.params, &state.params),
            (&network.running, &state.buffers),
            (&optimiser.m, first_moments),
            (&optimiser.v, second_moments),
            (&guard.last_good_params, last_good_params),
            (&guard.last_good_running, &state.buffers), // every step keeps the statistics that it leaves
        ] {
            self.gpu.write(tensor, values);
        }
        self.submitted = *updates;
    }

    /// The flat gradients of the last step.
    pub async fn gradients(&self) -> Result<Vec<f32>> {
        self.gpu.fetch(&self.arrays.first().network.gradients).await
    }

    /// The stored gradients of activations of the last step, by name, without their scale.
    pub async fn stored_gradients(&self) -> Result<Vec<(String, Vec<f64>)>> {
        let mut all = Vec::new();
        for tensor in self.arrays.first().network.stored_gradients() {
            let scale = match tensor.storage() {
                DType::F32 | DType::F64 => 1.0,
                DType::F16 => f64::from(GRADIENT_SCALE),
            };
            let values = self.gpu.fetch_f64(tensor).await?;
            all.push((tensor.label().to_owned(), values.into_iter().map(|g| g / scale).collect()));
        }
        Ok(all)
    }

    /// Runs the forward part and returns truth, observation and prediction, all `[batch, nx, ny]`. The
    /// running statistics see this batch too, as in the reference system; parameters do not change.
    pub async fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        let parts = batch.parts(self.micro_batches, self.cells);
        if self.together {
            let parts: Vec<&Batch> = parts.iter().map(|part| &**part).collect();
            self.begin_together(&parts)?;
            let mut work = Submission::new(&self.gpu, &mut self.pace);
            self.recordings.forward.iter().for_each(|segment| work.run(&segment.recording));
            work.submit();
            return self.predictions().await;
        }
        let mut all = [const { Vec::new() }; 3];
        for (i, part) in parts.iter().enumerate() {
            self.arrays.first().data.upload(&self.gpu, part)?;
            let mut work = Submission::new(&self.gpu, &mut self.pace);
            self.recordings.begin(&mut work, &part.truth, i == 0);
            self.recordings.forward.iter().for_each(|segment| work.run(&segment.recording));
            work.run(&self.recordings.guard); // takes over the statistics
            work.submit();
            let found = self.predicted(self.arrays.first()).await?;
            all.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
        }
        Ok(all)
    }

    /// Truth, observation and prediction of a micro-batch.
    pub(super) async fn predicted(&self, lane: &Lane) -> Result<[Vec<f32>; 3]> {
        let truth = self.gpu.fetch_f64(&lane.data.truth).await?.into_iter().map(|v| v as f32).collect();
        let observation = self.gpu.fetch(&lane.data.observation).await?;
        Ok([truth, observation, self.gpu.fetch(&lane.fields.prediction).await?])
    }
}
