//! A large copy: the bandwidth that shaders get at most.

use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;
use crate::{Error, Result};

/// duplicate = original; both have the same length, a multiple of 4.
pub fn copy(recorder: &mut Recorder, original: &Tensor, duplicate: &Tensor) -> Result<()> {
    let len = original.len();
    if !len.is_multiple_of(4) || duplicate.len() != len {
        return Err(Error::Device(format!("copy: {len} and {} elements", duplicate.len())));
    }
    recorder.call(
        &KernelSpec::new("probes/copy"),
        &[("count", (len / 4).into())],
        &[("original", original, len), ("duplicate", duplicate, len)],
        flat_workgroups(len / 4),
    )
}
