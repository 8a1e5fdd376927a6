//! A large copy: the bandwidth that shaders get at most.

use crate::gpu::Tensor;
use crate::gpu::runtime::params::params;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups, spec};
use crate::{Error, Result};

params! {
    struct CopyParams { count: u32 }
}

/// duplicate = original; both have the same length, a multiple of 4.
pub fn copy(recorder: &mut Recorder, original: &Tensor, duplicate: &Tensor) -> Result<()> {
    let len = original.len();
    if !len.is_multiple_of(4) || duplicate.len() != len {
        return Err(Error::Device(format!("copy: {len} and {} elements", duplicate.len())));
    }
    let files =
        [include_str!("../../../shaders/lib/grid.wgsl"), include_str!("../../../shaders/probes/copy.wgsl")];
    recorder.call(
        &spec("copy", &files),
        &CopyParams { count: (len / 4) as u32 },
        &[("original", original, len), ("duplicate", duplicate, len)],
        flat_workgroups(len / 4),
    )
}
