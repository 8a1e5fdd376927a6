//! A point spread function: what an instrument makes of a single bright cell.

use crate::model::fourier::Axis;
use crate::{Error, Result};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;
use std::f64::consts::TAU;

/// A point spread function `[nx, ny]` of sum 1, with its centre.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSpread {
    nx: usize,
    ny: usize,
    values: Vec<f64>,
    centre: [f64; 2],
}

/// A centre this near to a cell, or to the border of two, is meant to be there.
const NEAR: f64 = 1e-6;

impl PointSpread {
    /// Of `values` `[nx, ny]`, which are divided by their sum. The centre, which does not move, is their
    /// centre of mass.
    ///
    /// # Errors
    /// [`Error::Usage`] for values that are not finite, or whose sum is not positive.
    pub fn new(nx: usize, ny: usize, mut values: Vec<f64>) -> Result<Self> {
        let sum: f64 = values.iter().sum();
        if values.len() != nx * ny || values.iter().any(|v| !v.is_finite()) || sum <= 0.0 {
            let what = "a point spread function has finite values, and a positive sum";
            return Err(Error::usage(what));
        }
        values.iter_mut().for_each(|v| *v /= sum);
        let along = |position: &dyn Fn(usize) -> usize| {
            let mean: f64 = values.iter().enumerate().map(|(i, v)| v * position(i) as f64).sum();
            let snapped = (2.0 * mean).round() / 2.0;
            if (mean - snapped).abs() < NEAR { snapped } else { mean }
        };
        let centre = [along(&|i| i / ny), along(&|i| i % ny)];
        Ok(Self { nx, ny, values, centre })
    }

    /// The same function, whose middle does not move instead: the middle of its array, between two cells
    /// where their number is even.
    pub fn at_middle(mut self) -> Self {
        self.centre = self.middle();
        self
    }

    /// Cells along x and y.
    pub fn size(&self) -> [usize; 2] {
        [self.nx, self.ny]
    }

    /// The value of every cell, `[nx, ny]`, of sum 1.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A checksum of its values and its centre, to tell it from others in words.
    pub fn checksum(&self) -> u32 {
        let numbers = self.values.iter().chain(&self.centre);
        crc32fast::hash(&numbers.flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn middle(&self) -> [f64; 2] {
        [self.nx, self.ny].map(|n| (n - 1) as f64 / 2.0)
    }

    /// Whether the function is the same on both sides of its centre, so that its factors are real.
    pub fn is_even(&self) -> bool {
        self.centre == self.middle() && self.same(|x, y| [self.nx - 1 - x, self.ny - 1 - y])
    }

    /// Whether the function is its own mirror image along each axis, so that mirrors do not change it.
    pub fn is_mirrored(&self) -> bool {
        self.is_even() && self.same(|x, y| [self.nx - 1 - x, y])
    }

    /// Whether every cell has the value of the cell at `place`, up to rounding.
    fn same(&self, place: impl Fn(usize, usize) -> [usize; 2]) -> bool {
        let largest = self.values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        self.values.iter().enumerate().all(|(at, value)| {
            let [x, y] = place(at / self.ny, at % self.ny);
            (value - self.values[x * self.ny + y]).abs() <= NEAR * largest
        })
    }

    /// H of every wave of a grid, `[nx, ny]`: the transform of the function around its centre, of which
    /// `part` is kept.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is larger than the grid.
    pub fn table<T>(&self, axes: [Axis; 2], part: impl Fn(Complex<f64>) -> T) -> Result<Vec<T>> {
        let [x, y] = axes;
        let (nx, ny) = (x.count(), y.count());
        if self.nx > nx || self.ny > ny {
            let (own_x, own_y) = (self.nx, self.ny);
            let what = format!(
                "the point spread function of {own_x}x{own_y} cells is larger than the field of {nx}x{ny}"
            );
            return Err(Error::usage(what));
        }
        let turn = |k: usize, axis: Axis, at: f64| Complex::from_polar(1.0, TAU * axis.frequency(k) * at);
        // Every row along y, of which few are not empty; then column by column along x.
        let mut planner = FftPlanner::new();
        let (along_x, along_y) = (planner.plan_fft_forward(x.period()), planner.plan_fft_forward(y.period()));
        let rows: Vec<Vec<Complex<f64>>> = self
            .values
            .chunks(self.ny)
            .map(|values| {
                let mut row = vec![Complex::ZERO; y.period()];
                row.iter_mut().zip(values).for_each(|(cell, &value)| *cell = value.into());
                along_y.process(&mut row);
                let turned = row[..ny].iter().enumerate();
                turned.map(|(j, value)| value * turn(j, y, self.centre[1])).collect()
            })
            .collect();
        let turns: Vec<Complex<f64>> = (0..nx).map(|i| turn(i, x, self.centre[0])).collect();
        let mut column = vec![Complex::ZERO; x.period()];
        let columns = (0..ny).map(|j| -> Vec<T> {
            column.fill(Complex::ZERO);
            column.iter_mut().zip(&rows).for_each(|(cell, row)| *cell = row[j]);
            along_x.process(&mut column);
            column.iter().zip(&turns).map(|(value, turn)| part(value * turn)).collect()
        });
        Ok(turned(columns.collect(), nx))
    }
}

/// Columns as rows.
fn turned<T>(columns: Vec<Vec<T>>, nx: usize) -> Vec<T> {
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    (0..nx).flat_map(|_| columns.iter_mut().filter_map(Iterator::next).collect::<Vec<T>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::heat::physics::Physics;
    use crate::model::Operator;
    use crate::model::operator::factor::Factor;

    /// The periodic convolution in real space, Σ_d spread(d)·x(i - d).
    fn convolved(x: &[f64], [nx, ny]: [usize; 2], spread: &[f64], [sx, sy]: [usize; 2]) -> Vec<f64> {
        let (cx, cy) = ((sx - 1) / 2, (sy - 1) / 2);
        let at = |i: usize| {
            (0..sx * sy).map(move |d| {
                let x_from = (i / ny + nx + cx - d / sy) % nx;
                let y_from = (i % ny + ny + cy - d % sy) % ny;
                spread[d] * x[x_from * ny + y_from]
            })
        };
        (0..nx * ny).map(|i| at(i).sum()).collect()
    }

    #[test]
    fn observations_are_convolutions() {
        let (nx, ny) = (16, 32);
        let x: Vec<f64> = (0..nx * ny).map(|i| ((i * i) as f64).sin()).collect();
        // The same on both sides; not the same, but with the centre of mass in the middle; lopsided.
        for (values, has_phase, is_centred) in [
            ([0.0, 2.0, 1.0, 3.0, 5.0, 3.0, 1.0, 2.0, 0.0], false, true),
            ([1.0, 1.0, 2.0, 0.0, 6.0, 0.0, 1.0, 3.0, 0.0], true, true),
            ([1.0, 0.0, 2.0, 0.0, 6.0, 1.0, 0.0, 2.0, 0.0], true, false),
        ] {
            let spread = PointSpread::new(3, 3, values.to_vec()).unwrap();
            let own = spread.clone();
            let operator = Operator::of(nx, ny, &[Factor::PointSpread(spread.into())]).unwrap();
            let is_real = operator.phase().is_none_or(|phase| phase.iter().all(|phase| phase.im == 0.0));
            assert_eq!(is_real, !has_phase);
            let mut y = vec![0.0; nx * ny];
            Physics::<f64>::new(&operator).diffuse(&x, &mut y);
            assert_eq!(own.centre == [1.0, 1.0], is_centred);
            if is_centred {
                for (a, b) in y.iter().zip(convolved(&x, [nx, ny], &own.values, [3, 3])) {
                    assert!((a - b).abs() <= 1e-13, "{a} {b}");
                }
            }
            // Only the function counts, and not where in its array it stands; mirrored axes have the
            // waves of twice as many cells.
            let axes = [nx, ny].map(Axis::periodic);
            let padded = [&[0.0; 3][..], &values, &[0.0; 6]].concat();
            let again = PointSpread::new(6, 3, padded).unwrap().table(axes, |value| value).unwrap();
            let table = own.table(axes, |value| value).unwrap();
            assert!(again.iter().zip(&table).all(|(a, b)| (a - b).norm() <= 1e-12));
            let mirrored = own.table([nx / 2, ny / 2].map(Axis::mirrored), |value| value).unwrap();
            for (mode, value) in mirrored.iter().enumerate() {
                assert!((value - table[mode / (ny / 2) * ny + mode % (ny / 2)]).norm() <= 1e-14);
            }
        }
    }

    #[test]
    fn impossible_functions_are_refused() {
        for values in [vec![0.0; 4], vec![f64::NAN; 4], vec![-1.0; 4], vec![1.0; 3]] {
            assert!(PointSpread::new(2, 2, values).is_err());
        }
        let large = PointSpread::new(9, 3, vec![1.0; 27]).unwrap();
        let refused = large.table([Axis::periodic(8); 2], |value| value).unwrap_err().to_string();
        assert!(refused.contains("9x3 cells is larger than the field of 8x8"), "{refused}");
    }
}
