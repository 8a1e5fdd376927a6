//! The 64-bit exponential of `shaders/lib/exp64.wgsl` on an array, for its test.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::params::params;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups, real_spec};
use crate::model::Precision;

params! {
    struct ExpParams { count: u32 }
}

/// `y` = exp(`x`), both `[count]` in 64 bits.
pub fn exp64(recorder: &mut Recorder, x: &Tensor, y: &Tensor, count: usize) -> Result<()> {
    let files =
        [include_str!("../../../shaders/lib/grid.wgsl"), include_str!("../../../shaders/probes/exp64.wgsl")];
    recorder.call(
        &real_spec("exp64", &files, Precision::F64),
        &ExpParams { count: count as u32 },
        &[("x", x, count), ("y", y, count)],
        flat_workgroups(count),
    )
}
