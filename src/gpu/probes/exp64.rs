//! The 64-bit exponential of `shaders/lib/exp64.wgsl` on an array, for its test.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::model::DType;

/// `y` = exp(`x`), both `[count]` in 64 bits.
pub fn exp64(recorder: &mut Recorder, x: &Tensor, y: &Tensor, count: usize) -> Result<()> {
    recorder.call(
        &KernelSpec::real("probes/exp64", DType::F64),
        &[("count", count.into())],
        &[("x", x, count), ("y", y, count)],
        flat_workgroups(count),
    )
}
