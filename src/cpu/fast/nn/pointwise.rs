//! The 1×1 convolution of a residual block's shortcut, a product of matrices.

use crate::cpu::fast::nn::channels::{Channels, Grid, View};
use crate::cpu::fast::nn::gemm::{COLUMNS, Rows, gemm, gemm_transposed};
use crate::cpu::fast::nn::lanes::vectorised;

/// Weights as `[COLUMNS outputs][inputs]`, from w(output, input).
pub(crate) fn pack(from: Channels, to: Channels, w: impl Fn(usize, usize) -> f32) -> Vec<[f32; COLUMNS]> {
    let inputs = from.stored();
    let mut packed = vec![[0.0; COLUMNS]; inputs * to.stored().div_ceil(COLUMNS)];
    for o in 0..to.count() {
        for i in 0..from.count() {
            let column = to.at(o);
            packed[column / COLUMNS * inputs + from.at(i)][column % COLUMNS] = w(o, i);
        }
    }
    packed
}

/// out[x, y, o] = Σ_i w[o, i] · input[x, y, i] to `out` `[nx, ny, outputs]`, or added to it where `add`.
pub(crate) fn conv(
    input: View,
    inputs: usize,
    weights: &[[f32; COLUMNS]],
    grid: Grid,
    (out, outputs): (&mut [f32], usize),
    add: bool,
) {
    vectorised!(simd => {
        for (x, out) in out.chunks_exact_mut(grid.ny * outputs).enumerate() {
            for (block, weights) in weights.chunks_exact(inputs).enumerate() {
                let (cells, first) = (&input.values[x * input.row..], block * COLUMNS);
                let (to, width) = (&mut out[first..], COLUMNS.min(outputs - first));
                gemm(simd, Rows::plain(cells, input.cell), weights, (to, outputs), grid.ny, width, add);
            }
        }
    });
}

/// dw[o, i] = Σ_{x,y} g[x, y, o] · input[x, y, i], as `[COLUMNS outputs][inputs]`.
pub(crate) fn weight_gradient(
    input: View,
    inputs: usize,
    gradient: View,
    outputs: usize,
    grid: Grid,
) -> Vec<[f32; COLUMNS]> {
    let mut sums = vec![[0.0; COLUMNS]; inputs * outputs.div_ceil(COLUMNS)];
    vectorised!(simd => {
        for x in 0..grid.nx {
            let cells = &input.values[x * input.row..];
            for (block, sums) in sums.chunks_exact_mut(inputs).enumerate() {
                let first = block * COLUMNS;
                let row = &gradient.values[x * gradient.row + first..];
                let width = COLUMNS.min(outputs - first);
                gemm_transposed(simd, (cells, input.cell), (row, gradient.cell), sums, grid.ny, width);
            }
        }
    });
    sums
}
