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
//!   X = (H̄·Y + ρ·F(Dᵀ(d - u)))/(|H|² + ρ·DᵀD);
//! - d = shrink(∇x + u, μ/ρ) and u = ∇x + u - d.
//!
//! With positivity z in place of x joins likewise, z = max(x + w, 0).

use crate::Result;
use crate::restore::Blur;
use crate::restore::measurement::Spectrum;
use crate::restore::methods::wiener;
use crate::restore::spectral::grid::Edges;
use rayon::prelude::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4};

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
    /// The part of the corners of cells at which the gradient is exactly zero.
    pub(super) flat: f64,
    /// Σ(|∂x| + |∂y|) over Σ√(∂x² + ∂y²), times π/4: 1 where edges have no preferred direction, π/4 where
    /// all lie along the axes.
    pub(super) slant: f64,
}

/// ρ over μ, times the root mean square of the gradients. Neither this nor [`POSITIVITY`] changes the
/// solution, only how fast it is reached; both were tried on random rectangles and photographs.
const SPLIT: f64 = 0.4;

/// How much more strictly x is tied to its nonnegative copy than its gradient to d.
const POSITIVITY: f64 = 10.0;

/// Iterations end where one moves x by less than this part of its spread.
const SETTLED: f64 = 2e-4;

/// Below this [`Solution::slant`] the edges lie along the axes.
const ALONG_AXES: f64 = 0.915;

/// Restores a sample. `zero` is where the field's own zero lies, for positivity.
pub(super) fn restore(
    blur: &Blur,
    y: &[f64],
    spectrum: &Spectrum,
    settings: TotalVariation,
    zero: f64,
) -> Result<Solution> {
    let start = wiener::restore(blur, y, spectrum)?;
    let solve = |gradient| solve(blur, y, spectrum, &start, settings, gradient, zero);
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
    blur: &Blur,
    y: &[f64],
    spectrum: &Spectrum,
    start: &[f64],
    settings: TotalVariation,
    gradient: Gradient,
    zero: f64,
) -> Result<Solution> {
    let corners = Corners::of(blur);
    let mut dual = corners.of_field(start);
    let (length, squares) = sums(&dual, gradient);
    if length == 0.0 {
        return Ok(Solution { x: start.to_vec(), flat: 1.0, slant: 1.0 });
    }
    let mu = spectrum.noise.powi(2) * 2.0 * spectrum.told / length;
    // ∇x is split from d, which starts as the gradient of Wiener's restoration.
    let rho = SPLIT * mu / (squares / y.len() as f64).sqrt();
    let own = if settings.positive { POSITIVITY * rho } else { 0.0 };
    let inner = |difference: f64, kernel: f64| kernel * kernel + rho * difference + own;
    let from_data = blur.turning_back(|mode, wave| {
        let kernel = wave.size();
        if mode.squared == 0.0 { 0.0 } else { kernel / inner(mode.difference, kernel) }
    });
    let from_split =
        blur.scaling(
            |mode, wave| {
                if mode.squared == 0.0 { 0.0 } else { rho / inner(mode.difference, wave.size()) }
            },
        );
    let data = blur.filter(y, &from_data)?;
    let threshold = mu / rho;
    let mut split = dual.clone();
    dual.iter_mut().for_each(|u| *u = [0.0; 4]);
    let mut aim = split.clone();
    let (mut x, mut z, mut w) = (start.to_vec(), start.to_vec(), vec![0.0; y.len()]);
    for _ in 0..settings.iterations {
        let mut right = corners.adjoint(&aim);
        if settings.positive {
            right.par_iter_mut().zip(&z).zip(&w).for_each(|((r, z), w)| *r += POSITIVITY * (z - w));
        }
        let mut next = blur.filter(&right, &from_split)?;
        next.par_iter_mut().zip(&data).for_each(|(x, data)| *x += data);
        corners.shrink(&next, threshold, gradient, &mut dual, &mut split, &mut aim);
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
    let still = split.iter().filter(|d| **d == [0.0; 4]).count();
    let (all, long) = (sums(&split, Gradient::Anisotropic).0, sums(&split, Gradient::Isotropic).0);
    let slant = if long > 0.0 { FRAC_PI_4 * all / long } else { 1.0 };
    Ok(Solution { x, flat: still as f64 / split.len() as f64, slant })
}

/// Σ of the lengths of gradients, and of their squares.
fn sums(gradients: &[Corner], measure: Gradient) -> (f64, f64) {
    let squares = |c: &Corner| c.iter().map(|c| c * c).sum::<f64>();
    let length = |c: &Corner| match measure {
        Gradient::Isotropic => squares(c).sqrt(),
        Gradient::Anisotropic => FRAC_1_SQRT_2 * c.iter().map(|c| c.abs()).sum::<f64>(),
    };
    (gradients.iter().map(length).sum(), gradients.iter().map(squares).sum())
}

/// The gradient where four cells meet: their differences along x at the lower and the upper y, and along y
/// at the lower and the upper x, each over √2, since it belongs to two corners. The root of the sum of
/// squares is
/// |∇x|, and it is the same however the field is turned or mirrored.
type Corner = [f64; 4];

/// The corners of a grid, `[cx, cy]`: corner (a, b) lies between the cells a - 1 and a, b - 1 and b.
/// Insulated edges have corners too, without what lies beyond.
struct Corners {
    nx: usize,
    ny: usize,
    cx: usize,
    cy: usize,
    periodic: bool,
}

impl Corners {
    fn of(blur: &Blur) -> Self {
        let [nx, ny] = blur.grid().size();
        let periodic = blur.grid().edges() == Edges::Periodic;
        let more = usize::from(!periodic);
        Self { nx, ny, cx: nx + more, cy: ny + more, periodic }
    }

    /// The two cells along an axis of `n` between which corner `c` lies; none beyond an insulated edge.
    fn beside(&self, c: usize, n: usize) -> [Option<usize>; 2] {
        match (self.periodic, c) {
            (true, 0) => [Some(n - 1), Some(0)],
            (false, 0) => [None, Some(0)],
            _ => [Some(c - 1), (c < n).then_some(c)],
        }
    }

    fn at(&self, x: &[f64], a: usize, b: usize) -> Corner {
        let ([i, k], [j, l]) = (self.beside(a, self.nx), self.beside(b, self.ny));
        let cell = |i: Option<usize>, j: Option<usize>| Some(x[i? * self.ny + j?]);
        let difference = |from: Option<f64>, to: Option<f64>| match (from, to) {
            (Some(from), Some(to)) => FRAC_1_SQRT_2 * (to - from),
            _ => 0.0,
        };
        let [low, right, up, far] = [cell(i, j), cell(k, j), cell(i, l), cell(k, l)];
        [difference(low, right), difference(up, far), difference(low, up), difference(right, far)]
    }

    fn of_field(&self, x: &[f64]) -> Vec<Corner> {
        let corners = (0..self.cx * self.cy).into_par_iter().with_min_len(1 << 12);
        corners.map(|corner| self.at(x, corner / self.cy, corner % self.cy)).collect()
    }

    /// Dᵀ of gradients: what each of the four corners of a cell has of it.
    fn adjoint(&self, gradients: &[Corner]) -> Vec<f64> {
        let mut sums = vec![0.0; self.nx * self.ny];
        sums.par_chunks_mut(self.ny).enumerate().for_each(|(i, row)| {
            let at = |a: usize, b: usize| &gradients[a % self.cx * self.cy + b % self.cy];
            for (j, sum) in row.iter_mut().enumerate() {
                let (here, right, up, far) = (at(i, j), at(i + 1, j), at(i, j + 1), at(i + 1, j + 1));
                let of = (here[1] + here[3]) + (right[2] - right[1]) + (up[0] - up[3]) - (far[0] + far[2]);
                *sum = FRAC_1_SQRT_2 * of;
            }
        });
        sums
    }

    /// d = shrink(∇x + u), u = ∇x + u - d; `aim` becomes d - u.
    fn shrink(
        &self,
        x: &[f64],
        threshold: f64,
        measure: Gradient,
        dual: &mut [Corner],
        split: &mut [Corner],
        aim: &mut [Corner],
    ) {
        let rows = dual.par_chunks_mut(self.cy).zip(split.par_chunks_mut(self.cy));
        rows.zip(aim.par_chunks_mut(self.cy)).enumerate().for_each(|(a, ((dual, split), aim))| {
            for b in 0..self.cy {
                let gradient = self.at(x, a, b);
                let v: Corner = std::array::from_fn(|c| gradient[c] + dual[b][c]);
                let d = match measure {
                    Gradient::Isotropic => {
                        let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
                        let keep = if length > threshold { 1.0 - threshold / length } else { 0.0 };
                        v.map(|v| keep * v)
                    }
                    Gradient::Anisotropic => {
                        v.map(|v| v.signum() * (v.abs() - FRAC_1_SQRT_2 * threshold).max(0.0))
                    }
                };
                dual[b] = std::array::from_fn(|c| v[c] - d[c]);
                aim[b] = std::array::from_fn(|c| 2.0 * d[c] - v[c]);
                split[b] = d;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Device;
    use crate::model::DType;
    use crate::model::rng::{Purpose, Random};

    /// ⟨Dx, g⟩ = ⟨x, Dᵀg⟩, and DᵀD has the eigenvalues that the solver divides by.
    #[test]
    fn the_adjoint_is_one_and_its_square_is_a_filter() {
        let mut random = Random::new(Purpose::Cases, 19, 4, 0);
        for edges in [Edges::Periodic, Edges::Insulated] {
            for size in [[1, 1], [1, 6], [2, 2], [5, 4], [8, 9]] {
                let blur = Blur::new(&Device::Cpu, DType::F64, size, 1.0, edges).unwrap();
                let corners = Corners::of(&blur);
                let x: Vec<f64> = (0..size[0] * size[1]).map(|_| random.between(-1.0, 1.0)).collect();
                let dx = corners.of_field(&x);
                // Any gradients, but nothing beyond an edge.
                let g: Vec<Corner> = corners
                    .of_field(&x)
                    .iter()
                    .map(|c| c.map(|c| if c == 0.0 { 0.0 } else { random.between(-1.0, 1.0) }))
                    .collect();
                let dot = |a: f64, b: f64| a * b;
                let left: f64 =
                    dx.iter().zip(&g).map(|(a, b)| (0..4).map(|c| dot(a[c], b[c])).sum::<f64>()).sum();
                let right: f64 = x.iter().zip(corners.adjoint(&g)).map(|(a, b)| dot(*a, b)).sum();
                assert!((left - right).abs() < 1e-12, "{edges:?} {size:?}: {left} {right}");
                let squared = corners.adjoint(&dx);
                let filtered = blur.filter(&x, &blur.scaling(|mode, _| mode.difference)).unwrap();
                let worst = squared.iter().zip(&filtered).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-12, "{edges:?} {size:?}: {worst}");
            }
        }
    }
}
