//! What the cores can do at most: multiply-adds in registers, by the instructions that the convolutions use,
//! and copies of arrays that no cache holds.

use crate::cpu::fast::nn::lanes::vectorised;
use crate::{Error, Result};
use fearless_simd::{Simd, SimdBase, SimdFloat};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Chains of multiply-adds that do not wait for each other: more than hide a core's latency, and registers
/// for all of them.
const CHAINS: usize = 10;

/// Multiply-adds of every chain that are timed together.
const LENGTH: usize = 1 << 22;

/// Floats of a copied array: together with its copy 256 MiB.
const COPIED: usize = 32 << 20;
/// The same where memory is short.
const COPIED_AT_LEAST: usize = 1 << 20;

/// Measurements, of which the fastest counts.
const REPEATS: usize = 5;

/// 10⁹ floating-point operations per second of all threads of the pool together, a multiply-add counting two.
pub fn gflops() -> f64 {
    let all = || -> usize { rayon::broadcast(|_| multiply_adds(LENGTH)).into_iter().sum() };
    1e-9 * fastest(all)
}

/// 10⁹ bytes per second that all threads together read and write when they copy.
///
/// # Errors
/// [`Error::OutOfMemory`] where two small arrays have no room.
pub fn gbytes_per_second() -> Result<f64> {
    let halved = std::iter::successors(Some(COPIED), |len| Some(len / 2));
    let arrays = |len| Some((array(len)?, array(len)?));
    let (from, mut to) = halved
        .take_while(|len| *len >= COPIED_AT_LEAST)
        .find_map(arrays)
        .ok_or_else(|| Error::OutOfMemory("no room for two arrays of 4 MiB to copy".to_owned()))?;
    let share = from.len().div_ceil(rayon::current_num_threads());
    let bytes = 2 * size_of_val(from.as_slice());
    let rate = fastest(|| {
        let shares = to.par_chunks_mut(share).zip(from.par_chunks(share));
        shares.for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&to);
        bytes
    });
    Ok(1e-9 * rate)
}

/// An array of ones, if there is room.
fn array(len: usize) -> Option<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).ok()?;
    values.resize(len, 1.0);
    Some(values)
}

/// The most that `work` does in a second, which says how much it has done.
fn fastest(mut work: impl FnMut() -> usize) -> f64 {
    let rate = |_| {
        let start = Instant::now();
        let done = work();
        done as f64 / start.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(rate).fold(0.0, f64::max)
}

/// Multiplies and adds `times` in every lane of every chain, and returns how many operations that were.
fn multiply_adds(times: usize) -> usize {
    vectorised!(widest simd => chains(simd, times))
}

#[inline(always)]
fn chains<S: Simd>(simd: S, times: usize) -> usize {
    let (factor, term) = (S::f32s::splat(simd, black_box(0.5)), S::f32s::splat(simd, black_box(1.0)));
    let mut sums = [S::f32s::splat(simd, 0.0); CHAINS];
    for _ in 0..times {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, term);
        }
    }
    let mut last = [0.0; 64];
    for sum in sums {
        sum.store_slice(&mut last[..S::f32s::LEN]);
        black_box(&last);
    }
    2 * times * CHAINS * S::f32s::LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_slower_than_a_pocket_calculator_or_faster_than_it_can_be() {
        let (gflops, gbytes) = (gflops(), gbytes_per_second().unwrap());
        let threads = rayon::current_num_threads() as f64;
        assert!(gflops > 0.1 && gflops < 1000.0 * threads, "{gflops}");
        assert!(gbytes > 0.1 && gbytes < 1000.0 * threads, "{gbytes}");
    }
}
