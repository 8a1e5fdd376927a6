//! Bilinear ×2 upsampling, corners not aligned, border clamped (method §5), and its exact adjoint.
//!
//! Per axis: `out[2i] = ¼·in[i-1] + ¾·in[i]` and `out[2i+1] = ¾·in[i] + ¼·in[i+1]`.

use crate::cpu::fast::nn::channels::{Grid, LANES, View, ViewMut};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::norm::{load, store};
use fearless_simd::{Simd, SimdBase, SimdFloat, f32x8};

/// Upsamples `coarse` `[nx, ny, channels]` of `grid` to the cells of `fine` on the grid of twice as many.
pub(crate) fn upsample(coarse: &[f32], channels: usize, grid: Grid, fine: ViewMut) {
    vectorised!(simd => upsample_by(simd, coarse, channels, grid, fine));
}

#[inline(always)]
fn upsample_by<S: Simd>(simd: S, coarse: &[f32], channels: usize, grid: Grid, fine: ViewMut) {
    let len = grid.ny * channels;
    let mut blend = vec![0.0; len];
    for x in 0..2 * grid.nx {
        let [near, far] = taps(x, grid.nx).map(|x| &coarse[x * len..][..len]);
        for at in (0..len).step_by(LANES) {
            store(mix(simd, load(simd, near, at), load(simd, far, at)), &mut blend, at);
        }
        for y in 0..2 * grid.ny {
            let [near, far] = taps(y, grid.ny);
            for c in (0..channels).step_by(LANES) {
                let near = load(simd, &blend, near * channels + c);
                let far = load(simd, &blend, far * channels + c);
                store(mix(simd, near, far), fine.values, x * fine.row + y * fine.cell + c);
            }
        }
    }
}

/// The adjoint: carries the gradient on the fine cells to `coarse` `[nx, ny, channels]` of `grid`, which is
/// overwritten.
pub(crate) fn upsample_backward(fine: View, coarse: &mut [f32], channels: usize, grid: Grid) {
    vectorised!(simd => backward_by(simd, fine, coarse, channels, grid));
}

#[inline(always)]
fn backward_by<S: Simd>(simd: S, fine: View, coarse: &mut [f32], channels: usize, grid: Grid) {
    let mut folded = vec![0.0; 2 * grid.ny * channels];
    for (x, coarse) in coarse.chunks_exact_mut(grid.ny * channels).enumerate() {
        let rows = readers(x, grid.nx);
        for y in 0..2 * grid.ny {
            for c in (0..channels).step_by(LANES) {
                let at = |x: usize| x * fine.row + y * fine.cell + c;
                let lanes = fold(simd, fine.values, [at(rows[0]), at(rows[1]), at(rows[2]), at(rows[3])]);
                store(lanes, &mut folded, y * channels + c);
            }
        }
        for y in 0..grid.ny {
            let cells = readers(y, grid.ny);
            for c in (0..channels).step_by(LANES) {
                let lanes = fold(simd, &folded, cells.map(|y| y * channels + c));
                store(lanes, coarse, y * channels + c);
            }
        }
    }
}

/// ¾·near + ¼·far.
#[inline(always)]
fn mix<S: Simd>(simd: S, near: f32x8<S>, far: f32x8<S>) -> f32x8<S> {
    f32x8::splat(simd, 0.75).mul_add(near, far * 0.25)
}

/// What four fine cells that read a coarse one give back to it.
#[inline(always)]
fn fold<S: Simd>(simd: S, values: &[f32], at: [usize; 4]) -> f32x8<S> {
    let near = load(simd, values, at[1]) + load(simd, values, at[2]);
    let far = load(simd, values, at[0]) + load(simd, values, at[3]);
    mix(simd, near, far)
}

/// The coarse cell that a fine cell lies in, and the next nearest one, clamped at the border.
#[inline(always)]
fn taps(fine: usize, n: usize) -> [usize; 2] {
    let cell = fine / 2;
    [cell, if fine.is_multiple_of(2) { cell.saturating_sub(1) } else { (cell + 1).min(n - 1) }]
}

/// The fine cells that read a coarse one, by ¼, ¾, ¾ and ¼. Those in a corner of the border read it twice.
#[inline(always)]
fn readers(coarse: usize, n: usize) -> [usize; 4] {
    [(2 * coarse).saturating_sub(1), 2 * coarse, 2 * coarse + 1, (2 * coarse + 2).min(2 * n - 1)]
}
