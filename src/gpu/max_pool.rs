//! Backward of 2×2 max-pooling on the GPU (SPEC 5); forward is the source `pool`.

use super::conv3x3::Shape;
use super::recording::{Recorder, flat_workgroups, spec};
use super::source::Layer;
use super::{Tensor, params::params};
use crate::Result;

params! {
    struct PoolParams { batch: u32, channels: u32, nx: u32, ny: u32 }
}

/// Adds `pooled_gradient` (of grid `shape`) to `gradient`, ∂L/∂activation of the finer `layer`.
pub fn max_pool_backward(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    pooled_gradient: &Tensor,
    gradient: &Tensor,
) -> Result<()> {
    let files = [
        include_str!("../../shaders/lib/grid.wgsl"),
        include_str!("../../shaders/lib/norm.wgsl"),
        include_str!("../../shaders/max_pool_backward.wgsl"),
    ];
    let len = shape.batch * layer.channels * shape.cells();
    recorder.call(
        &spec("max_pool_backward", &files),
        &PoolParams {
            batch: shape.batch as u32,
            channels: layer.channels as u32,
            nx: shape.nx as u32,
            ny: shape.ny as u32,
        },
        &[
            ("z", &layer.z, 4 * len),
            ("norm", &layer.norm, 4 * layer.channels),
            ("pooled_gradient", pooled_gradient, len),
            ("gradient", gradient, 4 * len),
        ],
        flat_workgroups(len),
    )
}
