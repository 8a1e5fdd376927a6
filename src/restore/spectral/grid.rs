//! Orthonormal real transforms of fields of any size, on the CPU in 64 bits.
//!
//! Both kinds of edges have real waves of which diffusion changes nothing but the height:
//!
//! | edges | waves of n cells, k = 0..n | wavenumber, in radians per cell |
//! |---|---|---|
//! | periodic | cas(2πki/n), cas = cos + sin (Hartley) | 2π·min(k, n − k)/n |
//! | insulated | cos(πk(i + ½)/n) (DCT-II) | πk/n |
//!
//! Insulated edges let nothing through: a field and its mirror images are one period of a periodic field of
//! twice the sides, whose waves are these cosines. So both are exact at every size. In two dimensions the
//! Hartley wave is cas(2π(kx·i/nx + ky·j/ny)), which any real kernel with H(−k) = H(k) only scales.

use crate::model::fourier::Axis;
use crate::{Error, Result};
use rayon::prelude::*;
use rustdct::{DctPlanner, TransformType2And3};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::{FRAC_1_SQRT_2, PI, TAU};
use std::sync::Arc;

/// What lies beyond a field's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// The other side of the field, as in training.
    Periodic,
    /// Its mirror image: nothing flows through the edge.
    Insulated,
}

/// One wave, by what the operators of this crate do to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// |k|² = kx² + ky², in (radians per cell)²: diffusion by an amount a scales the wave by exp(−a·|k|²).
    pub squared: f64,
    /// 4·sin²(kx/2) + 4·sin²(ky/2), the eigenvalue of DᵀD for differences D between neighbouring cells.
    pub difference: f64,
}

/// The transforms of fields `[nx, ny]`.
#[derive(Clone)]
pub struct Grid {
    nx: usize,
    ny: usize,
    edges: Edges,
    along_x: Transform,
    along_y: Transform,
}

#[derive(Clone)]
enum Transform {
    Hartley(Arc<dyn Fft<f64>>),
    Cosine(Arc<dyn TransformType2And3<f64>>),
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Inverse,
}

impl Grid {
    /// Plans the transforms of fields of `nx` × `ny` cells, each at least 1.
    ///
    /// # Errors
    /// [`Error::Usage`] for a field without cells.
    pub fn new(nx: usize, ny: usize, edges: Edges) -> Result<Self> {
        if nx == 0 || ny == 0 {
            return Err(Error::usage(format!("a field of {nx}x{ny} cells holds nothing")));
        }
        let plan = |n: usize| match edges {
            Edges::Periodic => Transform::Hartley(FftPlanner::new().plan_fft_forward(n)),
            Edges::Insulated => Transform::Cosine(DctPlanner::new().plan_dct2(n)),
        };
        Ok(Self { nx, ny, edges, along_x: plan(nx), along_y: plan(ny) })
    }

    /// The sides of a field, `[nx, ny]`.
    pub fn size(&self) -> [usize; 2] {
        [self.nx, self.ny]
    }

    /// What lies beyond the edges.
    pub fn edges(&self) -> Edges {
        self.edges
    }

    /// Cells of a field, N.
    pub fn cells(&self) -> usize {
        self.nx * self.ny
    }

    /// Replaces a field `[nx, ny]` by the heights of its waves, `[nx, ny]`. The transform is orthonormal:
    /// Σ of the squares stays the same, and white noise of standard deviation σ in every cell has it in every
    /// wave.
    pub fn forward(&self, field: &mut [f64]) {
        self.transform(field, Direction::Forward);
    }

    /// The field of these waves.
    pub fn inverse(&self, waves: &mut [f64]) {
        self.transform(waves, Direction::Inverse);
    }

    /// f of every wave and of its indices, `[nx, ny]`, in the order of [`Grid::forward`].
    pub fn table(&self, f: impl Fn(Mode, [usize; 2]) -> f64 + Sync) -> Vec<f64> {
        let [kx, ky] = self.wavenumbers();
        let mut table = vec![0.0; self.cells()];
        table.par_chunks_mut(self.ny).zip(&kx).enumerate().for_each(|(i, (row, &kx))| {
            for (j, (value, &ky)) in row.iter_mut().zip(&ky).enumerate() {
                *value = f(Mode::new(kx, ky), [i, j]);
            }
        });
        table
    }

    /// The frequencies of the waves along both axes.
    pub fn axes(&self) -> [Axis; 2] {
        [self.nx, self.ny].map(|n| match self.edges {
            Edges::Periodic => Axis::periodic(n),
            Edges::Insulated => Axis::mirrored(n),
        })
    }

    /// Multiplies every wave of a field by H = re + i·im, where im is the other way round at the opposite
    /// wave. With cosines, or without im, a wave is only scaled. Of Hartley waves h(k) and h(-k), which share
    /// a Fourier mode, it makes re·h(k) - im·h(-k).
    pub fn multiply(&self, waves: &mut [f64], re: &[f64], im: Option<&[f64]>) {
        let Some(im) = im else {
            return waves.par_iter_mut().zip(re).for_each(|(wave, re)| *wave *= re);
        };
        let own = waves.to_vec();
        let opposite = |i: usize, n: usize| if i == 0 { 0 } else { n - i };
        waves.par_chunks_mut(self.ny).enumerate().for_each(|(i, row)| {
            let across = opposite(i, self.nx) * self.ny;
            for (j, wave) in row.iter_mut().enumerate() {
                let at = i * self.ny + j;
                *wave = re[at] * own[at] - im[at] * own[across + opposite(j, self.ny)];
            }
        });
    }

    /// Calls `f` with the index and the wavenumbers of every wave but the mean.
    pub fn each_wave(&self, mut f: impl FnMut(usize, Mode)) {
        let [kx, ky] = self.wavenumbers();
        for i in 0..self.nx {
            for j in usize::from(i == 0)..self.ny {
                f(i * self.ny + j, Mode::new(kx[i], ky[j]));
            }
        }
    }

    /// The wavenumbers along both axes, in radians per cell.
    pub fn wavenumbers(&self) -> [Vec<f64>; 2] {
        [self.nx, self.ny].map(|n| wavenumbers(n, self.edges))
    }

    /// The amplitude of every Fourier mode of a field, from its waves: |F|/√N in both cases. A Hartley wave
    /// and its partner at −k share a mode.
    pub fn amplitudes(&self, waves: &[f64]) -> Vec<f64> {
        match self.edges {
            Edges::Insulated => waves.iter().map(|w| w.abs()).collect(),
            Edges::Periodic => {
                let opposite = |i: usize, n: usize| if i == 0 { 0 } else { n - i };
                let partner =
                    |at: usize| opposite(at / self.ny, self.nx) * self.ny + opposite(at % self.ny, self.ny);
                let amplitude = |at: usize| waves[at].hypot(waves[partner(at)]) * FRAC_1_SQRT_2;
                (0..waves.len()).into_par_iter().map(amplitude).collect()
            }
        }
    }

    fn transform(&self, field: &mut [f64], direction: Direction) {
        assert_eq!(field.len(), self.cells(), "a field of {} x {} cells", self.nx, self.ny);
        self.along_y.rows(field, self.ny, direction);
        if self.nx > 1 {
            let mut turned = vec![0.0; field.len()];
            transpose::transpose(field, &mut turned, self.ny, self.nx);
            self.along_x.rows(&mut turned, self.nx, direction);
            transpose::transpose(&turned, field, self.nx, self.ny);
        }
        if self.edges == Edges::Periodic {
            self.join_axes(field);
        }
    }

    /// cas(a + b) = ½(cas a·cas b + cas(−a)·cas b + cas a·cas(−b) − cas(−a)·cas(−b)): from products of waves
    /// along the axes to waves in two dimensions, and back.
    fn join_axes(&self, waves: &mut [f64]) {
        for i in 0..=self.nx / 2 {
            let (row, opposite_row) = (i * self.ny, (self.nx - i) % self.nx * self.ny);
            for j in 0..=self.ny / 2 {
                let opposite = (self.ny - j) % self.ny;
                let places = [row + j, opposite_row + j, row + opposite, opposite_row + opposite];
                let [a, b, c, d] = places.map(|place| waves[place]);
                waves[places[0]] = 0.5 * (a + b + c - d);
                waves[places[1]] = 0.5 * (b + a + d - c);
                waves[places[2]] = 0.5 * (c + d + a - b);
                waves[places[3]] = 0.5 * (d + c + b - a);
            }
        }
    }
}

impl Mode {
    /// The wave of these wavenumbers, in radians per cell.
    pub fn new(kx: f64, ky: f64) -> Self {
        let difference = |k: f64| 4.0 * (0.5 * k).sin().powi(2);
        Self { squared: kx * kx + ky * ky, difference: difference(kx) + difference(ky) }
    }
}

/// The wavenumber of every wave along an axis of `n` cells, in radians per cell, 0 to π.
pub fn wavenumbers(n: usize, edges: Edges) -> Vec<f64> {
    let wavenumber = |k: usize| match edges {
        Edges::Periodic => TAU * k.min(n - k) as f64 / n as f64,
        Edges::Insulated => PI * k as f64 / n as f64,
    };
    (0..n).map(wavenumber).collect()
}

impl Transform {
    /// Transforms every row of `length` values by itself.
    fn rows(&self, values: &mut [f64], length: usize, direction: Direction) {
        /// Values that a thread takes at a time.
        const SHARE: usize = 1 << 14;
        let rows = (SHARE / length).max(2).next_multiple_of(2);
        values.par_chunks_mut(rows * length).for_each(|rows| match self {
            Self::Hartley(fft) => hartley(fft.as_ref(), rows, length),
            Self::Cosine(dct) => cosine(dct.as_ref(), rows, length, direction),
        });
    }
}

/// The orthonormal Hartley transform of rows, which is its own inverse. Two real rows a and b share one
/// complex transform of a + ib.
fn hartley(fft: &dyn Fft<f64>, rows: &mut [f64], length: usize) {
    let mut packed = vec![Complex::default(); length];
    let mut scratch = vec![Complex::default(); fft.get_inplace_scratch_len()];
    let half = 0.5 / (length as f64).sqrt();
    for pair in rows.chunks_mut(2 * length) {
        let (a, b) = pair.split_at_mut(length);
        for (i, value) in packed.iter_mut().enumerate() {
            *value = Complex::new(a[i], b.get(i).copied().unwrap_or(0.0));
        }
        fft.process_with_scratch(&mut packed, &mut scratch);
        for k in 0..length {
            // Hartley's sum is Re F − Im F of each row's own Fourier transform F.
            let (z, mirrored) = (packed[k], packed[(length - k) % length]);
            let (even, odd) = (z + mirrored, z - mirrored);
            a[k] = half * (even.re - odd.im);
            if let Some(b) = b.get_mut(k) {
                *b = half * (even.im + odd.re);
            }
        }
    }
}

/// The orthonormal DCT-II of rows, or its inverse.
fn cosine(dct: &dyn TransformType2And3<f64>, rows: &mut [f64], length: usize, direction: Direction) {
    let mut scratch = vec![0.0; dct.get_scratch_len()];
    let scale = (2.0 / length as f64).sqrt();
    for row in rows.chunks_exact_mut(length) {
        match direction {
            Direction::Forward => {
                dct.process_dct2_with_scratch(row, &mut scratch);
                row.iter_mut().for_each(|value| *value *= scale);
                row[0] *= FRAC_1_SQRT_2;
            }
            Direction::Inverse => {
                row.iter_mut().for_each(|value| *value *= scale);
                row[0] /= FRAC_1_SQRT_2;
                dct.process_dct3_with_scratch(row, &mut scratch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::{Purpose, Random};

    const SIZES: [(usize, usize); 8] = [(1, 1), (1, 7), (9, 1), (2, 2), (5, 6), (8, 8), (13, 30), (61, 97)];

    fn random_field(cells: usize) -> Vec<f64> {
        let mut random = Random::new(Purpose::Cases, 19, 0, cells as u64);
        (0..cells).map(|_| random.between(-1.0, 1.0)).collect()
    }

    /// The wave of height 1 with these indices, from its formula.
    fn wave(nx: usize, ny: usize, kx: usize, ky: usize, edges: Edges) -> Vec<f64> {
        let norm = |k: usize, n: usize| match edges {
            Edges::Insulated if k > 0 => (2.0 / n as f64).sqrt(),
            _ => (1.0 / n as f64).sqrt(),
        };
        let value = |i: usize, j: usize| match edges {
            Edges::Periodic => {
                let phase = TAU * ((kx * i) as f64 / nx as f64 + (ky * j) as f64 / ny as f64);
                phase.cos() + phase.sin()
            }
            Edges::Insulated => {
                (PI * kx as f64 * (i as f64 + 0.5) / nx as f64).cos()
                    * (PI * ky as f64 * (j as f64 + 0.5) / ny as f64).cos()
            }
        };
        let scale = norm(kx, nx) * norm(ky, ny);
        (0..nx * ny).map(|at| scale * value(at / ny, at % ny)).collect()
    }

    #[test]
    fn every_wave_of_the_table_is_transformed_to_one_number() {
        for edges in [Edges::Periodic, Edges::Insulated] {
            for (nx, ny) in [(1, 7), (5, 6), (8, 4)] {
                let grid = Grid::new(nx, ny, edges).unwrap();
                for at in 0..nx * ny {
                    let mut waves = wave(nx, ny, at / ny, at % ny, edges);
                    grid.forward(&mut waves);
                    let expected = |i: usize| f64::from(u8::from(i == at));
                    let worst = (0..nx * ny).map(|i| (waves[i] - expected(i)).abs()).fold(0.0, f64::max);
                    assert!(worst < 1e-13, "{edges:?} {nx}x{ny} wave {at}: {worst}");
                }
            }
        }
    }

    #[test]
    fn the_transforms_are_orthonormal_and_come_back() {
        for edges in [Edges::Periodic, Edges::Insulated] {
            for (nx, ny) in SIZES {
                let (grid, field) = (Grid::new(nx, ny, edges).unwrap(), random_field(nx * ny));
                let mut waves = field.clone();
                grid.forward(&mut waves);
                let energy = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
                assert!((energy(&waves) / energy(&field) - 1.0).abs() < 1e-13);
                let shared: f64 = grid.amplitudes(&waves).iter().map(|a| a * a).sum();
                assert!((shared / energy(&field) - 1.0).abs() < 1e-13);
                grid.inverse(&mut waves);
                let worst = waves.iter().zip(&field).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-14, "{edges:?} {nx}x{ny}: {worst}");
            }
        }
    }

    /// DᵀD of each kind of edge, applied cell by cell.
    #[test]
    fn the_eigenvalues_of_differences_are_right() {
        for edges in [Edges::Periodic, Edges::Insulated] {
            for (nx, ny) in SIZES {
                let (grid, field) = (Grid::new(nx, ny, edges).unwrap(), random_field(nx * ny));
                let beyond = |i: usize, step: isize, n: usize| match (i as isize + step, edges) {
                    (next, Edges::Periodic) => next.rem_euclid(n as isize) as usize,
                    (next, Edges::Insulated) => next.clamp(0, n as isize - 1) as usize,
                };
                let at = |i: usize, j: usize| field[i * ny + j];
                let direct = |i: usize, j: usize| {
                    4.0 * at(i, j)
                        - at(beyond(i, 1, nx), j)
                        - at(beyond(i, -1, nx), j)
                        - at(i, beyond(j, 1, ny))
                        - at(i, beyond(j, -1, ny))
                };
                let mut waves = field.clone();
                grid.forward(&mut waves);
                let table = grid.table(|mode, _| mode.difference);
                waves.iter_mut().zip(&table).for_each(|(w, d)| *w *= d);
                grid.inverse(&mut waves);
                for cell in 0..nx * ny {
                    let expected = direct(cell / ny, cell % ny);
                    assert!((waves[cell] - expected).abs() < 1e-12, "{edges:?} {nx}x{ny}");
                }
            }
        }
    }

    #[test]
    fn a_field_without_cells_is_refused() {
        assert!(Grid::new(0, 5, Edges::Periodic).is_err());
        assert!(Grid::new(5, 0, Edges::Insulated).is_err());
    }
}
