//! The gradient of a 3×3 convolution's weights, for one sample: at Winograd's points it is a product of what
//! the convolution has read and of its outputs' gradient, tile by tile.

use crate::cpu::fast::nn::channels::{Grid, View};
use crate::cpu::fast::nn::gemm::{COLUMNS, gemm_transposed};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::points::Workspace;
use crate::cpu::fast::nn::tiles::{Tiles, gradients, inputs};
use crate::cpu::fast::nn::winograd::{POINTS, SPAN, Transform, WeightsAdjoint, each};
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
            for column in 0..columns {
                let made = workspace.outputs.group(column, point);
                let sums = &mut sums[(point * columns + column) * c_in..][..c_in];
                let width = COLUMNS.min(c_out - column * COLUMNS);
                for (group, sums) in sums.chunks_mut(COLUMNS).enumerate() {
                    let read = workspace.inputs.group(group, point);
                    gemm_transposed(simd, (read, COLUMNS), (made, COLUMNS), sums, count, width);
                }
            }
        }
    }
    let mut taps = vec![[0.0; COLUMNS]; 9 * pairs];
    for pair in 0..pairs {
        let columns = each!(6, Y => WeightsAdjoint::along(simd, each!(6, X => {
            f32x16::from_slice(simd, &sums[(X * SPAN + Y) * pairs + pair])
        })));
        each!(3, X => {
            let row = WeightsAdjoint::along(simd, each!(6, Y => columns[Y][X]));
            each!(3, Y => row[Y].store_slice(&mut taps[(3 * X + Y) * pairs + pair]));
        });
    }
    taps
}
