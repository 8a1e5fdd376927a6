//! Multiply-adds in registers: the arithmetic that shaders get at most.

use crate::Result;
use crate::gpu::Tensor;
use crate::gpu::runtime::recording::{Recorder, flat_workgroups};
use crate::gpu::runtime::spec::KernelSpec;

/// Numbers that an invocation iterates side by side.
pub const CHAINS: usize = 12;

/// Iterations of a round.
pub const ITERATIONS: usize = 8;

/// Rounds per dispatch: Mesa's software driver leaves a loop after 65535.
pub const MAX_ROUNDS: usize = 1 << 15;

/// Multiplied in each iteration.
pub const FACTOR: f32 = -0.999;

/// Added in each iteration.
pub const OFFSET: f32 = 1.0;

/// `count` invocations, each iterating x <- [`FACTOR`]·x + [`OFFSET`] on [`CHAINS`] numbers
/// `rounds`·[`ITERATIONS`] times, and writing their sum to `sums`. Rounds beyond [`MAX_ROUNDS`] are left out.
pub fn multiply_add(recorder: &mut Recorder, sums: &Tensor, count: usize, rounds: usize) -> Result<()> {
    let rounds = rounds.min(MAX_ROUNDS);
    recorder.call(
        &KernelSpec::new("probes/multiply_add"),
        &[
            ("count", count.into()),
            ("rounds", rounds.into()),
            ("factor", FACTOR.into()),
            ("offset", OFFSET.into()),
        ],
        &[("sums", sums, count)],
        flat_workgroups(count),
    )?;
    recorder.declare_flops(2 * CHAINS * ITERATIONS * rounds * count);
    Ok(())
}
