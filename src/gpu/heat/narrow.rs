//! From the physics' precision to the network's 32 bits (method §0).

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

/// The first `count` numbers of `wide` rounded into the 32-bit `narrow`.
pub fn narrow(recorder: &mut Recorder, wide: &Tensor, narrow: &Tensor, count: usize) -> Result<()> {
    recorder.call(
        &KernelSpec::real("heat/narrow", wide.precision()),
        &[("count", count.into())],
        &[("wide", wide, count), ("narrow", narrow, count)],
        flat_workgroups(count),
    )
}
