//! The 3×3 convolution over periodic or zero-padded planes and its two gradients, for one sample.
//!
//! Every plane is padded by one cell ([`padding`](crate::cpu::nn::padding)), so that no tap asks where the
//! border is. This is the plain form that the fast one ([`crate::cpu::fast`]) and the shaders are compared
//! with: one loop per index of the formula.

use crate::cpu::real::Real;
use crate::cpu::reduce::sum;

/// The weights `[c_in][c_out][3][3]` of the adjoint, `w'[i,o,kx,ky] = w[o,i,2-kx,2-ky]`: the gradient of the
/// input is `conv3x3` of the padded output gradient with them, channel counts exchanged.
pub fn flip_weights<T: Copy>(weights: &[T], c_in: usize, c_out: usize) -> Vec<T> {
    assert_eq!(weights.len(), c_out * c_in * 9);
    let mut flipped = Vec::with_capacity(weights.len());
    for i in 0..c_in {
        for o in 0..c_out {
            flipped.extend(weights[(o * c_in + i) * 9..][..9].iter().rev());
        }
    }
    flipped
}

/// Cross-correlation, without bias: `out[o,x,y] = Σ_{i,kx,ky} w[o,i,kx,ky] · in[i,x+kx-1,y+ky-1]`.
///
/// `padded` is `[c_in][nx+2][ny+2]`, `weights` `[c_out][c_in][3][3]`, `out` `[c_out][nx][ny]` (overwritten).
pub fn conv3x3<T: Real>(
    padded: &[T],
    weights: &[T],
    out: &mut [T],
    c_in: usize,
    c_out: usize,
    nx: usize,
    ny: usize,
) {
    assert_eq!(padded.len(), c_in * (nx + 2) * (ny + 2));
    assert_eq!(weights.len(), c_out * c_in * 9);
    assert_eq!(out.len(), c_out * nx * ny);
    out.fill(T::zero());
    for (weights, out) in weights.chunks_exact(9 * c_in).zip(out.chunks_exact_mut(nx * ny)) {
        for (tap, &w) in weights.iter().enumerate() {
            for (x, out) in out.chunks_exact_mut(ny).enumerate() {
                let row = tap_row(padded, tap, x, nx, ny);
                out.iter_mut().zip(row).for_each(|(out, &cell)| *out += w * cell);
            }
        }
    }
}

/// The gradient of the weights: `dw[o,i,kx,ky] = Σ_{x,y} g[o,x,y] · in[i,x+kx-1,y+ky-1]`.
///
/// `padded_input` is `[c_in][nx+2][ny+2]`, `grad_out` `[c_out][nx][ny]`, `grad_weights` `[c_out][c_in][3][3]`
/// (overwritten).
pub fn conv3x3_weight_gradient<T: Real>(
    padded_input: &[T],
    grad_out: &[T],
    grad_weights: &mut [T],
    c_in: usize,
    c_out: usize,
    nx: usize,
    ny: usize,
) {
    assert_eq!(padded_input.len(), c_in * (nx + 2) * (ny + 2));
    assert_eq!(grad_out.len(), c_out * nx * ny);
    assert_eq!(grad_weights.len(), c_out * c_in * 9);
    for (grad_weights, plane) in grad_weights.chunks_exact_mut(9 * c_in).zip(grad_out.chunks_exact(nx * ny)) {
        for (tap, grad_weight) in grad_weights.iter_mut().enumerate() {
            let of_row = |(x, g): (usize, &[T])| {
                let row = tap_row(padded_input, tap, x, nx, ny);
                sum(ny, |y| g[y] * row[y])
            };
            *grad_weight = plane.chunks_exact(ny).enumerate().map(of_row).sum();
        }
    }
}

/// What tap `9 i + 3 kx + ky` reads for row x of the outputs, `in[i, x+kx-1, ky-1..]`.
fn tap_row<T>(padded: &[T], tap: usize, x: usize, nx: usize, ny: usize) -> &[T] {
    let (i, kx, ky) = (tap / 9, tap % 9 / 3, tap % 3);
    &padded[((nx + 2) * i + x + kx) * (ny + 2) + ky..][..ny]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::nn::padding::pad;
    use crate::model::Padding;

    /// Repeatable numbers in [-1, 1).
    fn noise<T: Real>(n: usize, seed: u64) -> Vec<T> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            T::of((state >> 33) as f64 / (1u64 << 30) as f64 - 1.0)
        };
        (0..n).map(|_| next()).collect()
    }

    fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a.f64() * b.f64()).sum()
    }

    /// `‖a - b‖ / ‖b‖`
    fn error<T: Real>(a: &[T], b: &[f64]) -> f64 {
        let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.f64() - b).collect();
        (dot(&difference, &difference) / dot(b, b)).sqrt()
    }

    /// Checks forward, both gradients, and the adjoint identities for one shape.
    fn check<T: Real>(padding: Padding, c_in: usize, c_out: usize, nx: usize, ny: usize, tolerance: f64) {
        let n = nx * ny;
        let input: Vec<T> = noise(c_in * n, 1);
        let weights: Vec<T> = noise(c_out * c_in * 9, 2);
        let grad: Vec<T> = noise(c_out * n, 3);
        let (mut want_out, mut want_dw) = (vec![0.0; c_out * n], vec![0.0; weights.len()]);
        let mut want_dx = vec![0.0; c_in * n];
        for (tap, w) in weights.iter().enumerate() {
            let (o, i, kx, ky) = (tap / (c_in * 9), tap / 9 % c_in, tap % 9 / 3, tap % 3);
            for p in 0..n {
                let inside = |at: usize, k: usize, n: usize| (1..=n).contains(&(at + k));
                if padding == Padding::Zero && !(inside(p / ny, kx, nx) && inside(p % ny, ky, ny)) {
                    continue;
                }
                let from = i * n + (p / ny + kx + nx - 1) % nx * ny + (p % ny + ky + ny - 1) % ny;
                want_out[o * n + p] += w.f64() * input[from].f64();
                want_dw[tap] += grad[o * n + p].f64() * input[from].f64();
                want_dx[from] += w.f64() * grad[o * n + p].f64();
            }
        }
        let pad_all = |planes: &[T], c| {
            let mut padded = vec![T::nan(); c * (nx + 2) * (ny + 2)];
            pad(padding, planes, &mut padded, c, nx, ny);
            padded
        };
        let mut out = vec![T::nan(); c_out * n];
        let mut dx = vec![T::nan(); c_in * n];
        let mut dw = vec![T::nan(); weights.len()];
        let padded = pad_all(&input, c_in);
        conv3x3(&padded, &weights, &mut out, c_in, c_out, nx, ny);
        let flipped = flip_weights(&weights, c_in, c_out);
        conv3x3(&pad_all(&grad, c_out), &flipped, &mut dx, c_out, c_in, nx, ny);
        conv3x3_weight_gradient(&padded, &grad, &mut dw, c_in, c_out, nx, ny);

        let (forward, product) = (dot(&out, &grad), (dot(&out, &out) * dot(&grad, &grad)).sqrt());
        let shape = format!("{c_in} -> {c_out}, {nx} x {ny}, {padding}");
        for (name, error) in [
            ("out", error(&out, &want_out)),
            ("dx", error(&dx, &want_dx)),
            ("dw", error(&dw, &want_dw)),
            ("<conv x, g> = <x, dx>", (forward - dot(&input, &dx)).abs() / product),
            ("<conv x, g> = <w, dw>", (forward - dot(&weights, &dw)).abs() / product),
        ] {
            assert!(error <= tolerance, "{name} of {shape}: {error}");
        }
        want_out[0] += 1e-3 * dot(&out, &out).sqrt();
        assert!(error(&out, &want_out) > tolerance, "the comparator fails on perturbed data");
    }

    #[test]
    fn matches_the_naive_sum() {
        for padding in [Padding::Circular, Padding::Zero] {
            for (nx, ny) in [(1, 1), (1, 8), (8, 1), (2, 2), (2, 8), (4, 16), (8, 8), (32, 4), (16, 64)] {
                for (c_in, c_out) in [(1, 1), (1, 4), (3, 5), (5, 3), (2, 8)] {
                    check::<f32>(padding, c_in, c_out, nx, ny, 1e-6);
                    check::<f64>(padding, c_in, c_out, nx, ny, 1e-14);
                }
            }
            check::<f32>(padding, 16, 16, 64, 64, 1e-6);
            check::<f64>(padding, 16, 16, 64, 64, 1e-14);
        }
    }
}
