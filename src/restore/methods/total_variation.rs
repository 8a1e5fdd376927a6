//! Total variation: x = argmin ½‖y - P(x)‖² + μ·Σ|∇x|, whose solutions have flat regions and sharp edges
//! (Rudin, Osher, Fatemi 1992).
//!
//! **The weight.** A field whose gradients have a Laplace distribution of mean length b has μ = σ²/b as its
//! most likely restoration. b is what an observation shows of it: the total variation of its Wiener
//! restoration, over the two components of a gradient for each of the n waves that can be told,
//! μ = σ²·2n/Σ|∇x_W|. No constant in it is tuned.
//!
//! **The solver** is the alternating direction method of multipliers. With d in place of ∇x and the scaled
//! multipliers u it repeats
//!
//! - x = argmin ½‖y - P(x)‖² + ½ρ‖∇x - d + u‖², which is a filter:
//!   X = (K·Y + ρ·F(Dᵀ(d - u)))/(K² + ρ·DᵀD);
//! - d = shrink(∇x + u, μ/ρ) and u = ∇x + u - d.
//!
//! With positivity z in place of x joins likewise, z = max(x + w, 0).

use crate::Result;
use crate::restore::Diffusion;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::wiener;
use crate::restore::spectral::grid::Edges;
use rayon::prelude::*;

/// How the length of a gradient is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// √(∂x² + ∂y²): edges in all directions cost the same.
    Isotropic,
    /// |∂x| + |∂y|: edges along the axes cost least.
    Anisotropic,
}

/// How total variation is to be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TotalVariation {
    /// Isotropic or anisotropic; `None` takes the one that fits the sample better.
    pub gradient: Option<Gradient>,
    /// Whether no value may be negative.
    pub positive: bool,
    /// The most iterations.
    pub iterations: usize,
}

impl TotalVariation {
    /// Gradients by the sample, either sign, and iterations until nothing moves.
    pub const USUAL: Self = Self { gradient: None, positive: false, iterations: 200 };
}

/// A restored sample and what it looks like.
pub(super) struct Solution {
    pub(super) x: Vec<f64>,
    /// The part of the cells whose gradient is exactly zero.
    pub(super) flat: f64,
    /// Σ(|∂x| + |∂y|) over Σ√(∂x² + ∂y²), times π/4: 1 where edges have no preferred direction, π/4 where
    /// all lie along the axes.
    pub(super) slant: f64,
}

/// ρ over μ, times the root mean square of the gradients. Neither this nor [`POSITIVITY`] changes the solution,
/// only how fast it is reached; both were tried on random rectangles and photographs.
const SPLIT: f64 = 0.4;

/// How much more strictly x is tied to its nonnegative copy than its gradient to d.
const POSITIVITY: f64 = 10.0;

/// Iterations end where one moves x by less than this part of its spread.
const SETTLED: f64 = 2e-4;

/// Below this [`Solution::slant`] the edges lie along the axes.
const ALONG_AXES: f64 = 0.95;

/// Restores a sample. `zero` is where the field's own zero lies, for positivity.
pub(super) fn restore(
    diffusion: &Diffusion,
    y: &[f64],
    spectrum: &Spectrum,
    settings: TotalVariation,
    zero: f64,
) -> Result<Solution> {
    let start = wiener::restore(diffusion, y, spectrum)?;
    let solve = |gradient| solve(diffusion, y, spectrum, &start, settings, gradient, zero);
    match settings.gradient {
        Some(gradient) => solve(gradient),
        None => {
            let isotropic = solve(Gradient::Isotropic)?;
            if isotropic.slant >= ALONG_AXES {
                return Ok(isotropic);
            }
            Ok(Solution { x: solve(Gradient::Anisotropic)?.x, ..isotropic })
        }
    }
}

fn solve(
    diffusion: &Diffusion,
    y: &[f64],
    spectrum: &Spectrum,
    start: &[f64],
    settings: TotalVariation,
    gradient: Gradient,
    zero: f64,
) -> Result<Solution> {
    let differences = Differences::of(diffusion);
    let mut dual = differences.of_field(start);
    let (length, squares) = sums(&dual, gradient);
    if length == 0.0 {
        return Ok(Solution { x: start.to_vec(), flat: 1.0, slant: 1.0 });
    }
    let mu = spectrum.noise.powi(2) * 2.0 * spectrum.told / length;
    // ∇x is split from d, which starts as the gradient of Wiener's restoration.
    let rho = SPLIT * mu / (squares / y.len() as f64).sqrt();
    let own = if settings.positive { POSITIVITY * rho } else { 0.0 };
    let inner = |difference: f64, kernel: f64| kernel * kernel + rho * difference + own;
    let from_data = diffusion.factor(|mode| {
        let kernel = diffusion.kernel(mode);
        if mode.squared == 0.0 { 0.0 } else { kernel / inner(mode.difference, kernel) }
    });
    let from_split = diffusion.factor(|mode| {
        if mode.squared == 0.0 { 0.0 } else { rho / inner(mode.difference, diffusion.kernel(mode)) }
    });
    let data = diffusion.filter(y, &from_data)?;
    let threshold = mu / rho;
    let mut split = dual.clone();
    dual.iter_mut().for_each(|u| *u = [0.0; 2]);
    let mut aim = split.clone();
    let (mut x, mut z, mut w) = (start.to_vec(), start.to_vec(), vec![0.0; y.len()]);
    for _ in 0..settings.iterations {
        let mut right = differences.adjoint(&aim);
        if settings.positive {
            right.par_iter_mut().zip(&z).zip(&w).for_each(|((r, z), w)| *r += POSITIVITY * (z - w));
        }
        let mut next = diffusion.filter(&right, &from_split)?;
        next.par_iter_mut().zip(&data).for_each(|(x, data)| *x += data);
        differences.shrink(&next, threshold, gradient, &mut dual, &mut split, &mut aim);
        if settings.positive {
            w.par_iter_mut().zip(&mut z).zip(&next).for_each(|((w, z), x)| {
                *z = (x + *w).max(zero);
                *w += x - *z;
            });
        }
        let moved: f64 = x.iter().zip(&next).map(|(a, b)| (a - b).powi(2)).sum();
        let size: f64 = next.iter().map(|v| v * v).sum();
        x = next;
        if moved <= SETTLED * SETTLED * size {
            break;
        }
    }
    if settings.positive {
        x.iter_mut().for_each(|v| *v = v.max(zero));
    }
    let still = split.iter().filter(|d| **d == [0.0; 2]).count();
    let (all, long) = (sums(&split, Gradient::Anisotropic).0, sums(&split, Gradient::Isotropic).0);
    let slant = if long > 0.0 { std::f64::consts::FRAC_PI_4 * all / long } else { 1.0 };
    Ok(Solution { x, flat: still as f64 / y.len() as f64, slant })
}

/// Σ of the lengths of vectors, and of the squares of their components.
fn sums(vectors: &[[f64; 2]], gradient: Gradient) -> (f64, f64) {
    let squares = vectors.iter().map(|[a, b]| a * a + b * b).sum();
    let length = match gradient {
        Gradient::Isotropic => vectors.iter().map(|[a, b]| a.hypot(*b)).sum(),
        Gradient::Anisotropic => vectors.iter().map(|[a, b]| a.abs() + b.abs()).sum(),
    };
    (length, squares)
}

/// Differences between neighbouring cells, along x and y.
struct Differences {
    nx: usize,
    ny: usize,
    periodic: bool,
}

impl Differences {
    fn of(diffusion: &Diffusion) -> Self {
        let [nx, ny] = diffusion.grid().size();
        Self { nx, ny, periodic: diffusion.grid().edges() == Edges::Periodic }
    }

    /// ∇x at a cell: the next cell minus this one; nothing beyond an insulated edge.
    fn at(&self, x: &[f64], i: usize, j: usize) -> [f64; 2] {
        let here = x[i * self.ny + j];
        let next = |index: usize, n: usize| if index + 1 < n { index + 1 } else { 0 };
        let along = |inside: bool, other: f64| if inside || self.periodic { other - here } else { 0.0 };
        [
            along(i + 1 < self.nx, x[next(i, self.nx) * self.ny + j]),
            along(j + 1 < self.ny, x[i * self.ny + next(j, self.ny)]),
        ]
    }

    fn of_field(&self, x: &[f64]) -> Vec<[f64; 2]> {
        let cells = (0..x.len()).into_par_iter().with_min_len(1 << 12);
        cells.map(|cell| self.at(x, cell / self.ny, cell % self.ny)).collect()
    }

    /// Dᵀ of vectors.
    fn adjoint(&self, vectors: &[[f64; 2]]) -> Vec<f64> {
        let mut sum = vec![0.0; vectors.len()];
        let (nx, ny) = (self.nx, self.ny);
        // What a cell gives, and what comes from the cell before. Beyond an insulated edge nothing flows.
        sum.par_chunks_mut(ny).enumerate().for_each(|(i, row)| {
            let before = if i > 0 { i - 1 } else { nx - 1 };
            for (j, value) in row.iter_mut().enumerate() {
                let [along_x, along_y] = vectors[i * ny + j];
                if i + 1 < nx || self.periodic {
                    *value -= along_x;
                }
                if j + 1 < ny || self.periodic {
                    *value -= along_y;
                }
                if i > 0 || self.periodic {
                    *value += vectors[before * ny + j][0];
                }
                if j > 0 || self.periodic {
                    *value += vectors[i * ny + if j > 0 { j - 1 } else { ny - 1 }][1];
                }
            }
        });
        sum
    }

    /// d = shrink(∇x + u), u = ∇x + u - d; `aim` becomes d - u.
    fn shrink(
        &self,
        x: &[f64],
        threshold: f64,
        gradient: Gradient,
        dual: &mut [[f64; 2]],
        split: &mut [[f64; 2]],
        aim: &mut [[f64; 2]],
    ) {
        let rows = dual.par_chunks_mut(self.ny).zip(split.par_chunks_mut(self.ny));
        rows.zip(aim.par_chunks_mut(self.ny)).enumerate().for_each(|(i, ((dual, split), aim))| {
            for j in 0..self.ny {
                let [gx, gy] = self.at(x, i, j);
                let v = [gx + dual[j][0], gy + dual[j][1]];
                let d = match gradient {
                    Gradient::Isotropic => {
                        let length = v[0].hypot(v[1]);
                        let keep = if length > threshold { 1.0 - threshold / length } else { 0.0 };
                        v.map(|v| keep * v)
                    }
                    Gradient::Anisotropic => v.map(|v| v.signum() * (v.abs() - threshold).max(0.0)),
                };
                let u = [v[0] - d[0], v[1] - d[1]];
                (dual[j], split[j], aim[j]) = (u, d, [d[0] - u[0], d[1] - u[1]]);
            }
        });
    }
}
