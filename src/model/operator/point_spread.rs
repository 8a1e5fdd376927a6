//! A point spread function: what an instrument makes of a single bright cell.

use crate::model::operator::wave::Wave;
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

    /// Whether the function is the same on both sides of its centre, so that its factors are real.
    fn is_even(&self) -> bool {
        let middle = [self.nx, self.ny].map(|n| (n - 1) as f64 / 2.0);
        self.centre == middle && self.values.iter().eq(self.values.iter().rev())
    }

    /// H of every mode of a grid, `[nx, ny]`: the transform of the function around its centre.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is larger than the grid.
    pub fn table(&self, nx: usize, ny: usize) -> Result<Vec<Wave>> {
        if self.nx > nx || self.ny > ny {
            let (own_x, own_y) = (self.nx, self.ny);
            let what = format!("the point spread function of {own_x}x{own_y} cells is larger than {nx}x{ny}");
            return Err(Error::usage(what));
        }
        let mut grid = vec![Complex::ZERO; nx * ny];
        for (i, &value) in self.values.iter().enumerate() {
            grid[i / self.ny * ny + i % self.ny] = value.into();
        }
        let mut planner = FftPlanner::new();
        planner.plan_fft_forward(ny).process(&mut grid);
        let along_x = planner.plan_fft_forward(nx);
        let mut column = vec![Complex::ZERO; nx];
        for y in 0..ny {
            (0..nx).for_each(|x| column[x] = grid[x * ny + y]);
            along_x.process(&mut column);
            (0..nx).for_each(|x| grid[x * ny + y] = column[x]);
        }
        let is_even = self.is_even();
        let centred = |(mode, value): (usize, Complex<f64>)| {
            let turn = |k: usize, n: usize, at: f64| TAU * crate::model::fourier::frequency(k, n) * at;
            let angle = turn(mode / ny, nx, self.centre[0]) + turn(mode % ny, ny, self.centre[1]);
            let value = value * Complex::from_polar(1.0, angle);
            Wave::of(if is_even { value.re.into() } else { value })
        };
        Ok(grid.into_iter().enumerate().map(centred).collect())
    }
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
            // Only the function counts, and not where in its array it stands.
            let padded = [&[0.0; 3][..], &values, &[0.0; 6]].concat();
            let again = PointSpread::new(6, 3, padded).unwrap().table(nx, ny).unwrap();
            for (a, b) in again.iter().zip(own.table(nx, ny).unwrap()) {
                assert!((a.log_kernel - b.log_kernel).abs() <= 1e-9 && (a.phase - b.phase).norm() <= 1e-9);
            }
        }
    }

    #[test]
    fn impossible_functions_are_refused() {
        for values in [vec![0.0; 4], vec![f64::NAN; 4], vec![-1.0; 4], vec![1.0; 3]] {
            assert!(PointSpread::new(2, 2, values).is_err());
        }
        let large = PointSpread::new(9, 3, vec![1.0; 27]).unwrap();
        assert!(large.table(8, 8).unwrap_err().to_string().contains("9x3 cells is larger than 8x8"));
    }
}
