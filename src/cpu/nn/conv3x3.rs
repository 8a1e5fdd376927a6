//! The 3×3 convolution over periodic or zero-padded planes and its two gradients, for one sample.
//!
//! Every plane is padded by one cell ([`padding`](crate::cpu::nn::padding)). Read as one line of pitch `ny +
//! 2`, a padded plane turns each of the nine taps into a shift: output cell `p = x (ny + 2) + y` needs
//! `line[p + kx (ny + 2) + ky]`. All loops run over that line, whatever the shape of the plane. The two cells
//! between rows are computed and thrown away (forward), or are multiplied by a zero (weight gradient). The
//! blocks of the inner loops are sized to stay in registers, and a few channels share each load.

use crate::cpu::real::Real;
use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Output channels that one tile accumulates together.
const CHANNELS: usize = 4;

/// Strips after which the weight gradient folds its partial sums, for accuracy, and so that the gradients
/// stay in cache.
const BLOCK: usize = 128;

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
#[multiversion(targets("x86_64+avx2+fma+avx512f", "x86_64+avx2+fma"))]
pub fn conv3x3<T: Real>(
    padded: &[T],
    weights: &[T],
    out: &mut [T],
    c_in: usize,
    c_out: usize,
    nx: usize,
    ny: usize,
) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    const VECTOR: usize =
        vector_bytes(target_cfg_f!(target_feature = "avx512f"), target_cfg_f!(target_feature = "avx2"));
    assert_eq!(padded.len(), c_in * (nx + 2) * (ny + 2));
    assert_eq!(weights.len(), c_out * c_in * 9);
    assert_eq!(out.len(), c_out * nx * ny);
    // A constant, so that the other arms are not even compiled.
    match const { 2 * VECTOR / size_of::<T>() } {
        32 => convolve::<T, FMA, 32>(padded, weights, out, c_in, nx, ny),
        16 => convolve::<T, FMA, 16>(padded, weights, out, c_in, nx, ny),
        8 => convolve::<T, FMA, 8>(padded, weights, out, c_in, nx, ny),
        _ => convolve::<T, FMA, 4>(padded, weights, out, c_in, nx, ny),
    }
}

/// [`conv3x3`] in strips of `W` cells of the line.
#[inline(always)]
fn convolve<T: Real, const FMA: bool, const W: usize>(
    padded: &[T],
    weights: &[T],
    out: &mut [T],
    c_in: usize,
    nx: usize,
    ny: usize,
) {
    let (pitch, length) = (ny + 2, nx * (ny + 2) - 2);
    // The last strip ends with the line. A line shorter than a strip gets further cells to read behind the
    // last plane.
    let extended;
    let padded = if length < W {
        extended = [padded, &[T::zero(); W]].concat();
        &extended
    } else {
        padded
    };
    let mut lines: [_; CHANNELS] = std::array::from_fn(|_| vec![T::zero(); length.max(W)]);
    let mut packed = vec![[[T::zero(); CHANNELS]; 9]; c_in];
    for (weights, out) in weights.chunks(CHANNELS * c_in * 9).zip(out.chunks_mut(CHANNELS * nx * ny)) {
        for (o, weights) in weights.chunks_exact(c_in * 9).enumerate() {
            for (packed, &w) in packed.as_flattened_mut().iter_mut().zip(weights) {
                packed[o] = w;
            }
        }
        for p in (0..length).step_by(W) {
            let p = p.min(length.saturating_sub(W));
            let sums = convolve_strip::<T, FMA, W>(&padded[p..], &packed, (nx + 2) * pitch, pitch);
            for (line, sums) in lines.iter_mut().zip(&sums) {
                line[p..p + W].copy_from_slice(sums);
            }
        }
        for (line, out) in lines.iter().zip(out.chunks_exact_mut(nx * ny)) {
            for (row, out) in line.chunks(pitch).zip(out.chunks_exact_mut(ny)) {
                out.copy_from_slice(&row[..ny]);
            }
        }
    }
}

/// One strip of `W` cells for [`CHANNELS`] output channels; `input` starts at the strip's first tap.
#[inline(always)]
fn convolve_strip<T: Real, const FMA: bool, const W: usize>(
    input: &[T],
    weights: &[[[T; CHANNELS]; 9]],
    plane: usize,
    pitch: usize,
) -> [[T; W]; CHANNELS] {
    let mut sums = [[T::zero(); W]; CHANNELS];
    for (i, weights) in weights.iter().enumerate() {
        // The nine taps of a channel are summed apart from the total, which halves the rounding error of one
        // long sum.
        let mut share = [[T::zero(); W]; CHANNELS];
        for k in [4, 0, 1, 2, 3, 5, 6, 7, 8] {
            let cells: &[T; W] = input[i * plane + k / 3 * pitch + k % 3..].first_chunk().unwrap();
            for o in 0..CHANNELS {
                for l in 0..W {
                    share[o][l] = multiply_add::<T, FMA>(weights[k][o], cells[l], share[o][l]);
                }
            }
        }
        for o in 0..CHANNELS {
            for l in 0..W {
                sums[o][l] += share[o][l];
            }
        }
    }
    sums
}

/// The gradient of the weights: `dw[o,i,kx,ky] = Σ_{x,y} g[o,x,y] · in[i,x+kx-1,y+ky-1]`.
///
/// `padded_input` is `[c_in][nx+2][ny+2]`, `grad_out` `[c_out][nx][ny]`, `grad_weights` `[c_out][c_in][3][3]`
/// (overwritten). The order of the sums is fixed by the shapes and the instruction set.
#[multiversion(targets("x86_64+avx2+fma+avx512f", "x86_64+avx2+fma"))]
pub fn conv3x3_weight_gradient<T: Real>(
    padded_input: &[T],
    grad_out: &[T],
    grad_weights: &mut [T],
    c_in: usize,
    c_out: usize,
    nx: usize,
    ny: usize,
) {
    const VECTOR: usize =
        vector_bytes(target_cfg_f!(target_feature = "avx512f"), target_cfg_f!(target_feature = "avx2"));
    assert_eq!(padded_input.len(), c_in * (nx + 2) * (ny + 2));
    assert_eq!(grad_out.len(), c_out * nx * ny);
    assert_eq!(grad_weights.len(), c_out * c_in * 9);
    match const { VECTOR / size_of::<T>() } {
        16 => correlate::<T, 4, 16>(padded_input, grad_out, grad_weights, c_in, nx, ny),
        8 if VECTOR == 64 => correlate::<T, 4, 8>(padded_input, grad_out, grad_weights, c_in, nx, ny),
        8 => correlate::<T, 2, 8>(padded_input, grad_out, grad_weights, c_in, nx, ny),
        _ => correlate::<T, 2, 4>(padded_input, grad_out, grad_weights, c_in, nx, ny),
    }
}

/// [`conv3x3_weight_gradient`], `K` taps at a time (of the `9 c_in`), in strips of `W` cells of the line.
#[inline(always)]
fn correlate<T: Real, const K: usize, const W: usize>(
    padded: &[T],
    grad_out: &[T],
    grad_weights: &mut [T],
    c_in: usize,
    nx: usize,
    ny: usize,
) {
    let (pitch, taps) = (ny + 2, c_in * 9);
    let padded = [padded, &[T::zero(); W]].concat();
    // The line is zero between the rows and behind the last one.
    let mut line = vec![T::zero(); (nx * pitch).next_multiple_of(W)];
    let mut grads = vec![[[T::zero(); W]; CHANNELS]; (nx * pitch - 2).div_ceil(W)];
    for (grad_out, grad_weights) in
        grad_out.chunks(CHANNELS * nx * ny).zip(grad_weights.chunks_mut(CHANNELS * taps))
    {
        grad_weights.fill(T::zero());
        for (o, plane) in grad_out.chunks_exact(nx * ny).enumerate() {
            for (row, line) in plane.chunks_exact(ny).zip(line.chunks_mut(pitch)) {
                line[..ny].copy_from_slice(row);
            }
            for (grads, strip) in grads.iter_mut().zip(line.as_chunks().0) {
                grads[o] = *strip;
            }
        }
        for (block, grads) in grads.chunks(BLOCK).enumerate() {
            for next in (0..taps).step_by(K) {
                let first = next.min(taps - K); // the last step may repeat taps, to be left out of the sum
                let inputs: [&[[T; W]]; K] = std::array::from_fn(|j| {
                    let (i, kx, ky) = ((first + j) / 9, (first + j) % 9 / 3, (first + j) % 3);
                    padded[((nx + 2) * i + kx) * pitch + ky + block * BLOCK * W..].as_chunks().0
                });
                let mut sums = [[[T::zero(); W]; CHANNELS]; K];
                correlate_block(&inputs, grads, &mut sums);
                add_lane_sums(&sums[next - first..], grad_weights, next, taps);
            }
        }
    }
}

/// The partial sums of `K` taps with [`CHANNELS`] channels over one block, lane by lane.
#[multiversion(targets("x86_64+avx2+fma+avx512f", "x86_64+avx2+fma"), attrs(inline))]
fn correlate_block<T: Real, const K: usize, const W: usize>(
    inputs: &[&[[T; W]]; K],
    grads: &[[[T; W]; CHANNELS]],
    sums: &mut [[[T; W]; CHANNELS]; K],
) {
    const FMA: bool = target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64"));
    let inputs = inputs.map(|cells| &cells[..grads.len()]);
    let mut lanes = [[[T::zero(); W]; CHANNELS]; K];
    for (s, grad) in grads.iter().enumerate() {
        // No loop over the taps: with constant indices the lanes stay in registers.
        correlate_strip::<T, FMA, W>(&mut lanes[0], grad, &inputs[0][s]);
        correlate_strip::<T, FMA, W>(&mut lanes[1], grad, &inputs[1][s]);
        if const { K == 4 } {
            correlate_strip::<T, FMA, W>(&mut lanes[2], grad, &inputs[2][s]);
            correlate_strip::<T, FMA, W>(&mut lanes[3], grad, &inputs[3][s]);
        }
    }
    *sums = lanes;
}

#[inline(always)]
fn correlate_strip<T: Real, const FMA: bool, const W: usize>(
    lanes: &mut [[T; W]; CHANNELS],
    grads: &[[T; W]; CHANNELS],
    cells: &[T; W],
) {
    for o in 0..CHANNELS {
        for l in 0..W {
            lanes[o][l] = multiply_add::<T, FMA>(grads[o][l], cells[l], lanes[o][l]);
        }
    }
}

/// Adds the sum of each tap's lanes to `grad_weights`, by halves. It is not inlined, since the compiler would
/// turn these few additions into long shuffles of its callers' wide vectors.
#[inline(never)]
fn add_lane_sums<T: Real, const W: usize>(
    sums: &[[[T; W]; CHANNELS]],
    grad_weights: &mut [T],
    first: usize,
    taps: usize,
) {
    for (j, sums) in sums.iter().enumerate() {
        for (lanes, grad_weights) in sums.iter().zip(grad_weights.chunks_exact_mut(taps)) {
            let mut lanes = *lanes;
            let mut half = W / 2;
            while half > 0 {
                for l in 0..half {
                    lanes[l] += lanes[l + half];
                }
                half /= 2;
            }
            grad_weights[first + j] += lanes[0];
        }
    }
}

/// The size of a vector register of the selected target.
const fn vector_bytes(avx512: bool, avx2: bool) -> usize {
    match (avx512, avx2) {
        (true, _) => 64,
        (_, true) => 32,
        _ => 16,
    }
}

/// `a b + c`, fused only where the target has the instruction; elsewhere `mul_add` is a slow library call.
#[inline(always)]
fn multiply_add<T: Real, const FMA: bool>(a: T, b: T, c: T) -> T {
    if FMA { a.mul_add(b, c) } else { a * b + c }
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
