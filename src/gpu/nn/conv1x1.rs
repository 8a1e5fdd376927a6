//! The final 1×1 convolution on the GPU, forward and backward (method §5).

use crate::Result;
use crate::gpu::layer::input::ConvInput;
use crate::gpu::layer::layers::{Layer, Norms, Statistics};
use crate::gpu::nn::sum_rows::{PartialSums, Rows};
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Shape, Tensor};

/// The layer's place in the flat parameters: the bias follows the weights `[c_in]` directly.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The flat parameters (or their gradients).
    pub buffer: &'a Tensor,
    /// Where the weights start.
    pub offset: usize,
}

/// output `[batch, nx, row]` = bias + Σ_c w_c·activation_c of `layer`.
pub fn conv1x1(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    weights: Weights,
    output: &Tensor,
) -> Result<()> {
    let (input, norms) = (ConvInput::Activation(layer), Norms::of([layer])?);
    let params = [
        ("batch", shape.batch.into()),
        ("nx", shape.nx.into()),
        ("ny", shape.ny.into()),
        ("c_in", layer.channels.into()),
        ("weight_offset", weights.offset.into()),
        ("bias_offset", (weights.offset + layer.channels).into()),
        ("input_norms", layer.first_norm.into()),
    ];
    let mut buffers = input.buffers(shape);
    buffers.extend([("weights", weights.buffer, weights.buffer.len()), ("output", output, shape.stored(1))]);
    buffers.extend(norms.buffers());
    let spec = KernelSpec::stored("nn/conv1x1", layer.storage()).with(input.files());
    recorder.call(&spec, &params, &buffers, flat_workgroups(shape.stored(1) / 4))?;
    recorder.declare_touched("weights", layer.channels + 1)?;
    norms.declare_touched(recorder)?;
    recorder.declare_flops(2 * layer.channels * shape.values());
    Ok(())
}

/// From `output_gradient` `[batch, nx, row]` and a layer of ReLUs or sums: ∂L/∂w and ∂L/∂bias, for the
/// gradients from `offset` on, left with the `partial` sums, which need room for batch·(channels + 1)
/// elements; Σg and Σg·ẑ for the layer's batch norm, without the factor w, into `sums` `[channels, batch,
/// 2]`.
pub fn conv1x1_backward<'a>(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    output_gradient: &Tensor,
    offset: usize,
    partial: &mut PartialSums,
    sums: &'a Tensor,
) -> Result<Statistics<'a>> {
    let (channels, norms) = (layer.channels, Norms::of([layer])?);
    let rows = Rows::whole(shape.batch, channels + 1);
    let (shares, first_share) = partial.make_room(recorder, rows, offset)?;
    let params = [
        ("batch", shape.batch.into()),
        ("nx", shape.nx.into()),
        ("ny", shape.ny.into()),
        ("channels", channels.into()),
        ("first_norm", layer.first_norm.into()),
        ("first_share", first_share.into()),
    ];
    let mut buffers = vec![
        ("output_gradient", output_gradient, shape.stored(1)),
        ("z", &layer.z, shape.stored(channels)),
        ("shares", shares, first_share + shape.batch * (channels + 1)),
        ("sums", sums, 2 * channels * shape.batch),
    ];
    buffers.extend(norms.buffers());
    recorder.call(
        &KernelSpec::stored("nn/conv1x1_backward", layer.storage()).with([layer.activation_file()]),
        &params,
        &buffers,
        [shape.batch as u32, channels as u32 + 1, 1],
    )?;
    norms.declare_touched(recorder)?;
    recorder.declare_touched("shares", shape.batch * (channels + 1))?;
    recorder.declare_flops(2 * channels * shape.values());
    Ok(Statistics { buffer: sums, chunks: shape.batch })
}

/// From `output_gradient` `[batch, nx, row]`: ∂L/∂(what the convolution has read) into `gradient`
/// `[batch, channels, nx, row]`, where somebody wants it stored.
pub fn output_gradient(
    recorder: &mut Recorder,
    shape: Shape,
    channels: usize,
    output_gradient: &Tensor,
    weights: Weights,
    gradient: &Tensor,
) -> Result<()> {
    let len = shape.stored(channels);
    recorder.call(
        &KernelSpec::stored("nn/output_gradient", gradient.storage()),
        &[
            ("batch", shape.batch.into()),
            ("channels", channels.into()),
            ("nx", shape.nx.into()),
            ("ny", shape.ny.into()),
            ("weight_offset", weights.offset.into()),
        ],
        &[
            ("output_gradient", output_gradient, shape.stored(1)),
            ("weights", weights.buffer, weights.offset + channels),
            ("gradient", gradient, len),
        ],
        flat_workgroups(len / 4),
    )?;
    recorder.declare_touched("weights", channels)?;
    recorder.declare_flops(channels * shape.values());
    Ok(())
}
