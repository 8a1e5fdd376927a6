//! From the physics' precision to the network's 32 bits (SPEC 0).

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::params::params;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

params! {
    struct NarrowParams { count: u32 }
}

/// The first `count` numbers of `wide` rounded into the 32-bit `narrow`.
pub fn narrow(recorder: &mut Recorder, wide: &Tensor, narrow: &Tensor, count: usize) -> Result<()> {
    recorder.call(
        &KernelSpec::real("heat/narrow", wide.precision()),
        &NarrowParams { count: count as u32 },
        &[("wide", wide, count), ("narrow", narrow, count)],
        flat_workgroups(count),
    )
}
