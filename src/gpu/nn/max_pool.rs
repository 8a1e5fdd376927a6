//! 2×2 max-pooling of stored arrays on the GPU, and its adjoint (method §5): of the sums of residual blocks.
//! Other layers are pooled while their convolution stores them ([`crate::gpu::layer::epilogue::Pool`]).

use crate::Result;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::gpu::{Scalar, Shape, Tensor};

/// `fine` `[batch, channels, 2·nx, fine row]` to `pooled` on the grid of `shape`.
pub fn max_pool(
    recorder: &mut Recorder,
    shape: Shape,
    channels: usize,
    fine: &Tensor,
    pooled: &Tensor,
) -> Result<()> {
    let len = shape.stored(channels);
    recorder.call(
        &KernelSpec::stored("nn/max_pool", fine.storage()),
        &params_of(shape, channels),
        &[("fine", fine, shape.finer().stored(channels)), ("pooled", pooled, len)],
        flat_workgroups(len / 4),
    )
}

/// Adds `pooled_gradient` on the grid of `shape` to `gradient` `[batch, channels, 2·nx, fine row]` where
/// `fine` has its maxima.
pub fn max_pool_backward(
    recorder: &mut Recorder,
    shape: Shape,
    channels: usize,
    fine: &Tensor,
    pooled_gradient: &Tensor,
    gradient: &Tensor,
) -> Result<()> {
    let len = shape.finer().stored(channels);
    recorder.call(
        &KernelSpec::stored("nn/max_pool_backward", fine.storage()),
        &params_of(shape.finer(), channels),
        &[
            ("fine", fine, len),
            ("pooled_gradient", pooled_gradient, shape.stored(channels)),
            ("gradient", gradient, len),
        ],
        flat_workgroups(len / 4),
    )
}

fn params_of(shape: Shape, channels: usize) -> [(&'static str, Scalar); 3] {
    [("planes", (shape.batch * channels).into()), ("nx", shape.nx.into()), ("ny", shape.ny.into())]
}
