//! The 3×3 convolution of one sample by Winograd's tiles, without bias.

use crate::cpu::fast::nn::channels::{Channels, Grid};
use crate::cpu::fast::nn::gemm::{COLUMNS, gemm};
use crate::cpu::fast::nn::lanes::vectorised;
use crate::cpu::fast::nn::points::Workspace;
use crate::cpu::fast::nn::tiles::{Tiles, inputs, outputs};
use crate::cpu::fast::nn::winograd::{self, POINTS, SPAN};
use fearless_simd::Simd;

/// Weights at the points, `[point][COLUMNS outputs][inputs]`.
pub(crate) struct PointWeights {
    values: Vec<[f32; COLUMNS]>,
    inputs: usize,
    outputs: usize,
}

impl PointWeights {
    /// G w Gᵀ of w(output, input, tap), where both have so many channels.
    pub(crate) fn new(from: Channels, to: Channels, w: impl Fn(usize, usize, usize) -> f32) -> Self {
        let (inputs, outputs) = (from.stored(), to.stored());
        let columns = outputs.div_ceil(COLUMNS);
        let mut values = vec![[0.0; COLUMNS]; POINTS * columns * inputs];
        for o in 0..to.count() {
            for i in 0..from.count() {
                let (row, column) = (from.at(i), to.at(o));
                let rows: [[f64; SPAN]; 3] =
                    [0, 1, 2].map(|x| winograd::weights([0, 1, 2].map(|y| f64::from(w(o, i, 3 * x + y)))));
                for y in 0..SPAN {
                    let points = winograd::weights([0, 1, 2].map(|x| rows[x][y]));
                    for (x, value) in points.into_iter().enumerate() {
                        let block = (x * SPAN + y) * columns + column / COLUMNS;
                        values[block * inputs + row][column % COLUMNS] = value as f32;
                    }
                }
            }
        }
        Self { values, inputs, outputs }
    }
}

/// Cross-correlation: out[x, y, o] = Σ_{i,kx,ky} w[o, i, kx, ky] · padded[x + kx, y + ky, i].
///
/// `padded` is `[rows][cells][inputs]` as [`Tiles::padded`] says. The outputs go to one array or, the first
/// channels and the others, to two: each `[nx, ny, channels]`, overwritten.
pub(crate) fn conv3x3(
    padded: &[f32],
    weights: &PointWeights,
    grid: Grid,
    workspace: &mut Workspace,
    targets: [(&mut [f32], usize); 2],
) {
    vectorised!(widest simd => convolve(simd, padded, weights, grid, workspace, targets));
}

#[inline(always)]
fn convolve<S: Simd>(
    simd: S,
    padded: &[f32],
    weights: &PointWeights,
    grid: Grid,
    workspace: &mut Workspace,
    [(first, first_channels), (second, second_channels)]: [(&mut [f32], usize); 2],
) {
    let PointWeights { values, inputs: c_in, outputs: c_out } = weights;
    assert_eq!(first_channels + second_channels, *c_out);
    let tiles = Tiles::new(grid);
    let columns = c_out.div_ceil(COLUMNS);
    workspace.inputs.resize(*c_in);
    workspace.outputs.resize(*c_out);
    for block in tiles.blocks() {
        inputs(simd, padded, tiles, block.clone(), &mut workspace.inputs);
        for point in 0..POINTS {
            let from = workspace.inputs.rows(point);
            for column in 0..columns {
                let weights = &values[(point * columns + column) * c_in..][..*c_in];
                let width = COLUMNS.min(c_out - column * COLUMNS);
                let to = workspace.outputs.group_mut(column, point);
                gemm(simd, from, weights, (to, COLUMNS), block.len(), width, false);
            }
        }
        outputs(simd, &workspace.outputs, 0, tiles, block.clone(), (&mut *first, first_channels));
        if second_channels > 0 {
            outputs(simd, &workspace.outputs, first_channels, tiles, block, (&mut *second, second_channels));
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};
    use fearless_simd::Level;

    /// Convolutions by the instructions of `simd`, one after the other in the same workspace: of more tiles
    /// than in a block, and of groups of channels that are not full or belong to two targets.
    fn outputs<S: Simd>(simd: S) -> Vec<f32> {
        let grids = [Grid { nx: 36, ny: 31 }, Grid { nx: 12, ny: 7 }];
        let (mut workspace, mut all) = (Workspace::default(), Vec::new());
        for (grid, (inputs, targets)) in grids
            .into_iter()
            .flat_map(|grid| [(40, [16, 24]), (24, [8, 32]), (8, [24, 0])].map(|c| (grid, c)))
        {
            let outputs = targets[0] + targets[1];
            let mut random = Random::new(Purpose::Cases, 6, inputs as u64, 0);
            let mut noise =
                |n: usize| -> Vec<f32> { (0..n).map(|_| random.between(-1.0, 1.0) as f32).collect() };
            let [rows, pitch] = Tiles::new(grid).padded();
            let (padded, w) = (noise(rows * pitch * inputs), noise(outputs * inputs * 9));
            let weights = PointWeights::new(Channels::one(inputs), Channels::one(outputs), |o, i, k| {
                w[(o * inputs + i) * 9 + k]
            });
            let mut out = vec![f32::NAN; grid.cells() * outputs];
            let (first, second) = out.split_at_mut(grid.cells() * targets[0]);
            convolve(
                simd,
                &padded,
                &weights,
                grid,
                &mut workspace,
                [(first, targets[0]), (second, targets[1])],
            );
            all.extend(out);
        }
        all
    }

    /// Those with fused multiply-adds give the same bits, whatever the width of their registers.
    #[test]
    fn all_instructions_give_the_same() {
        let level = Level::new();
        let plain = outputs(level.as_sse2().unwrap());
        let Some(avx2) = level.as_avx2().map(outputs) else {
            return println!("NOT COMPARED: this processor has no AVX2");
        };
        let difference: f32 = plain.iter().zip(&avx2).map(|(a, b)| (a - b).powi(2)).sum();
        let norm: f32 = avx2.iter().map(|v| v * v).sum();
        assert!(norm > 0.0 && (difference / norm).sqrt() < 2e-6, "{difference} of {norm}");
        match level.as_avx512().map(outputs) {
            Some(wide) => assert!(wide.iter().zip(&avx2).all(|(a, b)| a.to_bits() == b.to_bits())),
            None => println!("NOT COMPARED: this processor has no AVX-512"),
        }
    }
}
