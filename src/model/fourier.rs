//! Tables of the discrete Fourier transform. They are computed here in f64, since WGSL promises no accurate
//! sine.

use std::f64::consts::TAU;

/// Frequency in cycles per cell of bin `k` of an `n`-point DFT: 0, 1, … and from half of `n` on
/// …, -2, -1, over n.
pub fn frequency(k: usize, n: usize) -> f64 {
    let signed = if k < n.div_ceil(2) { k as f64 } else { k as f64 - n as f64 };
    signed / n as f64
}

/// The frequencies of the waves along one axis of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    count: usize,
    period: usize,
}

impl Axis {
    /// Of `n` cells that repeat: the frequencies of an `n`-point DFT, in its order.
    pub fn periodic(n: usize) -> Self {
        Self { count: n, period: n }
    }

    /// Of `n` cells and their mirror image, which repeat together: 0, ½/n, 1/n, … for the `n` cosines.
    pub fn mirrored(n: usize) -> Self {
        Self { count: n, period: 2 * n }
    }

    /// The number of waves, which is that of cells.
    pub fn count(self) -> usize {
        self.count
    }

    /// The number of cells after which a wave repeats at the latest.
    pub fn period(self) -> usize {
        self.period
    }

    /// The frequency of wave `k`, in cycles per cell, from -½ to ½.
    pub fn frequency(self, k: usize) -> f64 {
        if self.count == self.period { frequency(k, self.period) } else { k as f64 / self.period as f64 }
    }

    /// Whether wave `k` changes its sign from cell to cell, so that it is its own opposite.
    pub fn is_highest(self, k: usize) -> bool {
        2 * k == self.period
    }

    /// The wave of the negative frequency, of a periodic axis.
    pub fn opposite(self, k: usize) -> usize {
        if k == 0 { 0 } else { self.period - k }
    }
}

/// The twiddle factors exp(-2πi·k/n) for k < n, as `[real, imaginary]`.
pub fn twiddles(n: usize) -> Vec<[f64; 2]> {
    let angle = |k: usize| -TAU * frequency(k, n);
    (0..n).map(|k| [angle(k).cos(), angle(k).sin()]).collect()
}
