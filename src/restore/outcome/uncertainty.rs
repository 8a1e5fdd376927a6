//! How uncertain every cell of a linear restoration is.
//!
//! A linear filter is the most likely answer where signal and noise are normal and the signal's waves have
//! the power S. Each wave is then known up to the variance v = S·σ²/(S·K² + σ²): S where the noise covers it,
//! σ²/K² where it stands out. A cell's variance is Σ v_k·φ_k², with the waves φ_k of the grid.

use crate::model::operator::wave::Wave;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::spectral::grid::{Edges, Grid, Mode};

/// What a linear method expects of a signal's waves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// Wiener's filter: the power that the observation's spectrum shows.
    BySpectrum,
    /// Tikhonov's filter: the same power σ²/λ in all.
    White {
        /// Its λ.
        lambda: f64,
    },
}

/// The standard deviation of every cell of a restored sample, `[nx, ny]`, in units of the field.
pub fn deviations(blur: &Blur, spectrum: &Spectrum, expected: Expected) -> Vec<f64> {
    let noise = spectrum.noise * spectrum.noise;
    let variance = |mode: Mode, wave: Wave| {
        let kernel2 = wave.size().powi(2);
        match expected {
            _ if mode.squared == 0.0 => noise * blur.mean_back().powi(2), // nothing is expected of it
            Expected::White { lambda } => noise / (kernel2 + lambda),
            Expected::BySpectrum => {
                let signal = spectrum.signal.power(mode.squared);
                signal * noise / (signal * kernel2 + noise)
            }
        }
    };
    let grid = blur.grid();
    let mut variances = blur.table(variance);
    match grid.edges() {
        // cas² of a wave and of its partner at −k add up to 2: every cell is like every other.
        Edges::Periodic => {
            let mean = variances.iter().sum::<f64>() / variances.len() as f64;
            variances.fill(mean);
        }
        Edges::Insulated => on_cells(grid, &mut variances),
    }
    variances.into_iter().map(|v| v.max(0.0).sqrt()).collect()
}

/// Σ v_k·φ_k² for every cell, for cosine waves.
///
/// Along an axis of n cells φ_k² = (1 + cos(2πk(i + ½)/n))/n, and 1/n for k = 0. These are cosine waves
/// again: of index 2k, or where that is beyond n, of index 2n − 2k with the other sign.
fn on_cells(grid: &Grid, variances: &mut [f64]) {
    let [nx, ny] = grid.size();
    for row in variances.chunks_exact_mut(ny) {
        let squared = squares(row);
        row.copy_from_slice(&squared);
    }
    for j in 0..ny {
        let column: Vec<f64> = (0..nx).map(|i| variances[i * ny + j]).collect();
        for (i, value) in squares(&column).into_iter().enumerate() {
            variances[i * ny + j] = value;
        }
    }
    grid.inverse(variances);
}

/// The heights of the orthonormal waves whose sum is Σ v_k·φ_k² along an axis.
fn squares(v: &[f64]) -> Vec<f64> {
    let n = v.len();
    let mut heights = vec![0.0; n];
    heights[0] = v.iter().sum();
    for (k, v) in v.iter().enumerate().skip(1) {
        if 2 * k < n {
            heights[2 * k] += v;
        } else if 2 * k > n {
            heights[2 * n - 2 * k] -= v;
        }
    }
    // From plain cosines over n to orthonormal waves, which have the height √(2/n), √(1/n) for the first.
    let n = n as f64;
    heights.iter_mut().enumerate().for_each(|(k, h)| *h /= if k == 0 { n.sqrt() } else { (2.0 * n).sqrt() });
    heights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Device;
    use crate::model::DType;

    /// Against the squares of the waves themselves, each transformed from a single height.
    #[test]
    fn a_cells_variance_is_the_sum_over_all_waves() {
        for edges in [Edges::Periodic, Edges::Insulated] {
            for size in [[1, 1], [2, 3], [5, 4], [8, 7]] {
                let blur = Blur::new(&Device::Cpu, DType::F64, size, 0.7, edges).unwrap();
                let (grid, cells) = (blur.grid(), size[0] * size[1]);
                let spectrum = Spectrum { noise: 0.1, ..Spectrum::NOTHING };
                let found = deviations(&blur, &spectrum, Expected::White { lambda: 0.05 });
                let variance = blur.table(|mode, wave| {
                    let kernel2 = wave.size().powi(2);
                    if mode.squared == 0.0 { 0.01 } else { 0.01 / (kernel2 + 0.05) }
                });
                let mut expected = vec![0.0; cells];
                for (k, v) in variance.iter().enumerate() {
                    let mut wave = vec![0.0; cells];
                    wave[k] = 1.0;
                    grid.inverse(&mut wave);
                    expected.iter_mut().zip(&wave).for_each(|(e, w)| *e += v * w * w);
                }
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found * found - expected).abs() < 1e-12, "{edges:?} {size:?}");
                }
            }
        }
    }
}
