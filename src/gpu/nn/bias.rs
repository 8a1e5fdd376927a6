//! Layers without batch norm on the GPU: the convolution's bias in the place of the norm, and its gradient.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::batch_norm::NO_WEIGHT;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

/// The forward half of `layer`'s norms from the biases at `offset` of the parameters `weights`.
pub fn bias(recorder: &mut Recorder, offset: usize, layer: &Layer, weights: &Tensor) -> Result<()> {
    let (channels, end) = (layer.channels, NORM_LEN * (layer.first_norm + layer.channels));
    recorder.call(
        &KernelSpec::new("nn/bias"),
        &[
            ("channels", channels.into()),
            ("bias_offset", offset.into()),
            ("first_norm", layer.first_norm.into()),
        ],
        &[("weights", weights, offset + channels), ("norms", &layer.norms, end)],
        flat_workgroups(channels),
    )?;
    recorder.declare_touched("weights", channels)?;
    recorder.declare_touched("norms", NORM_LEN / 2 * channels)
}

/// The backward half of `layer`'s norms, and ∂L/∂bias into `gradients` at `offset`, from the sums over g, and
/// over g of its pooled values if it is pooled. The last layer's g lacks the weights of the 1×1 convolution,
/// which lie at `output_weight` of the parameters `weights`.
pub fn bias_backward(
    recorder: &mut Recorder,
    offset: usize,
    layer: &Layer,
    sums: Statistics,
    pooled_sums: Option<Statistics>,
    output_weight: Option<usize>,
    weights: &Tensor,
    gradients: &Tensor,
) -> Result<()> {
    // An empty list in the place of none: it must be some buffer.
    let pooled_sums = pooled_sums.unwrap_or(Statistics { buffer: sums.buffer, chunks: 0 });
    let channels = layer.channels;
    recorder.call(
        &KernelSpec::new("nn/bias_backward"),
        &[
            ("chunks", sums.chunks.into()),
            ("pooled_chunks", pooled_sums.chunks.into()),
            ("bias_offset", offset.into()),
            ("output_weight", output_weight.unwrap_or(NO_WEIGHT).into()),
            ("first_norm", layer.first_norm.into()),
        ],
        &[
            ("sums", sums.buffer, 2 * channels * sums.chunks),
            ("pooled_sums", pooled_sums.buffer, 2 * channels * pooled_sums.chunks),
            ("weights", weights, weights.len()),
            ("gradients", gradients, gradients.len()),
            ("norms", &layer.norms, NORM_LEN * (layer.first_norm + channels)),
        ],
        [channels as u32, 1, 1],
    )?;
    recorder.declare_touched("weights", output_weight.map_or(0, |_| channels))?;
    recorder.declare_touched("norms", NORM_LEN / 2 * channels)?;
    recorder.declare_touched("gradients", channels)
}
