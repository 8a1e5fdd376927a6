//! Multiply-adds in registers: the arithmetic that shaders get at most.

use super::recording::{Recorder, flat_workgroups, spec};
use super::{Tensor, params::params};
use crate::Result;

params! {
    struct MultiplyAddParams { rounds: u32, factor: f32, offset: f32 }
}

/// Numbers that an invocation iterates side by side.
pub const CHAINS: usize = 8;

/// Iterations of a round.
pub const ITERATIONS: usize = 8;

/// Rounds per dispatch: Mesa's software driver leaves a loop after 65535.
pub const MAX_ROUNDS: usize = 1 << 15;

/// Multiplied in each iteration.
pub const FACTOR: f32 = -0.999;

/// Added in each iteration.
pub const OFFSET: f32 = 1.0;

/// One invocation per element of `sums`, each iterating x <- [`FACTOR`]·x + [`OFFSET`] on [`CHAINS`] numbers,
/// `rounds`·[`ITERATIONS`] times, and writing their sum.
pub fn multiply_add(recorder: &mut Recorder, sums: &Tensor, rounds: usize) -> Result<()> {
    let len = sums.len();
    let files =
        [include_str!("../../shaders/lib/grid.wgsl"), include_str!("../../shaders/multiply_add.wgsl")];
    recorder.call(
        &spec("multiply_add", &files),
        &MultiplyAddParams { rounds: rounds.min(MAX_ROUNDS) as u32, factor: FACTOR, offset: OFFSET },
        &[("sums", sums, len)],
        flat_workgroups(len),
    )?;
    recorder.declare_flops(2 * CHAINS * ITERATIONS * rounds.min(MAX_ROUNDS) * len);
    Ok(())
}
