//! Adam on the GPU (SPEC 6), with the guard that keeps the last good weights.

use crate::Result;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Gpu, Tensor};
use crate::model::Adam;

/// The optimiser's memory: flat buffers with the layout of the parameters.
pub struct Optimiser {
    settings: Adam,
    /// First moments.
    pub m: Tensor,
    /// Second moments.
    pub v: Tensor,
    /// lr/(1-β1^t) and 1/√(1-β2^t) of the step about to run; the host writes it before each submission.
    schedule: Tensor,
    frozen: Tensor,
}

impl Optimiser {
    /// Zero moments for `count` parameters.
    pub fn new(gpu: &Gpu, settings: Adam, count: usize) -> Result<Self> {
        Ok(Self {
            settings,
            m: gpu.tensor("first moments", count)?,
            v: gpu.tensor("second moments", count)?,
            schedule: gpu.tensor("schedule", 2)?,
            frozen: gpu.tensor("frozen", 1)?,
        })
    }

    /// Sets the scalars of update `t` = 1, 2, … for the next submission.
    pub fn schedule(&self, gpu: &Gpu, t: u64) {
        gpu.write(&self.schedule, &[self.settings.step_size(t) as f32, self.settings.root_scale(t) as f32]);
    }

    /// One u32: 1 once a loss, a gradient or a running statistic was not finite.
    pub fn frozen(&self) -> &Tensor {
        &self.frozen
    }

    /// Freezes if a number of `losses`, `x_l2`, `gradients` or `running` is not finite.
    pub fn guard(
        &self,
        recorder: &mut Recorder,
        losses: &Tensor,
        x_l2: &Tensor,
        gradients: &Tensor,
        running: &Tensor,
    ) -> Result<()> {
        let arrays = [("losses", losses), ("x_l2", x_l2), ("gradients", gradients), ("running", running)];
        let mut buffers = arrays.map(|(name, tensor)| (name, tensor, tensor.len())).to_vec();
        buffers.push(("frozen", &self.frozen, 1));
        recorder.call(
            &KernelSpec::new("step/guard"),
            &[
                ("losses", losses.len().into()),
                ("x_l2", x_l2.len().into()),
                ("gradients", gradients.len().into()),
                ("running", running.len().into()),
            ],
            &buffers,
            flat_workgroups(arrays.iter().map(|(_, tensor)| tensor.len()).max().unwrap_or(1)),
        )
    }

    /// Copies parameters and running statistics from `current` to `kept`; if frozen, only the statistics, and back.
    pub fn keep(&self, recorder: &mut Recorder, current: [&Tensor; 2], kept: [&Tensor; 2]) -> Result<()> {
        let [weights, running] = current.map(Tensor::len);
        recorder.call(
            &KernelSpec::new("step/last_good"),
            &[("weights", weights.into()), ("running", running.into())],
            &[
                ("frozen", &self.frozen, 1),
                ("weights", current[0], weights),
                ("running", current[1], running),
                ("kept_weights", kept[0], weights),
                ("kept_running", kept[1], running),
            ],
            flat_workgroups(weights.max(running)),
        )
    }

    /// Updates `weights` from `gradients`, unless frozen.
    pub fn update(&self, recorder: &mut Recorder, gradients: &Tensor, weights: &Tensor) -> Result<()> {
        let len = weights.len();
        recorder.call(
            &KernelSpec::new("step/adam"),
            &[
                ("count", len.into()),
                ("beta1", self.settings.beta1.into()),
                ("keep1", (1.0 - self.settings.beta1).into()),
                ("beta2", self.settings.beta2.into()),
                ("keep2", (1.0 - self.settings.beta2).into()),
                ("epsilon", self.settings.epsilon.into()),
            ],
            &[
                ("schedule", &self.schedule, 2),
                ("frozen", &self.frozen, 1),
                ("gradients", gradients, len),
                ("weights", weights, len),
                ("first_moments", &self.m, len),
                ("second_moments", &self.v, len),
            ],
            flat_workgroups(len),
        )?;
        recorder.declare_flops(13 * len);
        Ok(())
    }
}
