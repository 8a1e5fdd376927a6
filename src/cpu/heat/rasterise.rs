//! Turns rectangles into a field (method §1).

use crate::cpu::Real;
use crate::model::rectangles::{EDGE_WIDTH, Rectangle};

/// Writes the sum of the soft masks of one sample's rectangles, each times its strength, to `field` `[nx,
/// ny]`.
///
/// A mask is clip(½ - d/ρ, 0, 1) with the L∞ distance d from the rectangle. That is the smaller of two
/// one-dimensional profiles.
pub fn rasterise<T: Real>(rectangles: &[Rectangle], nx: usize, ny: usize, field: &mut [T]) {
    field.fill(T::zero());
    for r in rectangles.iter().filter(|r| r.strength != 0.0) {
        let strength = T::of(r.strength);
        let profile_x = profile::<T>(r.center[0], r.half_size[0], nx);
        let profile_y = profile::<T>(r.center[1], r.half_size[1], ny);
        for (row, &mask_x) in field.chunks_exact_mut(ny).zip(&profile_x) {
            if mask_x > T::zero() {
                for (cell, &mask_y) in row.iter_mut().zip(&profile_y) {
                    *cell += strength * mask_x.min(mask_y);
                }
            }
        }
    }
}

/// clip(½ - (|g - c| - h)/ρ, 0, 1) at the cell centres g = j + ½, for a rectangle with centre c and half side
/// h.
fn profile<T: Real>(center: f64, half: f64, n: usize) -> Vec<T> {
    let (center, half, width) = (T::of(center), T::of(half), T::of(EDGE_WIDTH));
    (0..n)
        .map(|j| {
            let distance = (T::of(j as f64 + 0.5) - center).abs() - half;
            (T::of(0.5) - distance / width).max(T::zero()).min(T::one())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_flat_inside_half_on_its_edge_and_zero_outside() {
        let r = Rectangle { center: [8.0, 8.0], half_size: [4.5, 2.0], strength: 3.0 };
        let mut field = vec![f64::NAN; 256];
        rasterise(&[r], 16, 16, &mut field);
        assert_eq!(field[8 * 16 + 8], 3.0);
        // The cell centre 12.5 lies exactly on the edge 8 + 4.5.
        assert!((field[12 * 16 + 8] - 1.5).abs() < 1e-12);
        assert_eq!(field[14 * 16 + 8], 0.0);
    }

    #[test]
    fn matches_the_two_dimensional_definition() {
        let r = Rectangle { center: [6.3, 9.1], half_size: [0.2, 5.7], strength: 0.8 };
        let mut field = vec![0.0f64; 16 * 16];
        rasterise(&[r], 16, 16, &mut field);
        for x in 0..16 {
            for y in 0..16 {
                let dx = (x as f64 + 0.5 - 6.3).abs() - 0.2;
                let dy = (y as f64 + 0.5 - 9.1).abs() - 5.7;
                let mask = (0.5 - dx.max(dy) / 0.5f64.sqrt()).clamp(0.0, 1.0);
                assert!((field[x * 16 + y] - 0.8 * mask).abs() < 1e-14);
            }
        }
    }
}
