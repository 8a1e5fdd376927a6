//! Small symmetric matrices, all of them positive definite.

/// A symmetric matrix of a few rows, all of it stored.
#[derive(Clone)]
pub(in crate::restore) struct Matrix {
    rows: usize,
    values: Vec<f64>,
}

impl std::ops::Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.values[i * self.rows + j]
    }
}

impl std::ops::IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.values[i * self.rows + j]
    }
}

impl Matrix {
    pub(in crate::restore) fn zero(rows: usize) -> Self {
        Self { rows, values: vec![0.0; rows * rows] }
    }

    pub(in crate::restore) fn times(&self, vector: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
        self.values.chunks_exact(self.rows).map(dot).collect()
    }

    /// With one more row and column, of zeros.
    pub(in crate::restore) fn bordered(&self) -> Self {
        let mut larger = Self::zero(self.rows + 1);
        for i in 0..self.rows {
            for j in 0..self.rows {
                larger[(i, j)] = self[(i, j)];
            }
        }
        larger
    }

    /// Cholesky's lower triangle L, with M = L·Lᵀ.
    pub(in crate::restore) fn factor(&self) -> Factor {
        let mut lower = Self::zero(self.rows);
        for i in 0..self.rows {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| lower[(i, k)] * lower[(j, k)]).sum();
                let left = self[(i, j)] - known;
                lower[(i, j)] =
                    if i == j { left.max(f64::MIN_POSITIVE).sqrt() } else { left / lower[(j, j)] };
            }
        }
        Factor(lower)
    }

    pub(in crate::restore) fn inverse(&self) -> Self {
        let factor = self.factor();
        let mut inverse = Self::zero(self.rows);
        for i in 0..self.rows {
            let mut unit = vec![0.0; self.rows];
            unit[i] = 1.0;
            inverse.values[i * self.rows..][..self.rows].copy_from_slice(&factor.solved(&unit));
        }
        inverse
    }
}

/// Cholesky's factor of a matrix.
pub(in crate::restore) struct Factor(Matrix);

impl Factor {
    /// The x with M·x = b.
    pub(in crate::restore) fn solved(&self, b: &[f64]) -> Vec<f64> {
        let (lower, rows) = (&self.0, self.0.rows);
        let mut x = b.to_vec();
        for i in 0..rows {
            let known: f64 = (0..i).map(|k| lower[(i, k)] * x[k]).sum();
            x[i] = (x[i] - known) / lower[(i, i)];
        }
        for i in (0..rows).rev() {
            let known: f64 = (i + 1..rows).map(|k| lower[(k, i)] * x[k]).sum();
            x[i] = (x[i] - known) / lower[(i, i)];
        }
        x
    }

    /// ln det M.
    pub(in crate::restore) fn log_determinant(&self) -> f64 {
        (0..self.0.rows).map(|i| 2.0 * self.0[(i, i)].ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_solves_and_has_the_determinant() {
        let mut matrix = Matrix::zero(3);
        let values = [[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
        for (i, row) in values.iter().enumerate() {
            for (j, &value) in row.iter().enumerate() {
                matrix[(i, j)] = value;
            }
        }
        let factor = matrix.factor();
        let x = factor.solved(&matrix.times(&[1.0, -2.0, 3.0]));
        assert!(x.iter().zip([1.0, -2.0, 3.0]).all(|(x, expected)| (x - expected).abs() < 1e-14), "{x:?}");
        // 4·(3·2 − 1) − 1·(1·2 + 0.5) + 0.5·(−1 − 1.5) = 16.25
        assert!((factor.log_determinant() - 16.25f64.ln()).abs() < 1e-14);
        let inverse = matrix.inverse();
        for i in 0..3 {
            let unit: Vec<f64> = (0..3).map(|j| inverse[(i, j)]).collect();
            let row = matrix.times(&unit);
            assert!((0..3).all(|j| (row[j] - f64::from(u8::from(i == j))).abs() < 1e-14), "{row:?}");
        }
    }
}
