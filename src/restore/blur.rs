//! Diffusion of fields and pictures of any size, other operators that are the same in every direction, and
//! filters of the same kind.

use crate::engine::Device;
use crate::model::operator::factor::Factor;
use crate::model::operator::wave::Wave;
use crate::model::{DType, Operator};
use crate::restore::spectral::gpu_filter::GpuFilter;
use crate::restore::spectral::grid::{Edges, Grid, Mode};
use crate::{Error, Result};
use rayon::prelude::*;

/// Samples of more cells than this are worked on one after the other, each by all threads, since memory would
/// not hold all of them at once.
const LARGE: usize = 1 << 20;

/// Diffusion by an amount, of fields `[batch, nx, ny]` with periodic or insulated edges.
///
/// The CPU computes it in 64 bits at every size. A GPU takes part where its shaders have the size: sides that
/// are powers of two, periodic from 8 to 2048 and insulated from 4 to 1024 cells. What the edges are, and the
/// exactness, is the same on both.
#[derive(Clone)]
pub struct Blur {
    grid: Grid,
    /// All of them the same in every direction.
    factors: Vec<Factor>,
    gpu: Option<GpuFilter>,
}

/// A number for every wave, to scale it with.
pub struct Filter {
    table: Vec<f64>,
    /// What the mean of a field is scaled with.
    of_mean: f64,
}

impl Blur {
    /// Diffusion by `amount` (diffusivity × time, in cells²) of fields of `nx` × `ny` cells.
    ///
    /// # Errors
    /// [`Error::Usage`] for a field without cells, and for an amount out of range.
    pub fn new(
        device: &Device,
        precision: DType,
        [nx, ny]: [usize; 2],
        amount: f64,
        edges: Edges,
    ) -> Result<Self> {
        Self::by(device, precision, [nx, ny], &[Factor::heat([amount; 2])?], edges)
    }

    /// Another operator than diffusion, of these factors.
    ///
    /// # Errors
    /// [`Error::Usage`] for a field without cells, and for a factor that is not the
    /// same in every direction: edges that act as mirrors would change it.
    pub fn by(
        device: &Device,
        precision: DType,
        [nx, ny]: [usize; 2],
        factors: &[Factor],
        edges: Edges,
    ) -> Result<Self> {
        if let Some(factor) = factors.iter().find(|factor| factor.radial(1.0).is_none()) {
            let name = factor.name();
            let what =
                "is not the same in every direction, which is not restored yet; train a network for it";
            return Err(Error::usage(format!("operator {name}: {what}")));
        }
        let grid = Grid::new(nx, ny, edges)?;
        let gpu = GpuFilter::new(device, precision, &grid, factors);
        Ok(Self { grid, factors: factors.to_vec(), gpu })
    }

    /// On the periodic grid of training.
    ///
    /// # Errors
    /// Those of [`Diffusion::by`].
    pub fn periodic(device: &Device, precision: DType, operator: &Operator) -> Result<Self> {
        let size = [operator.nx, operator.ny];
        Self::by(device, precision, size, operator.factors(), Edges::Periodic)
    }

    /// The field's transforms.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Diffusivity × time, in cells², where it is diffusion and nothing else.
    pub fn amount(&self) -> Option<f64> {
        match self.factors[..] {
            [Factor::Heat([amount, _])] => Some(amount),
            _ => None,
        }
    }

    /// Cells of a field.
    pub fn cells(&self) -> usize {
        self.grid.cells()
    }

    /// H, the factor of a wave: exp(−Λ) for diffusion; others may turn its sign or amplify it.
    pub fn kernel(&self, mode: Mode) -> f64 {
        let wave = self.wave(mode);
        (-wave.log_kernel).exp() * wave.phase.re
    }

    /// Λ = −ln|H|, and the sign of H.
    pub fn wave(&self, mode: Mode) -> Wave {
        let waves = self.factors.iter().filter_map(|factor| factor.radial(mode.squared));
        waves.fold(Wave::WHOLE, Wave::times)
    }

    /// The part of a field's standard deviation that the arithmetic leaves uncertain in every wave: the
    /// rounding of the transforms.
    pub fn rounding(&self) -> f64 {
        match &self.gpu {
            Some(gpu) if gpu.precision() != DType::F64 => 3e-7,
            _ => 1e-15,
        }
    }

    /// f of every wave.
    pub fn factor(&self, f: impl Fn(Mode) -> f64 + Sync) -> Filter {
        let of_mean = f(Mode::new(0.0, 0.0));
        let table = match &self.gpu {
            Some(gpu) => gpu.table(f),
            None => self.grid.table(f),
        };
        Filter { table, of_mean }
    }

    /// Scales every wave of the fields `[batch, nx, ny]`. The mean of a field is taken out before and put
    /// back after, so that a large one costs the rest no digits.
    pub fn filter(&self, fields: &[f64], factor: &Filter) -> Result<Vec<f64>> {
        let means: Vec<f64> = fields.chunks_exact(self.cells()).map(mean).collect();
        let mut filtered = fields.to_vec();
        each(&mut filtered, self.cells(), |sample, field| field.iter_mut().for_each(|v| *v -= means[sample]));
        match &self.gpu {
            Some(gpu) => filtered = gpu.filter(&factor.table, &filtered)?,
            None => each(&mut filtered, self.cells(), |_, field| {
                self.grid.forward(field);
                field.par_iter_mut().zip(&factor.table).for_each(|(wave, factor)| *wave *= factor);
                self.grid.inverse(field);
            }),
        }
        each(&mut filtered, self.cells(), |sample, field| {
            field.iter_mut().for_each(|v| *v += factor.of_mean * means[sample]);
        });
        Ok(filtered)
    }

    /// y = P(x).
    pub fn apply(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.filter(x, &self.factor(|mode| self.kernel(mode)))
    }

    /// The damped inverse of residuals by the shaders, where they are used.
    pub(in crate::restore) fn damped_on_gpu(
        &self,
        residual: &[f64],
        signal: f64,
        noise: f64,
    ) -> Option<Result<Vec<f64>>> {
        self.gpu.as_ref().map(|gpu| gpu.damped_inverse(residual, signal, &[noise]))
    }

    /// y - P(x).
    pub fn residual(&self, y: &[f64], x: &[f64]) -> Result<Vec<f64>> {
        Ok(y.iter().zip(self.apply(x)?).map(|(y, p)| y - p).collect())
    }

    /// ‖y - P(x)‖ of every sample, and the residuals themselves.
    pub fn misfit(&self, y: &[f64], x: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let residual = self.residual(y, x)?;
        let norm = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
        Ok((residual.chunks_exact(self.cells()).map(norm).collect(), residual))
    }

    /// Whether samples may be worked on side by side: they are small, and no GPU has a part in it.
    pub(in crate::restore) fn is_parallel(&self) -> bool {
        self.gpu.is_none() && self.cells() <= LARGE
    }
}

/// The mean of a field, added up in rows so that long sums lose nothing.
pub fn mean(field: &[f64]) -> f64 {
    field.chunks(1024).map(|row| row.iter().sum::<f64>()).sum::<f64>() / field.len() as f64
}

/// Calls `f` with every sample and its number.
fn each(fields: &mut [f64], cells: usize, f: impl Fn(usize, &mut [f64]) + Sync) {
    if cells <= LARGE {
        fields.par_chunks_exact_mut(cells).enumerate().for_each(|(sample, field)| f(sample, field));
    } else {
        fields.chunks_exact_mut(cells).enumerate().for_each(|(sample, field)| f(sample, field));
    }
}
