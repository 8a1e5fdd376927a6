//! Noise on observations.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

/// Adds the first `count` numbers of `noise` to the 32-bit `observation`.
pub fn add_noise(recorder: &mut Recorder, noise: &Tensor, observation: &Tensor, count: usize) -> Result<()> {
    recorder.call(
        &KernelSpec::real("heat/add_noise", noise.precision()),
        &[("count", count.into())],
        &[("noise", noise, count), ("observation", observation, count)],
        flat_workgroups(count),
    )
}
