//! Adjoint of bilinear ×2 upsampling on the GPU (SPEC 5); forward is part of the source `skip_up`.

use super::conv3x3::Shape;
use super::recording::{Recorder, flat_workgroups, spec};
use super::{Tensor, params::params};
use crate::Result;

params! {
    struct UpsampleParams { batch: u32, channels: u32, nx: u32, ny: u32 }
}

/// `fine_gradient` `[batch, channels, 2·nx, 2·ny]` to `gradient` on the coarse grid `shape`, overwritten.
pub fn upsample_backward(
    recorder: &mut Recorder,
    shape: Shape,
    channels: usize,
    fine_gradient: &Tensor,
    gradient: &Tensor,
) -> Result<()> {
    let files =
        [include_str!("../../shaders/lib/grid.wgsl"), include_str!("../../shaders/upsample_backward.wgsl")];
    let len = shape.batch * channels * shape.cells();
    recorder.call(
        &spec("upsample_backward", &files),
        &UpsampleParams {
            batch: shape.batch as u32,
            channels: channels as u32,
            nx: shape.nx as u32,
            ny: shape.ny as u32,
        },
        &[("fine_gradient", fine_gradient, 4 * len), ("gradient", gradient, len)],
        flat_workgroups(len),
    )
}
