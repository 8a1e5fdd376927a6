//! Two-dimensional FFT, radix 2, in place.
//!
//! # Normalisation
//! `forward` has no factor, `inverse` divides by N = nx·ny, so that `inverse(forward(u)) == u`.
//!
//! # Output order
//! The order is unshifted: bin k of an axis of n points holds the frequency k/n for k < n/2 and (k-n)/n
//! above. Data are `[nx, ny]`, the second axis contiguous.

use crate::cpu::Real;
use crate::model::fourier::twiddles;
use num_complex::Complex;

/// Packs two real fields into one complex field u + i·v; without `v` the imaginary part is zero.
pub fn pack<T: Real>(u: &[T], v: Option<&[T]>) -> Vec<Complex<T>> {
    match v {
        Some(v) => u.iter().zip(v).map(|(&u, &v)| Complex::new(u, v)).collect(),
        None => u.iter().map(|&u| Complex::new(u, T::zero())).collect(),
    }
}

/// The plan of an `nx` × `ny` transform; both sides are powers of two.
pub struct Fft<T> {
    nx: usize,
    ny: usize,
    twiddles_x: Vec<Complex<T>>,
    twiddles_y: Vec<Complex<T>>,
}

impl<T: Real> Fft<T> {
    /// Computes the tables of twiddle factors.
    pub fn new(nx: usize, ny: usize) -> Self {
        let table = |n| twiddles(n).into_iter().map(|[re, im]| Complex::new(T::of(re), T::of(im))).collect();
        Self { nx, ny, twiddles_x: table(nx), twiddles_y: table(ny) }
    }

    /// F(u) without a factor, in place; `data` is `[nx, ny]`.
    pub fn forward(&self, data: &mut [Complex<T>]) {
        self.along_y(data, false);
        self.along_x(data, false);
    }

    /// F⁻¹(u) with the factor 1/N, in place; `data` is `[nx, ny]`.
    pub fn inverse(&self, data: &mut [Complex<T>]) {
        self.along_x(data, true);
        self.along_y(data, true);
        let scale = T::one() / T::of((self.nx * self.ny) as f64);
        for value in data {
            *value = value.scale(scale);
        }
    }

    fn along_y(&self, data: &mut [Complex<T>], inverse: bool) {
        for line in data.chunks_exact_mut(self.ny) {
            for i in 0..self.ny {
                let j = reversed(i, self.ny);
                if i < j {
                    line.swap(i, j);
                }
            }
            let mut half = 1;
            while half < self.ny {
                for block in line.chunks_exact_mut(2 * half) {
                    let (low, high) = block.split_at_mut(half);
                    for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                        let w = twiddle(&self.twiddles_y, k * (self.ny / (2 * half)), inverse);
                        (*a, *b) = (*a + w * *b, *a - w * *b);
                    }
                }
                half *= 2;
            }
        }
    }

    /// The butterflies combine whole rows, so that the inner loop is contiguous.
    fn along_x(&self, data: &mut [Complex<T>], inverse: bool) {
        let ny = self.ny;
        for i in 0..self.nx {
            let j = reversed(i, self.nx);
            if i < j {
                let (head, tail) = data.split_at_mut(j * ny);
                head[i * ny..][..ny].swap_with_slice(&mut tail[..ny]);
            }
        }
        let mut half = 1;
        while half < self.nx {
            for block in data.chunks_exact_mut(2 * half * ny) {
                let (low, high) = block.split_at_mut(half * ny);
                for (k, (row_a, row_b)) in low.chunks_exact_mut(ny).zip(high.chunks_exact_mut(ny)).enumerate()
                {
                    let w = twiddle(&self.twiddles_x, k * (self.nx / (2 * half)), inverse);
                    for (a, b) in row_a.iter_mut().zip(row_b) {
                        (*a, *b) = (*a + w * *b, *a - w * *b);
                    }
                }
            }
            half *= 2;
        }
    }
}

fn reversed(i: usize, n: usize) -> usize {
    if n == 1 { 0 } else { i.reverse_bits() >> (usize::BITS - n.ilog2()) }
}

fn twiddle<T: Real>(table: &[Complex<T>], k: usize, inverse: bool) -> Complex<T> {
    if inverse { table[k].conj() } else { table[k] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};
    // Not rustfft's planner: it would be compiled with every algorithm that it may choose, which takes half a
    // minute.
    use rustfft::algorithm::Radix4;
    use rustfft::{Fft as _, FftDirection};
    use std::f64::consts::TAU;

    fn noise(n: usize) -> Vec<Complex<f64>> {
        let mut random = Random::new(Purpose::Cases, 1, n as u64, 0);
        (0..n).map(|_| Complex::new(random.between(-1.0, 1.0), random.between(-1.0, 1.0))).collect()
    }

    fn relative(a: &[Complex<f64>], b: &[Complex<f64>]) -> f64 {
        let norm = |v: f64| v.sqrt();
        let difference: f64 = a.iter().zip(b).map(|(a, b)| (a - b).norm_sqr()).sum();
        norm(difference) / norm(b.iter().map(|b| b.norm_sqr()).sum())
    }

    #[test]
    fn matches_the_naive_transform() {
        let (nx, ny) = (8, 16);
        let input = noise(nx * ny);
        let mut output = input.clone();
        Fft::new(nx, ny).forward(&mut output);
        for kx in 0..nx {
            for ky in 0..ny {
                let mut sum = Complex::new(0.0, 0.0);
                for x in 0..nx {
                    for y in 0..ny {
                        let turns = (kx * x) as f64 / nx as f64 + (ky * y) as f64 / ny as f64;
                        sum += input[x * ny + y] * Complex::from_polar(1.0, -TAU * turns);
                    }
                }
                assert!((sum - output[kx * ny + ky]).norm() < 1e-12);
            }
        }
    }

    #[test]
    fn matches_rustfft_along_each_axis_and_inverts() {
        let plan = |n| Radix4::new(n, FftDirection::Forward);
        for (nx, ny) in [(8, 8), (64, 32), (8, 2048), (2048, 8)] {
            let (rows, columns) = (plan(ny), plan(nx));
            let input = noise(nx * ny);
            let mut expected = input.clone();
            for line in expected.chunks_exact_mut(ny) {
                rows.process(line);
            }
            for y in 0..ny {
                let mut column: Vec<_> = (0..nx).map(|x| expected[x * ny + y]).collect();
                columns.process(&mut column);
                for x in 0..nx {
                    expected[x * ny + y] = column[x];
                }
            }
            let fft = Fft::new(nx, ny);
            let mut output = input.clone();
            fft.forward(&mut output);
            assert!(relative(&output, &expected) < 1e-14);
            fft.inverse(&mut output);
            assert!(relative(&output, &input) < 1e-14);
        }
    }
}
