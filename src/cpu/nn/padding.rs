//! What a 3×3 convolution reads beyond the border: planes padded by one cell on every side.

use crate::cpu::Real;
use crate::model::Padding;

/// Copies `planes` `[c][nx][ny]` into the interior of `padded` `[c][nx + 2][ny + 2]` and fills the border.
pub fn pad<T: Real>(padding: Padding, planes: &[T], padded: &mut [T], c: usize, nx: usize, ny: usize) {
    assert_eq!(planes.len(), c * nx * ny);
    assert_eq!(padded.len(), c * (nx + 2) * (ny + 2));
    for (plane, padded) in planes.chunks_exact(nx * ny).zip(padded.chunks_exact_mut((nx + 2) * (ny + 2))) {
        for (row, padded) in plane.chunks_exact(ny).zip(padded.chunks_exact_mut(ny + 2).skip(1)) {
            padded[1..=ny].copy_from_slice(row);
        }
    }
    fill_border(padding, padded, c, nx, ny);
}

/// Fills the border of `padded` `[c][nx + 2][ny + 2]`: from its interior as on a torus, or with zeros.
///
/// The adjoint convolution pads the output's gradient in the same way.
pub fn fill_border<T: Real>(padding: Padding, padded: &mut [T], c: usize, nx: usize, ny: usize) {
    let pitch = ny + 2;
    assert_eq!(padded.len(), c * (nx + 2) * pitch);
    for plane in padded.chunks_exact_mut((nx + 2) * pitch) {
        for row in plane.chunks_exact_mut(pitch) {
            (row[0], row[ny + 1]) = match padding {
                Padding::Circular => (row[ny], row[1]),
                Padding::Zero => (T::zero(), T::zero()),
            };
        }
        match padding {
            Padding::Circular => {
                plane.copy_within(nx * pitch..(nx + 1) * pitch, 0);
                plane.copy_within(pitch..2 * pitch, (nx + 1) * pitch);
            }
            Padding::Zero => {
                plane[..pitch].fill(T::zero());
                plane[(nx + 1) * pitch..].fill(T::zero());
            }
        }
    }
}
