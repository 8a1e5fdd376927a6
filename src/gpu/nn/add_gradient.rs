//! Adds up gradients: with respect to what two have read, or of the same parameters from two micro-batches.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

/// total += share, of the first `len` elements, and the padding behind them.
pub fn add_gradient(recorder: &mut Recorder, share: &Tensor, total: &Tensor, len: usize) -> Result<()> {
    recorder.call(
        &KernelSpec::stored("nn/add_gradient", total.storage()),
        &[("quads", len.div_ceil(4).into())],
        &[("share", share, len), ("total", total, len)],
        flat_workgroups(len.div_ceil(4)),
    )?;
    recorder.declare_flops(len);
    Ok(())
}
