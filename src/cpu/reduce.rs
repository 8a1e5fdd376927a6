//! Sums in many independent lanes: the compiler can vectorise them, and the rounding error grows only with
//! the length of a lane.

use crate::cpu::Real;
use rayon::prelude::*;

const LANES: usize = 16;

/// Σ_i f(i) for i < len. The order depends on `len` alone.
#[inline(always)]
pub fn sum<T: Real>(len: usize, f: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let whole = len / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            lanes[lane] += f(start + lane);
        }
    }
    for i in whole..len {
        lanes[i - whole] += f(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Adds `rows` of the length of `out` element by element, from the first to the last; `out` is overwritten.
pub fn sum_rows<T: Real>(rows: &[Vec<T>], out: &mut [T]) {
    const COLUMNS: usize = 512; // of a task
    out.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, out)| {
        out.fill(T::zero());
        for row in rows {
            out.iter_mut().zip(&row[i * COLUMNS..]).for_each(|(o, &r)| *o += r);
        }
    });
}

/// The mean of a field, added up in rows so that long sums lose nothing.
pub fn mean(field: &[f64]) -> f64 {
    field.chunks(1024).map(|row| row.iter().sum::<f64>()).sum::<f64>() / field.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_length_completely() {
        for len in [0, 1, 15, 16, 17, 100, 4096] {
            assert_eq!(sum(len, |i| i as f64), (len * len.saturating_sub(1) / 2) as f64);
        }
    }
}
