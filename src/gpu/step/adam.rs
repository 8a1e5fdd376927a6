//! Adam on the GPU (method §6).

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
}

impl Optimiser {
    /// Zero moments for `count` parameters.
    pub fn new(gpu: &Gpu, settings: Adam, count: usize) -> Result<Self> {
        Ok(Self {
            settings,
            m: gpu.tensor("first moments", count)?,
            v: gpu.tensor("second moments", count)?,
            schedule: gpu.tensor("schedule", 2)?,
        })
    }

    /// Sets the scalars of update `t` = 1, 2, … for the next submission.
    pub fn schedule(&self, gpu: &Gpu, t: u64) {
        gpu.write(&self.schedule, &[self.settings.step_size(t) as f32, self.settings.root_scale(t) as f32]);
    }

    /// Updates `weights` from `gradients`, unless [`Guard::frozen`](crate::gpu::step::guard::Guard::frozen)
    /// is set.
    pub fn update(
        &self,
        recorder: &mut Recorder,
        frozen: &Tensor,
        gradients: &Tensor,
        weights: &Tensor,
    ) -> Result<()> {
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
                ("frozen", frozen, 1),
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
