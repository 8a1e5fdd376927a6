//! Bilinear ×2 upsampling, corners not aligned, border clamped (method §5), and its exact adjoint.
//!
//! Per axis: `out[2i] = ¼·in[i-1] + ¾·in[i]` and `out[2i+1] = ¾·in[i] + ¼·in[i+1]`.

use crate::cpu::Real;

/// Upsamples the plane `coarse` `[nx, ny]` to `fine` `[2·nx, 2·ny]`.
pub fn upsample<T: Real>(coarse: &[T], fine: &mut [T], nx: usize, ny: usize) {
    let (near, far) = (T::of(0.75), T::of(0.25));
    let mut blend = vec![T::zero(); ny];
    for (x_fine, out) in fine.chunks_exact_mut(2 * ny).enumerate() {
        let (x, neighbour) = taps(x_fine, nx);
        for (b, (&c, &n)) in
            blend.iter_mut().zip(coarse[x * ny..][..ny].iter().zip(&coarse[neighbour * ny..][..ny]))
        {
            *b = near * c + far * n;
        }
        out[0] = blend[0];
        out[2 * ny - 1] = blend[ny - 1];
        for (pair, b) in out[1..2 * ny - 1].chunks_exact_mut(2).zip(blend.windows(2)) {
            pair[0] = near * b[0] + far * b[1];
            pair[1] = far * b[0] + near * b[1];
        }
    }
}

/// The adjoint: carries `gradient` `[2·nx, 2·ny]` to `coarse` `[nx, ny]`, which is overwritten.
pub fn upsample_backward<T: Real>(gradient: &[T], coarse: &mut [T], nx: usize, ny: usize) {
    let (near, far) = (T::of(0.75), T::of(0.25));
    coarse.fill(T::zero());
    let mut folded = vec![T::zero(); ny];
    for (x_fine, g) in gradient.chunks_exact(2 * ny).enumerate() {
        folded.fill(T::zero());
        for (y_fine, &g) in g.iter().enumerate() {
            let (y, neighbour) = taps(y_fine, ny);
            folded[y] += near * g;
            folded[neighbour] += far * g;
        }
        let (x, neighbour) = taps(x_fine, nx);
        for (row, weight) in [(x, near), (neighbour, far)] {
            for (c, &f) in coarse[row * ny..][..ny].iter_mut().zip(&folded) {
                *c += weight * f;
            }
        }
    }
}

/// The coarse cell that a fine cell lies in, and the next nearest one, clamped at the border.
fn taps(fine: usize, n: usize) -> (usize, usize) {
    let cell = fine / 2;
    let neighbour = if fine.is_multiple_of(2) { cell.saturating_sub(1) } else { (cell + 1).min(n - 1) };
    (cell, neighbour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};

    #[test]
    fn follows_the_formula_and_clamps_at_the_border() {
        let mut fine = [f64::NAN; 16];
        upsample(&[0.0, 4.0, 8.0, 16.0], &mut fine, 2, 2);
        assert_eq!(fine[..4], [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(fine[4..8], [2.0, 3.25, 5.75, 7.0]);
        assert_eq!(fine[15], 16.0);
        let mut single = [f64::NAN; 4];
        upsample(&[3.0], &mut single, 1, 1);
        assert_eq!(single, [3.0; 4]);
    }

    #[test]
    fn backward_is_the_exact_adjoint() {
        for (nx, ny) in [(1, 1), (2, 4), (8, 8), (4, 16)] {
            let mut random = Random::new(Purpose::Cases, 3, nx as u64, ny as u64);
            let mut noise = |n: usize| -> Vec<f64> { (0..n).map(|_| random.between(-1.0, 1.0)).collect() };
            let (coarse, gradient) = (noise(nx * ny), noise(4 * nx * ny));
            let (mut fine, mut adjoint) = (vec![0.0; 4 * nx * ny], vec![0.0; nx * ny]);
            upsample(&coarse, &mut fine, nx, ny);
            upsample_backward(&gradient, &mut adjoint, nx, ny);
            let left: f64 = fine.iter().zip(&gradient).map(|(a, b)| a * b).sum();
            let right: f64 = coarse.iter().zip(&adjoint).map(|(a, b)| a * b).sum();
            assert!((left - right).abs() < 1e-12);
        }
    }
}
