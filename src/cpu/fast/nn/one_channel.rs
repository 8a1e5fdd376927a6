//! The 3×3 convolution of the network's input, one channel: nine products per output, row by row.

use crate::cpu::fast::nn::channels::{Grid, View};
use crate::cpu::fast::nn::gemm::{COLUMNS, Rows, gemm, gemm_transposed};
use crate::cpu::fast::nn::lanes::vectorised;

/// The weights as `[COLUMNS outputs][tap]`, from w(output, tap).
pub(crate) fn pack(channels: usize, stored: usize, w: impl Fn(usize, usize) -> f32) -> Vec<[f32; COLUMNS]> {
    let mut packed = vec![[0.0; COLUMNS]; 9 * stored.div_ceil(COLUMNS)];
    for o in 0..channels {
        for tap in 0..9 {
            packed[o / COLUMNS * 9 + tap][o % COLUMNS] = w(o, tap);
        }
    }
    packed
}

/// out[x, y, o] = Σ_{kx,ky} w[o, kx, ky] · padded[x + kx, y + ky]. Rows of `padded` lie `pitch` apart, `out`
/// is `[nx, ny, channels]`, overwritten.
pub(crate) fn conv(
    padded: &[f32],
    pitch: usize,
    weights: &[[f32; COLUMNS]],
    grid: Grid,
    (out, channels): (&mut [f32], usize),
) {
    vectorised!(simd => {
        for (x, out) in out.chunks_exact_mut(grid.ny * channels).enumerate() {
            for (block, weights) in weights.chunks_exact(9).enumerate() {
                let first = block * COLUMNS;
                for (kx, weights) in weights.chunks_exact(3).enumerate() {
                    let (cells, to) = (&padded[(x + kx) * pitch..], &mut out[first..]);
                    let width = COLUMNS.min(channels - first);
                    gemm(simd, Rows::plain(cells, 1), weights, (to, channels), grid.ny, width, kx > 0);
                }
            }
        }
    });
}

/// dw[o, kx, ky] = Σ_{x,y} g[x, y, o] · padded[x + kx, y + ky], as `[COLUMNS outputs][tap]`.
pub(crate) fn weight_gradient(
    padded: &[f32],
    pitch: usize,
    gradient: View,
    channels: usize,
    grid: Grid,
) -> Vec<[f32; COLUMNS]> {
    let mut taps = vec![[0.0; COLUMNS]; 9 * channels.div_ceil(COLUMNS)];
    vectorised!(simd => {
        for x in 0..grid.nx {
            for (block, taps) in taps.chunks_exact_mut(9).enumerate() {
                let first = block * COLUMNS;
                let row = &gradient.values[x * gradient.row + first..];
                for (kx, taps) in taps.chunks_exact_mut(3).enumerate() {
                    let cells = &padded[(x + kx) * pitch..];
                    let width = COLUMNS.min(channels - first);
                    gemm_transposed(simd, (cells, 1), (row, gradient.cell), taps, grid.ny, width);
                }
            }
        }
    });
    taps
}
