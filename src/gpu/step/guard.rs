//! The guard of the weights: a step with a number that is not finite changes nothing, and the last good
//! weights are at hand (method §6).

use crate::Result;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Gpu, Tensor};
use crate::model::unet::init::State;

/// Whether training is frozen, and where it was when the losses were last finite.
pub struct Guard {
    /// One u32: 1 once a loss, a gradient or a statistic was not finite.
    pub frozen: Tensor,
    /// The parameters before the last update.
    pub last_good_params: Tensor,
    /// The running statistics of the last step whose numbers were finite.
    pub last_good_running: Tensor,
}

impl Guard {
    /// Not frozen; `start` is good.
    pub fn new(gpu: &Gpu, start: &State) -> Result<Self> {
        Ok(Self {
            frozen: gpu.tensor("frozen", 1)?,
            last_good_params: gpu.tensor_from("last good parameters", &start.params)?,
            last_good_running: gpu.tensor_from("last good running statistics", &start.buffers)?,
        })
    }

    /// Blends the `statistics` of a micro-batch into the `running` ones with this `momentum`, and freezes if
    /// a number of `losses`, `x_l2`, `gradients` or one of these is not finite.
    pub fn take_over(
        &self,
        recorder: &mut Recorder,
        momentum: f64,
        losses: &Tensor,
        x_l2: &Tensor,
        gradients: &Tensor,
        statistics: &Tensor,
        running: &Tensor,
    ) -> Result<()> {
        let arrays =
            [("losses", losses), ("x_l2", x_l2), ("gradients", gradients), ("statistics", statistics)];
        let mut buffers = arrays.map(|(name, tensor)| (name, tensor, tensor.len())).to_vec();
        buffers.extend([("running", running, running.len()), ("frozen", &self.frozen, 1)]);
        let mut params = arrays.map(|(name, tensor)| (name, tensor.len().into())).to_vec();
        params.push(("momentum", momentum.into()));
        recorder.call(
            &KernelSpec::new("step/guard"),
            &params,
            &buffers,
            flat_workgroups(arrays.iter().map(|(_, tensor)| tensor.len()).max().unwrap_or(1)),
        )
    }

    /// Copies parameters and running statistics to the last good ones; if frozen, copies the last good
    /// statistics back instead.
    pub fn keep_last_good(&self, recorder: &mut Recorder, params: &Tensor, running: &Tensor) -> Result<()> {
        let [weights, statistics] = [params, running].map(Tensor::len);
        recorder.call(
            &KernelSpec::new("step/last_good"),
            &[("weights", weights.into()), ("running", statistics.into())],
            &[
                ("frozen", &self.frozen, 1),
                ("weights", params, weights),
                ("running", running, statistics),
                ("last_good_weights", &self.last_good_params, weights),
                ("last_good_running", &self.last_good_running, statistics),
            ],
            flat_workgroups(weights.max(statistics)),
        )
    }
}
