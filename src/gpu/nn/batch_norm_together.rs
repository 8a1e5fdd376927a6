//! Batch normalisation of several micro-batches by the statistics of all of them, on the GPU (method §5).
//! Each leaves its own statistics first; what is made of all of them holds for each.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::NO_WEIGHT;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::model::unet::BatchNorm;

/// Where a micro-batch leaves its statistics.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// `[channels, of, 3]` of (count, mean, m2) forward, `[channels, of, 2]` of (Σg, Σg·ẑ) backward.
    pub buffer: &'a Tensor,
    /// The micro-batch.
    pub number: usize,
    /// Micro-batches there.
    pub of: usize,
}

/// Merges the moments of a micro-batch's z. [`batch_norm`](crate::gpu::nn::batch_norm::batch_norm) takes
/// those of all.
pub fn merge_moments(
    recorder: &mut Recorder,
    channels: usize,
    moments: Statistics,
    into: Part,
) -> Result<()> {
    let file = "nn/batch_norm/part".to_owned();
    recorder.call(
        &KernelSpec::new("nn/batch_norm_merge").with([file]).called("batch_norm_merge/part"),
        &[("chunks", moments.chunks.into()), ("part", into.number.into()), ("parts", into.of.into())],
        &[
            ("moments", moments.buffer, 3 * channels * moments.chunks),
            ("merged", into.buffer, 3 * channels * into.of),
        ],
        [channels as u32, 1, 1],
    )?;
    recorder.declare_touched("merged", 3 * channels)
}

/// Adds up the sums over a micro-batch's g, and over g of its pooled values if it is pooled: its ∂L/∂γ and
/// ∂L/∂β into `gradients`. The last layer's g lacks the weights of the 1×1 convolution, which lie at
/// `output_weight` of the parameters `weights`.
pub fn merge_sums(
    recorder: &mut Recorder,
    norm: &BatchNorm,
    channels: usize,
    sums: Statistics,
    pooled_sums: Option<Statistics>,
    output_weight: Option<usize>,
    weights: &Tensor,
    gradients: &Tensor,
    into: Part,
) -> Result<()> {
    // An empty list in the place of none: it must be some buffer.
    let pooled_sums = pooled_sums.unwrap_or(Statistics { buffer: sums.buffer, chunks: 0 });
    let file = "nn/batch_norm/backward_part".to_owned();
    recorder.call(
        &KernelSpec::new("nn/batch_norm_backward_merge")
            .with([file])
            .called("batch_norm_backward_merge/part"),
        &[
            ("chunks", sums.chunks.into()),
            ("pooled_chunks", pooled_sums.chunks.into()),
            ("gamma_offset", norm.gamma.into()),
            ("beta_offset", norm.beta.into()),
            ("output_weight", output_weight.unwrap_or(NO_WEIGHT).into()),
            ("part", into.number.into()),
            ("parts", into.of.into()),
        ],
        &[
            ("sums", sums.buffer, 2 * channels * sums.chunks),
            ("pooled_sums", pooled_sums.buffer, 2 * channels * pooled_sums.chunks),
            ("weights", weights, weights.len()),
            ("gradients", gradients, gradients.len()),
            ("merged", into.buffer, 2 * channels * into.of),
        ],
        [channels as u32, 1, 1],
    )?;
    recorder.declare_touched("weights", output_weight.map_or(0, |_| channels))?;
    recorder.declare_touched("gradients", 2 * channels)?;
    recorder.declare_touched("merged", 2 * channels)
}

/// The backward half of `layer`'s norms from the sums of all micro-batches, in their order. `values` are
/// those of a channel in all of them; `output_weight` is as of [`merge_sums`].
pub fn batch_norm_backward_together(
    recorder: &mut Recorder,
    values: usize,
    layer: &Layer,
    all: Statistics,
    output_weight: Option<usize>,
    weights: &Tensor,
) -> Result<()> {
    let (channels, parts) = (layer.channels, all.chunks);
    recorder.call(
        &KernelSpec::new("nn/batch_norm_backward_together"),
        &[
            ("channels", channels.into()),
            ("parts", parts.into()),
            ("output_weight", output_weight.unwrap_or(NO_WEIGHT).into()),
            ("count", (values as f32).into()),
            ("first_norm", layer.first_norm.into()),
        ],
        &[
            ("merged", all.buffer, 2 * channels * parts),
            ("weights", weights, weights.len()),
            ("norms", &layer.norms, NORM_LEN * (layer.first_norm + channels)),
        ],
        flat_workgroups(channels),
    )?;
    recorder.declare_touched("weights", output_weight.map_or(0, |_| channels))?;
    recorder.declare_touched("norms", NORM_LEN * channels)
}
