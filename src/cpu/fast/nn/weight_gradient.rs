//! The gradient of a 3×3 convolution's weights, for one sample: at Winograd's points it is a product of what
//! the convolution has read and of its outputs' gradient, tile by tile.

use crate::cpu::fast::nn::channels::{Grid, View};
use crate::cpu::fast::nn::gemm::{COLUMNS, gemm_transposed};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::tiles::{Tiles, Workspace, gradients, inputs};
use crate::cpu::fast::nn::winograd::{POINTS, SPAN, WeightsAdjoint, both};
use fearless_simd::{Simd, SimdBase, f32x16};

/// dw[o, i, kx, ky] = Σ_{x,y} g[x, y, o] · padded[x + kx, y + ky, i], as `[tap][COLUMNS outputs][inputs]`.
///
/// `read` is what the convolution has read, padded as [`Tiles::padded`] says, and how many channels that has;
/// `made` the gradient of its outputs.
pub(crate) fn weight_gradient(
    read: (&[f32], usize),
    made: (View, usize),
    grid: Grid,
    workspace: &mut Workspace,
) -> Vec<[f32; COLUMNS]> {
    vectorised!(widest simd => correlate(simd, read, made, grid, workspace))
}

#[inline(always)]
fn correlate<S: Simd>(
    simd: S,
    (padded, c_in): (&[f32], usize),
    (gradient, c_out): (View, usize),
    grid: Grid,
    workspace: &mut Workspace,
) -> Vec<[f32; COLUMNS]> {
    let tiles = Tiles::new(grid);
    let columns = c_out.div_ceil(COLUMNS);
    let pairs = columns * c_in;
    workspace.inputs.resize(c_in);
    workspace.outputs.resize(c_out);
    let mut sums = vec![[0.0; COLUMNS]; POINTS * pairs];
    // Block by block, so that no sum of many terms loses digits.
    for block in tiles.blocks() {
        let count = block.len();
        inputs(simd, padded, tiles, block.clone(), &mut workspace.inputs);
        gradients(simd, gradient, tiles, block, &mut workspace.outputs);
        for point in 0..POINTS {
            let (read, made) = (workspace.inputs.of(point), workspace.outputs.of(point));
            for column in 0..columns {
                let sums = &mut sums[(point * columns + column) * c_in..][..c_in];
                let width = COLUMNS.min(c_out - column * COLUMNS);
                gemm_transposed(simd, (read, c_in), (&made[column * COLUMNS..], c_out), sums, count, width);
            }
        }
    }
    let mut taps = vec![[0.0; COLUMNS]; 9 * pairs];
    for pair in 0..pairs {
        let mut square = [[f32x16::splat(simd, 0.0); SPAN]; SPAN];
        for x in 0..SPAN {
            for y in 0..SPAN {
                square[x][y] = f32x16::from_slice(simd, &sums[(x * SPAN + y) * pairs + pair]);
            }
        }
        let square = both::<WeightsAdjoint, S, _, SPAN, 3>(simd, &square);
        for (tap, value) in square.as_flattened().iter().enumerate() {
            value.store_slice(&mut taps[tap * pairs + pair]);
        }
    }
    taps
}
