//! Batch normalisation of several micro-batches by the statistics of all of them, on the GPU (method §5).
//! Each leaves its own statistics first; what is made of all of them holds for each.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::Sums;
use crate::gpu::runtime::recording::Recorder;
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

/// Adds up the `sums` of a micro-batch: its ∂L/∂γ and ∂L/∂β into `gradients`.
pub(crate) fn merge_sums(
    recorder: &mut Recorder,
    norm: &BatchNorm,
    channels: usize,
    sums: &Sums,
    gradients: &Tensor,
    into: Part,
) -> Result<()> {
    let params = [
        ("gamma_offset", norm.gamma.into()),
        ("beta_offset", norm.beta.into()),
        ("part", into.number.into()),
        ("parts", into.of.into()),
    ];
    let merged = ("merged", into.buffer, 2 * channels * into.of);
    let buffers = [("gradients", gradients, gradients.len()), merged];
    sums.add_up(recorder, "part", channels, &params, &buffers)?;
    recorder.declare_touched("gradients", 2 * channels)?;
    recorder.declare_touched("merged", 2 * channels)
}

/// The backward half of `layer`'s norms from the sums of all micro-batches; `values` are those of a channel
/// in all of them.
pub(crate) fn batch_norm_backward_together(
    recorder: &mut Recorder,
    values: usize,
    layer: &Layer,
    all: &Sums,
) -> Result<()> {
    let params = [("count", (values as f32).into()), ("first_norm", layer.first_norm.into())];
    let norms = ("norms", &layer.norms, NORM_LEN * (layer.first_norm + layer.channels));
    all.add_up(recorder, "together", layer.channels, &params, &[norms])?;
    recorder.declare_touched("norms", NORM_LEN / 2 * layer.channels)
}
