//! 2×2 max-pooling with stride 2 (method §5). On ties the first maximum in row-major order gets the gradient.

use crate::cpu::Real;

/// The maximum of every 2×2 cells of the plane `fine` `[nx, ny]`, to `pooled` `[nx/2, ny/2]`.
pub fn max_pool<T: Real>(fine: &[T], pooled: &mut [T], ny: usize) {
    for (rows, out) in fine.chunks_exact(2 * ny).zip(pooled.chunks_exact_mut(ny / 2)) {
        let (upper, lower) = rows.split_at(ny);
        for (o, (u, l)) in out.iter_mut().zip(upper.chunks_exact(2).zip(lower.chunks_exact(2))) {
            *o = u[0].max(u[1]).max(l[0].max(l[1]));
        }
    }
}

/// Adds each value of `pooled_gradient` `[nx/2, ny/2]` to the cell of `gradient` `[nx, ny]` where `fine` has
/// its maximum.
pub fn max_pool_backward<T: Real>(fine: &[T], pooled_gradient: &[T], gradient: &mut [T], ny: usize) {
    for (x, row) in pooled_gradient.chunks_exact(ny / 2).enumerate() {
        for (y, &g) in row.iter().enumerate() {
            let corner = 2 * x * ny + 2 * y;
            let mut best = corner;
            for cell in [corner + 1, corner + ny, corner + ny + 1] {
                if fine[cell] > fine[best] {
                    best = cell;
                }
            }
            gradient[best] += g;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_maximum_wins_and_takes_the_gradient() {
        #[rustfmt::skip]
        let fine = [
            0.0, 0.0, 1.0, 2.0,
            0.0, 0.0, 2.0, 0.0,
        ];
        let mut pooled = [f64::NAN; 2];
        max_pool(&fine, &mut pooled, 4);
        assert_eq!(pooled, [0.0, 2.0]);
        let mut gradient = [1.0; 8];
        max_pool_backward(&fine, &[10.0, 20.0], &mut gradient, 4);
        assert_eq!(gradient, [11.0, 1.0, 1.0, 21.0, 1.0, 1.0, 1.0, 1.0]);
    }
}
