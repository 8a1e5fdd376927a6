//! Batch normalisation on the GPU (method §5): from the statistics that other kernels gather while they
//! write, the numbers per channel. The activation itself, and ∂L/∂z, are made by whoever reads them
//! ([`crate::gpu::layer::input`], [`crate::gpu::layer::gradient`]).

use crate::Result;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::pack_weights::Packed;
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Shape, Tensor};
use crate::model::unet::{BatchNorm, NORM_EPSILON};

/// What the shaders take for no weight of a 1×1 convolution in the place of its offset.
pub(crate) const NO_WEIGHT: usize = u32::MAX as usize;

/// The forward half of `layer`'s norms from the moments of z, and what they add to the running statistics
/// into `statistics`, which is laid out like those. `bias` is the offset of the convolution's, whose weights
/// `packed` are.
pub fn batch_norm(
    recorder: &mut Recorder,
    norm: &BatchNorm,
    bias: usize,
    layer: &Layer,
    moments: Statistics,
    weights: &Tensor,
    packed: Packed,
    statistics: &Tensor,
) -> Result<()> {
    let pivots = packed.pivots.map_or(0, |offset| offset + layer.channels);
    recorder.call(
        &KernelSpec::stored("nn/batch_norm_merge", layer.storage()).with(["nn/batch_norm/whole".to_owned()]),
        &[
            ("chunks", moments.chunks.into()),
            ("gamma_offset", norm.gamma.into()),
            ("beta_offset", norm.beta.into()),
            ("bias_offset", bias.into()),
            ("mean_offset", norm.running_mean.into()),
            ("var_offset", norm.running_var.into()),
            ("epsilon", NORM_EPSILON.into()),
            ("first_norm", layer.first_norm.into()),
            ("pivot_offset", packed.pivots.unwrap_or(0).into()),
        ],
        &[
            ("moments", moments.buffer, 3 * layer.channels * moments.chunks),
            ("weights", weights, weights.len()),
            ("norms", &layer.norms, NORM_LEN * (layer.first_norm + layer.channels)),
            ("statistics", statistics, statistics.len()),
            ("packed", packed.buffer, pivots.max(1)),
        ],
        [layer.channels as u32, 1, 1],
    )?;
    recorder.declare_touched("weights", 3 * layer.channels)?;
    recorder.declare_touched("norms", NORM_LEN / 2 * layer.channels)?;
    recorder.declare_touched("statistics", 2 * layer.channels)?;
    recorder.declare_touched("packed", packed.pivots.map_or(0, |_| layer.channels))
}

/// The backward half of `layer`'s norms from the sums over g, and over g of its pooled values if it is
/// pooled; ∂L/∂γ and ∂L/∂β into `gradients`. The last layer's g lacks the weights of the 1×1 convolution,
/// which lie at `output_weight` of the parameters `weights`.
pub fn batch_norm_backward(
    recorder: &mut Recorder,
    shape: Shape,
    norm: &BatchNorm,
    layer: &Layer,
    sums: Statistics,
    pooled_sums: Option<Statistics>,
    output_weight: Option<usize>,
    weights: &Tensor,
    gradients: &Tensor,
) -> Result<()> {
    // An empty list in the place of none: it must be some buffer.
    let pooled_sums = pooled_sums.unwrap_or(Statistics { buffer: sums.buffer, chunks: 0 });
    recorder.call(
        &KernelSpec::new("nn/batch_norm_backward_merge").with(["nn/batch_norm/backward_whole".to_owned()]),
        &[
            ("chunks", sums.chunks.into()),
            ("pooled_chunks", pooled_sums.chunks.into()),
            ("gamma_offset", norm.gamma.into()),
            ("beta_offset", norm.beta.into()),
            ("output_weight", output_weight.unwrap_or(NO_WEIGHT).into()),
            ("count", (shape.values() as f32).into()),
            ("first_norm", layer.first_norm.into()),
        ],
        &[
            ("sums", sums.buffer, 2 * layer.channels * sums.chunks),
            ("pooled_sums", pooled_sums.buffer, 2 * layer.channels * pooled_sums.chunks),
            ("weights", weights, weights.len()),
            ("gradients", gradients, gradients.len()),
            ("norms", &layer.norms, NORM_LEN * (layer.first_norm + layer.channels)),
        ],
        [layer.channels as u32, 1, 1],
    )?;
    recorder.declare_touched("weights", output_weight.map_or(0, |_| layer.channels))?;
    recorder.declare_touched("norms", NORM_LEN / 2 * layer.channels)?;
    recorder.declare_touched("gradients", 2 * layer.channels)
}
