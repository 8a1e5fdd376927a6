//! Batch normalisation on the GPU (method §5): from the statistics that other kernels gather while they
//! write, the numbers per channel. The activation itself, and ∂L/∂z, are made by whoever reads them
//! ([`crate::gpu::layer::input`], [`crate::gpu::layer::gradient`]).

use crate::Result;
use crate::gpu::layer::layers::{Layer, NORM_LEN, Statistics};
use crate::gpu::nn::pack_weights::Packed;
use crate::gpu::runtime::recording::Recorder;
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::runtime::uniform::Scalar;
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
    let sums = Sums { sums, pooled: pooled_sums, output_weight, weights };
    let params = [
        ("gamma_offset", norm.gamma.into()),
        ("beta_offset", norm.beta.into()),
        ("count", (shape.values() as f32).into()),
        ("first_norm", layer.first_norm.into()),
    ];
    let norms = ("norms", &layer.norms, NORM_LEN * (layer.first_norm + layer.channels));
    let buffers = [("gradients", gradients, gradients.len()), norms];
    sums.add_up(recorder, "whole", layer.channels, &params, &buffers)?;
    recorder.declare_touched("norms", NORM_LEN / 2 * layer.channels)?;
    recorder.declare_touched("gradients", 2 * layer.channels)
}

/// Σg and Σg·ẑ of the channels of a layer, in chunks.
pub(crate) struct Sums<'a> {
    pub(crate) sums: Statistics<'a>,
    /// Those over g of the pooled values, if the layer is pooled.
    pub(crate) pooled: Option<Statistics<'a>>,
    /// Where the weights of the 1×1 convolution lie, which the last layer's g lacks.
    pub(crate) output_weight: Option<usize>,
    /// The flat parameters.
    pub(crate) weights: &'a Tensor,
}

impl Sums<'_> {
    /// Adds them up for one of the three kernels that end the backward pass, which has `params` and `buffers`
    /// of its own.
    pub(crate) fn add_up(
        &self,
        recorder: &mut Recorder,
        conclusion: &str,
        channels: usize,
        params: &[(&str, Scalar)],
        buffers: &[(&str, &Tensor, usize)],
    ) -> Result<()> {
        let &Self { sums, pooled, output_weight, weights } = self;
        // An empty list in the place of none: it must be some buffer.
        let pooled = pooled.unwrap_or(Statistics { buffer: sums.buffer, chunks: 0 });
        let kernel = "batch_norm_backward_merge";
        let name = if conclusion == "whole" { kernel.to_owned() } else { format!("{kernel}/{conclusion}") };
        let spec = KernelSpec::new(&format!("nn/{kernel}"))
            .with([format!("nn/batch_norm/backward_{conclusion}")])
            .called(&name);
        let common = [
            ("chunks", sums.chunks.into()),
            ("pooled_chunks", pooled.chunks.into()),
            ("output_weight", output_weight.unwrap_or(NO_WEIGHT).into()),
        ];
        let read = [
            ("sums", sums.buffer, 2 * channels * sums.chunks),
            ("pooled_sums", pooled.buffer, 2 * channels * pooled.chunks),
            ("weights", weights, weights.len()),
        ];
        let (params, buffers) = ([&common, params].concat(), [&read, buffers].concat());
        recorder.call(&spec, &params, &buffers, [channels as u32, 1, 1])?;
        recorder.declare_touched("weights", output_weight.map_or(0, |_| channels))
    }
}
