//! Backward of 2×2 max-pooling on the GPU (SPEC 5); forward is the source `pool`.

use super::batch_norm::Statistics;
use super::recording::{Recorder, WORKGROUP, stored_spec};
use super::source::{Layer, NORM_LEN};
use super::{Shape, Tensor, params::params};
use crate::Result;

params! {
    struct PoolParams { batch: u32, channels: u32, nx: u32, ny: u32, chunk: u32, chunks: u32 }
}

/// Pairs of quads per chunk: four for every invocation of a workgroup.
const CHUNK: usize = 4 * WORKGROUP as usize;

/// Chunks per channel in which [`max_pool_backward`] to pooled grid `shape` leaves its sums.
pub fn chunks(shape: Shape) -> usize {
    (shape.finer().stored(1) / 8).div_ceil(CHUNK)
}

/// Adds `pooled_gradient` (of grid `shape`) to ∂L/∂activation of the finer `layer` in `gradient`, and leaves there
/// that layer's g, in `sums` Σg and Σg·ẑ, `[channels, chunks, 2]`.
pub fn max_pool_backward<'a>(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    pooled_gradient: &Tensor,
    gradient: &Tensor,
    sums: &'a Tensor,
) -> Result<Statistics<'a>> {
    let files = [
        include_str!("../../shaders/lib/quads.wgsl"),
        include_str!("../../shaders/lib/norm.wgsl"),
        include_str!("../../shaders/lib/reduce.wgsl"),
        include_str!("../../shaders/max_pool_backward.wgsl"),
    ];
    let (channels, chunks) = (layer.channels, chunks(shape));
    let fine = shape.finer().stored(channels);
    recorder.call(
        &stored_spec("max_pool_backward", &files, layer.storage()),
        &PoolParams {
            batch: shape.batch as u32,
            channels: channels as u32,
            nx: shape.nx as u32,
            ny: shape.ny as u32,
            chunk: CHUNK as u32,
            chunks: chunks as u32,
        },
        &[
            ("z", &layer.z, fine),
            ("norm", &layer.norm, NORM_LEN * channels),
            ("pooled_gradient", pooled_gradient, shape.stored(channels)),
            ("gradient", gradient, fine),
            ("sums", sums, 2 * channels * chunks),
        ],
        [chunks as u32, channels as u32, 1],
    )?;
    Ok(Statistics { buffer: sums, chunks })
}
