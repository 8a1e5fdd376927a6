//! What observes fields and pictures of any size: diffusion or another operator, and filters of the same
//! kind.

use crate::cpu::reduce::mean;
use crate::engine::Device;
use crate::model::operator::factor::Factor;
use crate::model::operator::wave::Wave;
use crate::model::operator::waves::Waves;
use crate::model::{DType, Operator};
use crate::restore::spectral::gpu_filter::GpuFilter;
use crate::restore::spectral::grid::{Edges, Grid, Mode};
use crate::{Error, Result};
use num_complex::Complex;
use rayon::prelude::*;
use std::sync::Arc;

/// Samples of more cells than this are worked on one after the other, each by all threads, since memory would
/// not hold all of them at once.
const LARGE: usize = 1 << 20;

/// An operator on fields `[batch, nx, ny]` with periodic or insulated edges.
///
/// The CPU computes it in 64 bits at every size. A GPU takes part where its shaders have the size and the
/// operator turns no wave: sides that are powers of two, periodic from 8 to 2048 and insulated from 4 to 1024
/// cells. What the edges are, and the exactness, is the same on both.
#[derive(Clone)]
pub struct Blur {
    grid: Grid,
    factors: Vec<Factor>,
    waves: Arc<Waves>,
    /// What it does to the mean of a field.
    of_mean: Wave,
    /// The most that it leaves of any wave.
    gain: f64,
    gpu: Option<GpuFilter>,
}

/// A factor for every wave, to multiply it with.
pub struct Filter {
    re: Vec<f64>,
    im: Option<Vec<f64>>,
    /// What the mean of a field is multiplied with.
    of_mean: f64,
}

/// Which way a filter turns waves.
#[derive(Clone, Copy)]
enum Turn {
    None,
    /// As the operator does.
    Forth,
    Back,
}

impl Turn {
    fn phase(self, wave: Wave) -> Complex<f64> {
        match self {
            Self::None => Complex::ONE,
            Self::Forth => wave.phase,
            Self::Back => wave.phase.conj(),
        }
    }
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

    /// The product of any factors.
    ///
    /// # Errors
    /// [`Error::Usage`] for a field without cells, for a point spread function that is larger than the field,
    /// and with insulated edges for a factor that mirrors along the axes would change
    /// ([`Factor::is_mirrored`]): of a field that goes on as its mirror image it makes none that does.
    pub fn by(
        device: &Device,
        precision: DType,
        [nx, ny]: [usize; 2],
        factors: &[Factor],
        edges: Edges,
    ) -> Result<Self> {
        if let (Edges::Insulated, Some(factor)) = (edges, factors.iter().find(|f| !f.is_mirrored())) {
            return Err(Error::usage(format!(
                "operator {factor}: is not the same when it is mirrored, which insulated edges need; use \
                 --edges open or periodic"
            )));
        }
        let grid = Grid::new(nx, ny, edges)?;
        let waves = Waves::new(factors, grid.axes())?;
        let gpu = if waves.turn() { None } else { GpuFilter::new(device, precision, &grid, factors) };
        let of_mean = waves.at(0, 0);
        // No factor of a cell's brightness leaves more of any wave than of the mean.
        let gain = match factors.iter().all(Factor::is_positive) {
            true => of_mean.size(),
            false => (0..nx)
                .into_par_iter()
                .map(|i| (0..ny).map(|j| waves.at(i, j).size()).fold(0.0, f64::max))
                .reduce(|| 0.0, f64::max),
        };
        Ok(Self { grid, factors: factors.to_vec(), waves: waves.into(), of_mean, gain, gpu })
    }

    /// On the periodic grid of training.
    ///
    /// # Errors
    /// Those of [`Blur::by`].
    pub fn periodic(device: &Device, precision: DType, operator: &Operator) -> Result<Self> {
        let size = [operator.nx, operator.ny];
        Self::by(device, precision, size, operator.factors(), Edges::Periodic)
    }

    /// The field's transforms.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What it is made of.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// Whether fields and observations have one unit.
    pub fn keeps_unit(&self) -> bool {
        self.factors.iter().all(Factor::keeps_unit)
    }

    /// Whether it leaves the less of a wave the shorter it is, in whatever direction.
    pub fn falls(&self) -> bool {
        let falls = |factor: &Factor| factor.radial(1.0).is_some() && !matches!(factor, Factor::Disk(_));
        self.factors.iter().all(falls)
    }

    /// Cells of a field.
    pub fn cells(&self) -> usize {
        self.grid.cells()
    }

    /// The most that it leaves of any wave: 1 for diffusion.
    pub fn gain(&self) -> f64 {
        self.gain
    }

    /// What it does to the mean of a field: nothing if it is diffusion, and nothing is left of it by
    /// Poisson's equation.
    pub fn of_mean(&self) -> Wave {
        self.of_mean
    }

    /// The mean of fields whose observations have the mean 1; 0 where nothing is left of it.
    pub fn mean_back(&self) -> f64 {
        if self.of_mean.log_kernel < Wave::LOST { self.of_mean.phase.re / self.of_mean.size() } else { 0.0 }
    }

    /// What happens to waves with |k|² = `squared`, in (radians per cell)²; none where their direction
    /// matters or a table tells it.
    pub fn radial(&self, squared: f64) -> Option<Wave> {
        self.factors.iter().try_fold(Wave::WHOLE, |wave, factor| Some(wave.times(factor.radial(squared)?)))
    }

    /// The part of a field's standard deviation that the arithmetic leaves uncertain in every wave: the
    /// rounding of the transforms.
    pub fn rounding(&self) -> f64 {
        match &self.gpu {
            Some(gpu) if gpu.precision() != DType::F64 => 3e-7,
            _ => 1e-15,
        }
    }

    /// A number for every wave and what happens to it, `[nx, ny]`, in the order of [`Grid::forward`].
    pub fn table(&self, f: impl Fn(Mode, Wave) -> f64 + Sync) -> Vec<f64> {
        self.grid.table(|mode, [i, j]| f(mode, self.waves.at(i, j)))
    }

    /// Scales every wave by f, and turns none.
    pub fn scaling(&self, f: impl Fn(Mode, Wave) -> f64 + Sync) -> Filter {
        self.filter_of(Turn::None, f)
    }

    /// Scales every wave by f, and turns it as the operator does.
    pub fn turning(&self, f: impl Fn(Mode, Wave) -> f64 + Sync) -> Filter {
        self.filter_of(Turn::Forth, f)
    }

    /// Scales every wave by f, and turns it back.
    pub fn turning_back(&self, f: impl Fn(Mode, Wave) -> f64 + Sync) -> Filter {
        self.filter_of(Turn::Back, f)
    }

    fn filter_of(&self, turn: Turn, f: impl Fn(Mode, Wave) -> f64 + Sync) -> Filter {
        let re = |mode, wave| f(mode, wave) * turn.phase(wave).re;
        let of_mean = re(Mode::new(0.0, 0.0), self.of_mean);
        if let Some(gpu) = &self.gpu {
            return Filter { re: gpu.table(re), im: None, of_mean };
        }
        let turns = self.waves.turn() && !matches!(turn, Turn::None);
        let im = turns.then(|| self.table(|mode, wave| f(mode, wave) * turn.phase(wave).im));
        Filter { re: self.table(re), im, of_mean }
    }

    /// Multiplies every wave of the fields `[batch, nx, ny]`. The mean of a field is taken out before and put
    /// back after, so that a large one costs the rest no digits.
    pub fn filter(&self, fields: &[f64], filter: &Filter) -> Result<Vec<f64>> {
        let means: Vec<f64> = fields.chunks_exact(self.cells()).map(mean).collect();
        let mut filtered = fields.to_vec();
        each(&mut filtered, self.cells(), |sample, field| field.iter_mut().for_each(|v| *v -= means[sample]));
        match &self.gpu {
            Some(gpu) => filtered = gpu.filter(&filter.re, &filtered)?,
            None => each(&mut filtered, self.cells(), |_, field| {
                self.grid.forward(field);
                self.multiply(field, filter);
                self.grid.inverse(field);
            }),
        }
        each(&mut filtered, self.cells(), |sample, field| {
            field.iter_mut().for_each(|v| *v += filter.of_mean * means[sample]);
        });
        Ok(filtered)
    }

    /// Multiplies the waves of one field, where no GPU has a part in it.
    pub(in crate::restore) fn multiply(&self, waves: &mut [f64], filter: &Filter) {
        self.grid.multiply(waves, &filter.re, filter.im.as_deref());
    }

    /// y = P(x).
    pub fn apply(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.filter(x, &self.turning(|_, wave| wave.size()))
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

/// Calls `f` with every sample and its number.
fn each(fields: &mut [f64], cells: usize, f: impl Fn(usize, &mut [f64]) + Sync) {
    if cells <= LARGE {
        fields.par_chunks_exact_mut(cells).enumerate().for_each(|(sample, field)| f(sample, field));
    } else {
        fields.chunks_exact_mut(cells).enumerate().for_each(|(sample, field)| f(sample, field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::point_spread::PointSpread;
    use crate::model::operator::tikhonov;
    use crate::model::rng::{Purpose, Random};

    fn random_field(cells: usize) -> Vec<f64> {
        let mut random = Random::new(Purpose::Cases, 21, 0, cells as u64);
        (0..cells).map(|_| random.between(-1.0, 1.0)).collect()
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn blur(size: [usize; 2], factor: Factor, edges: Edges) -> Blur {
        Blur::by(&Device::Cpu, DType::F64, size, &[factor], edges).unwrap()
    }

    /// Σ_d spread(d)·x(i - d), with the field's other side or its mirror image beyond the edges.
    #[test]
    fn observations_of_any_size_are_convolutions() {
        let lopsided = ([1.0, 0.0, 2.0, 0.5, 6.0, 1.0, 0.0, 3.0, 1.0], false);
        let mirrored = ([1.0, 2.0, 1.0, 0.5, 6.0, 0.5, 1.0, 2.0, 1.0], true);
        for ((values, is_mirrored), size) in [
            (lopsided, [5, 6]),
            (lopsided, [8, 16]),
            (lopsided, [7, 4]),
            (mirrored, [5, 6]),
            (mirrored, [16, 9]),
        ] {
            let spread = PointSpread::new(3, 3, values.to_vec()).unwrap().at_middle();
            let (own, factor) = (spread.values().to_vec(), Factor::PointSpread(spread.into()));
            let x = random_field(size[0] * size[1]);
            for edges in [Edges::Periodic, Edges::Insulated] {
                if edges == Edges::Insulated && !is_mirrored {
                    let refused =
                        Blur::by(&Device::Cpu, DType::F64, size, std::slice::from_ref(&factor), edges);
                    assert!(refused.err().unwrap().to_string().contains("--edges open"));
                    continue;
                }
                let place = |i: usize, d: usize, n: usize| {
                    let at = i as isize + 1 - d as isize;
                    match edges {
                        Edges::Periodic => at.rem_euclid(n as isize) as usize,
                        Edges::Insulated if at < 0 => (-1 - at) as usize,
                        Edges::Insulated => (at as usize).min(2 * n - 1 - at as usize),
                    }
                };
                let direct = |cell: usize| -> f64 {
                    let [i, j] = [cell / size[1], cell % size[1]];
                    let at = |d: usize| place(i, d / 3, size[0]) * size[1] + place(j, d % 3, size[1]);
                    (0..9).map(|d| own[d] * x[at(d)]).sum()
                };
                let seen = blur(size, factor.clone(), edges).apply(&x).unwrap();
                for (cell, seen) in seen.iter().enumerate() {
                    assert!((seen - direct(cell)).abs() <= 1e-14, "{edges:?} {size:?}");
                }
            }
        }
    }

    /// ⟨P(x), y⟩ = ⟨x, Pᵀ(y)⟩ for every operator, and a shift by whole cells is one.
    #[test]
    fn turning_back_is_the_adjoint_at_every_size() {
        for size in [[6, 5], [9, 16], [8, 8]] {
            let [x, y] = [random_field(size[0] * size[1]), random_field(size[0] * size[1] + 1)[1..].to_vec()];
            for text in
                ["advection:0.3,1.5", "motion:3,20", "heat:2x0.1", "disk:1.7", "poisson", "helmholtz:0.4"]
            {
                let blur = blur(size, Factor::parse(text).unwrap(), Edges::Periodic);
                let back = blur.filter(&y, &blur.turning_back(|_, wave| wave.size())).unwrap();
                let (left, right) = (dot(&blur.apply(&x).unwrap(), &y), dot(&x, &back));
                assert!((left - right).abs() <= 1e-12, "{text} {size:?}: {left} {right}");
            }
            let shifted = blur(size, Factor::Advection([2.0, -1.0]), Edges::Periodic).apply(&x).unwrap();
            for cell in 0..x.len() {
                let from =
                    (cell / size[1] + size[0] - 2) % size[0] * size[1] + (cell % size[1] + 1) % size[1];
                assert!((shifted[cell] - x[from]).abs() <= 1e-14);
            }
        }
    }

    /// On the grids of training it is the operator of training.
    #[test]
    fn fields_of_training_are_seen_as_in_training() {
        for text in ["advection:0.5,0.25", "motion:5,77", "heat:3x1", "poisson", "disk:2.5"] {
            let factors = [Factor::parse(text).unwrap()];
            let operator = Operator::of(16, 8, &factors).unwrap();
            let x = random_field(128);
            let mut seen = vec![0.0; 128];
            crate::cpu::heat::physics::Physics::<f64>::new(&operator).diffuse(&x, &mut seen);
            let blur = Blur::periodic(&Device::Cpu, DType::F64, &operator).unwrap();
            for (a, b) in seen.iter().zip(blur.apply(&x).unwrap()) {
                assert!((a - b).abs() <= 1e-13, "{text}: {a} {b}");
            }
            // And so is what a network is shown of it.
            let (lambda, mut shown) = (0.05, vec![0.0; 128]);
            let inverse = crate::cpu::heat::physics::Physics::<f64>::new(&operator.tikhonov(lambda));
            inverse.diffuse(&seen, &mut shown);
            let inverse = blur.turning_back(|_, wave| tikhonov::gain(wave.size(), lambda));
            for (a, b) in shown.iter().zip(blur.filter(&seen, &inverse).unwrap()) {
                assert!((a - b).abs() <= 1e-11, "{text}: {a} {b}");
            }
        }
    }
}
