//! Noise on observations.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::params::params;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups, real_spec};

params! {
    struct NoiseParams { count: u32 }
}

/// Adds the first `count` numbers of `noise` to the 32-bit `observation`.
pub fn add_noise(recorder: &mut Recorder, noise: &Tensor, observation: &Tensor, count: usize) -> Result<()> {
    let files = [
        include_str!("../../../shaders/lib/grid.wgsl"),
        include_str!("../../../shaders/heat/add_noise.wgsl"),
    ];
    recorder.call(
        &real_spec("add_noise", &files, noise.precision()),
        &NoiseParams { count: count as u32 },
        &[("noise", noise, count), ("observation", observation, count)],
        flat_workgroups(count),
    )
}
