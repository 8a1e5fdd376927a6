//! The final 1×1 convolution on the GPU, forward and backward (SPEC 5).

use super::conv3x3::Shape;
use super::recording::{Recorder, flat_workgroups, spec};
use super::source::{Layer, Source};
use super::{KernelSpec, Tensor, params::params, sum_rows::sum_rows};
use crate::Result;

params! {
    struct ForwardParams { batch: u32, nx: u32, ny: u32, c_in: u32, weight_offset: u32, bias_offset: u32 }
}

params! {
    struct BackwardParams { batch: u32, nx: u32, ny: u32, c_in: u32, weight_offset: u32 }
}

/// The layer's place in the flat parameters: the bias follows the weights `[c_in]` directly.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The flat parameters (or their gradients).
    pub buffer: &'a Tensor,
    /// Where the weights start.
    pub offset: usize,
}

/// output `[batch, nx, ny]` = bias + Σ_c w_c·activation_c of `layer`.
pub fn conv1x1(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    weights: Weights,
    output: &Tensor,
) -> Result<()> {
    let source = Source::Activation(layer);
    let params = ForwardParams {
        batch: shape.batch as u32,
        nx: shape.nx as u32,
        ny: shape.ny as u32,
        c_in: layer.channels as u32,
        weight_offset: weights.offset as u32,
        bias_offset: (weights.offset + layer.channels) as u32,
    };
    let len = shape.batch * shape.cells();
    let mut buffers = source.buffers(shape.batch, shape.cells());
    buffers.extend([("weights", weights.buffer, weights.buffer.len()), ("output", output, len)]);
    let file = include_str!("../../shaders/conv1x1.wgsl");
    let helper = include_str!("../../shaders/lib/grid.wgsl");
    recorder.call(&with_source("conv1x1", source, helper, file), &params, &buffers, flat_workgroups(len))
}

/// From `output_gradient` `[batch, nx, ny]`: ∂L/∂activation into `gradient`, ∂L/∂w and ∂L/∂bias into
/// `gradients`. `partial` is scratch of at least batch·(channels + 1) elements.
pub fn conv1x1_backward(
    recorder: &mut Recorder,
    shape: Shape,
    layer: &Layer,
    weights: Weights,
    output_gradient: &Tensor,
    gradient: &Tensor,
    gradients: &Tensor,
    partial: &Tensor,
) -> Result<()> {
    let source = Source::Activation(layer);
    let channels = layer.channels;
    let params = BackwardParams {
        batch: shape.batch as u32,
        nx: shape.nx as u32,
        ny: shape.ny as u32,
        c_in: channels as u32,
        weight_offset: weights.offset as u32,
    };
    let len = shape.batch * shape.cells();
    let mut buffers = source.buffers(shape.batch, shape.cells());
    buffers.extend([
        ("weights", weights.buffer, weights.buffer.len()),
        ("output_gradient", output_gradient, len),
        ("gradient", gradient, len * channels),
        ("partial", partial, shape.batch * (channels + 1)),
    ]);
    let file = include_str!("../../shaders/conv1x1_backward.wgsl");
    let helper = include_str!("../../shaders/lib/reduce.wgsl");
    let workgroups = [shape.batch as u32, channels as u32 + 1, 1];
    recorder.call(&with_source("conv1x1_backward", source, helper, file), &params, &buffers, workgroups)?;
    sum_rows(recorder, partial, shape.batch, channels + 1, gradients, weights.offset)
}

fn with_source(name: &str, source: Source, helper: &'static str, file: &'static str) -> KernelSpec {
    let mut files = source.files();
    files.extend([helper, file]);
    spec(name, &files)
}
