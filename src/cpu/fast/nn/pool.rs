//! 2×2 max-pooling with stride 2 (method §5). On ties the first maximum in row-major order gets the gradient.

use crate::cpu::fast::nn::channels::{Grid, LANES, ViewMut};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::norm::{load, store};
use fearless_simd::{Select, Simd, SimdBase, f32x8};

/// The maximum of every 2×2 cells of `fine` `[2 nx, 2 ny, channels]`, to the cells of `out` on `grid`.
pub(crate) fn max_pool(fine: &[f32], channels: usize, grid: Grid, out: ViewMut) {
    vectorised!(simd => {
        for x in 0..grid.nx {
            for y in 0..grid.ny {
                for c in (0..channels).step_by(LANES) {
                    let [first, second, third, fourth] = four(simd, fine, channels, grid, [x, y, c]).0;
                    let maximum = first.max(second).max(third.max(fourth));
                    store(maximum, out.values, x * out.row + y * out.cell + c);
                }
            }
        }
    });
}

/// Adds each value of `pooled` `[nx, ny, channels]` to the cell of `gradient` `[2 nx, 2 ny, channels]` where
/// `fine` has its maximum.
pub(crate) fn max_pool_backward(
    fine: &[f32],
    pooled: &[f32],
    gradient: &mut [f32],
    channels: usize,
    grid: Grid,
) {
    vectorised!(simd => {
        let zero = f32x8::splat(simd, 0.0);
        for x in 0..grid.nx {
            for y in 0..grid.ny {
                for c in (0..channels).step_by(LANES) {
                    let (values, at) = four(simd, fine, channels, grid, [x, y, c]);
                    let maximum = values[0].max(values[1]).max(values[2].max(values[3]));
                    let mut left = load(simd, pooled, (x * grid.ny + y) * channels + c);
                    for (value, at) in values.into_iter().zip(at) {
                        let is_first = value.simd_eq(maximum);
                        store(load(simd, gradient, at) + is_first.select(left, zero), gradient, at);
                        left = is_first.select(zero, left);
                    }
                }
            }
        }
    });
}

/// The four values of a pooled cell in row-major order, and where they lie.
#[inline(always)]
fn four<S: Simd>(
    simd: S,
    fine: &[f32],
    channels: usize,
    grid: Grid,
    [x, y, c]: [usize; 3],
) -> ([f32x8<S>; 4], [usize; 4]) {
    let corner = (4 * x * grid.ny + 2 * y) * channels + c;
    let below = corner + 2 * grid.ny * channels;
    let at = [corner, corner + channels, below, below + channels];
    let values =
        [load(simd, fine, at[0]), load(simd, fine, at[1]), load(simd, fine, at[2]), load(simd, fine, at[3])];
    (values, at)
}
