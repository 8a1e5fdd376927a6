//! Tables of the discrete Fourier transform. They are computed here in f64, since WGSL promises no accurate
//! sine.

use std::f64::consts::TAU;

/// Frequency in cycles per cell of bin `k` of an `n`-point DFT: 0, 1, …, n/2-1, -n/2, …, -1 over n.
pub fn frequency(k: usize, n: usize) -> f64 {
    let signed = if k < n / 2 { k as f64 } else { k as f64 - n as f64 };
    signed / n as f64
}

/// The twiddle factors exp(-2πi·k/n) for k < n, as `[real, imaginary]`.
pub fn twiddles(n: usize) -> Vec<[f64; 2]> {
    let angle = |k: usize| -TAU * frequency(k, n);
    (0..n).map(|k| [angle(k).cos(), angle(k).sin()]).collect()
}
