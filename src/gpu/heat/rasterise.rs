//! Rectangles to fields on the GPU (method §1).

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::model::Rectangle;

/// Numbers per rectangle in [`flatten`].
pub const NUMBERS: usize = 5;

/// Rectangles as the shader reads them: cx, cy, hx, hy, strength.
pub fn flatten(rectangles: &[Rectangle]) -> Vec<f64> {
    let numbers = |r: &Rectangle| [r.center[0], r.center[1], r.half_size[0], r.half_size[1], r.strength];
    rectangles.iter().flat_map(numbers).collect()
}

/// Cells along x and along y of a shader's invocation.
const PATCH: usize = 4;

/// `rectangles` `[batch, per_sample, 5]` to `field` `[batch, nx, ny]`; nx and ny are multiples of four.
pub fn rasterise(
    recorder: &mut Recorder,
    rectangles: &Tensor,
    field: &Tensor,
    per_sample: usize,
    batch: usize,
    nx: usize,
    ny: usize,
) -> Result<()> {
    let params =
        [("batch", batch.into()), ("nx", nx.into()), ("ny", ny.into()), ("rectangles", per_sample.into())];
    let len = batch * nx * ny;
    recorder.call(
        &KernelSpec::real("heat/rasterise", field.precision()),
        &params,
        &[("rectangles", rectangles, batch * per_sample * NUMBERS), ("field", field, len)],
        flat_workgroups(len / (PATCH * PATCH)),
    )
}
