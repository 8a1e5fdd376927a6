//! Batch normalisation and ReLU on the GPU (SPEC 5). Forward only makes the per-channel numbers; the activation
//! itself is made by whoever reads it ([`super::source`]).

use super::conv3x3::Shape;
use super::recording::{Recorder, WORKGROUP, flat_workgroups, spec};
use super::source::Layer;
use super::{Tensor, params::params};
use crate::Result;
use crate::model::unet::{Conv, NORM_EPSILON, NORM_MOMENTUM};

params! {
    struct ChunkParams {
        batch: u32,
        channels: u32,
        cells: u32,
        samples_per_chunk: u32,
        segment: u32,
        segments: u32,
        chunks: u32,
    }
}

params! {
    struct MergeParams {
        chunks: u32,
        gamma_offset: u32,
        beta_offset: u32,
        bias_offset: u32,
        running_mean_offset: u32,
        running_var_offset: u32,
        epsilon: f32,
        momentum: f32,
    }
}

params! {
    struct BackwardMergeParams { chunks: u32, gamma_offset: u32, beta_offset: u32, count: f32 }
}

params! {
    struct BackwardParams { batch: u32, channels: u32, cells: u32 }
}

const NORM: &str = include_str!("../../shaders/lib/norm.wgsl");
const REDUCE: &str = include_str!("../../shaders/lib/reduce.wgsl");

/// Values per chunk: a workgroup's invocations then add up 16 each.
const CHUNK: usize = 16 * WORKGROUP as usize;

/// Chunks of one channel.
fn chunks(shape: Shape, channels: usize) -> ChunkParams {
    let cells = shape.cells();
    let samples_per_chunk = (CHUNK / cells).max(1);
    let segment = cells.min(CHUNK);
    let segments = cells / segment;
    ChunkParams {
        batch: shape.batch as u32,
        channels: channels as u32,
        cells: cells as u32,
        samples_per_chunk: samples_per_chunk as u32,
        segment: segment as u32,
        segments: segments as u32,
        chunks: (shape.batch.div_ceil(samples_per_chunk) * segments) as u32,
    }
}

/// Scratch elements that this stage needs, forward or backward.
pub fn partial_len(shape: Shape, channels: usize) -> usize {
    3 * channels * chunks(shape, channels).chunks as usize
}

/// Statistics of `layer.z` into `layer.norm`; blends them into `running`.
pub fn batch_norm(
    recorder: &mut Recorder,
    shape: Shape,
    conv: &Conv,
    layer: &Layer,
    weights: &Tensor,
    running: &Tensor,
    partial: &Tensor,
) -> Result<()> {
    let params = chunks(shape, layer.channels);
    let len = layer.channels * shape.batch * shape.cells();
    let scratch = partial_len(shape, layer.channels);
    recorder.call(
        &spec("batch_norm_moments", &[REDUCE, include_str!("../../shaders/batch_norm_moments.wgsl")]),
        &params,
        &[("z", &layer.z, len), ("moments", partial, scratch)],
        [params.chunks, params.channels, 1],
    )?;
    recorder.call(
        &spec("batch_norm_merge", &[include_str!("../../shaders/batch_norm_merge.wgsl")]),
        &MergeParams {
            chunks: params.chunks,
            gamma_offset: conv.gamma as u32,
            beta_offset: conv.beta as u32,
            bias_offset: conv.bias as u32,
            running_mean_offset: conv.running_mean as u32,
            running_var_offset: conv.running_var as u32,
            epsilon: NORM_EPSILON as f32,
            momentum: NORM_MOMENTUM as f32,
        },
        &[
            ("moments", partial, scratch),
            ("weights", weights, weights.len()),
            ("norm", &layer.norm, 4 * layer.channels),
            ("running", running, running.len()),
        ],
        [params.channels, 1, 1],
    )
}

/// ∂L/∂activation to ∂L/∂z in place in `gradient`; ∂L/∂γ and ∂L/∂β into `gradients`. `means` `[channels, 2]` and
/// `partial` are scratch.
pub fn batch_norm_backward(
    recorder: &mut Recorder,
    shape: Shape,
    conv: &Conv,
    layer: &Layer,
    gradient: &Tensor,
    gradients: &Tensor,
    means: &Tensor,
    partial: &Tensor,
) -> Result<()> {
    let params = chunks(shape, layer.channels);
    let len = layer.channels * shape.batch * shape.cells();
    let scratch = partial_len(shape, layer.channels);
    let (z, norm) = (("z", &layer.z, len), ("norm", &layer.norm, 4 * layer.channels));
    let means_len = 2 * layer.channels;
    let sums_file = include_str!("../../shaders/batch_norm_backward_sums.wgsl");
    recorder.call(
        &spec("batch_norm_backward_sums", &[NORM, REDUCE, sums_file]),
        &params,
        &[z, norm, ("gradient", gradient, len), ("partial", partial, scratch)],
        [params.chunks, params.channels, 1],
    )?;
    recorder.call(
        &spec(
            "batch_norm_backward_merge",
            &[REDUCE, include_str!("../../shaders/batch_norm_backward_merge.wgsl")],
        ),
        &BackwardMergeParams {
            chunks: params.chunks,
            gamma_offset: conv.gamma as u32,
            beta_offset: conv.beta as u32,
            count: (shape.batch * shape.cells()) as f32,
        },
        &[
            ("partial", partial, scratch),
            ("gradients", gradients, gradients.len()),
            ("means", means, means_len),
        ],
        [params.channels, 1, 1],
    )?;
    let grid = include_str!("../../shaders/lib/grid.wgsl");
    recorder.call(
        &spec("batch_norm_backward", &[grid, NORM, include_str!("../../shaders/batch_norm_backward.wgsl")]),
        &BackwardParams { batch: params.batch, channels: params.channels, cells: params.cells },
        &[z, norm, ("means", means, means_len), ("gradient", gradient, len)],
        flat_workgroups(len),
    )
}
