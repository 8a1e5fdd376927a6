//! Diffusion and its inverses for fields and pictures: on a periodic grid as in the reference system, or with
//! the insulated edges that a picture needs.
//!
//! A picture is not periodic: what leaves on the right must not come back on the left. Nothing flows through
//! its edges, which therefore act as mirrors. A periodic grid of twice the side computes that exactly
//! ([`tiles::mirror`]). Sides that are no powers of two, or too long, are cut into tiles that overlap by more
//! than diffusion reaches.

use crate::Result;
use crate::engine::{Device, operators};
use crate::model::{DType, HeatEquation};
use crate::restore::tiles::{self, Rules, Tiling};

/// Rounding leaves this part of an observation's norm uncertain, in a mode as in a cell; a smaller noise is
/// raised to it. With 64-bit physics it is the rounding of 32-bit numbers in a file. 32-bit physics adds the
/// rounding of its transforms (measured: with 1e-7 there, the one-shot inverse is four times as far off as
/// with 3e-7).
pub fn rounding(precision: DType) -> f64 {
    match precision {
        DType::F64 => 1e-7,
        DType::F16 | DType::F32 => 3e-7,
    }
}

/// The guard around a tile is this many standard deviations of diffusion wide. What lies beyond then changes
/// nothing to the last bit, and a fade over so many cells has no frequencies that the inverse would amplify.
const REACH: f64 = 12.0;

/// The longest side of a picture's tile. Mirrored, it is as long as the transforms allow.
const LARGEST_TILE: usize = 1024;

/// Tiles are processed about this many cells at a time.
const CHUNK: usize = 8 << 20;

/// The heat equation for `[batch, nx, ny]` fields, on a device, in a precision.
pub struct Diffusion {
    device: Device,
    precision: DType,
    heat: HeatEquation,
    edges: Edges,
}

/// What lies beyond a field's edge.
enum Edges {
    /// The other side of the field.
    Periodic,
    /// Its mirror image. The heat equation's grid is that of a mirrored tile.
    Insulated { tiling: Tiling, nx: usize, ny: usize },
}

/// What happens to a tile's rim where it is not the field's own edge.
#[derive(Clone, Copy, PartialEq)]
enum Rim {
    /// It stays as it is, which is right for diffusion.
    Kept,
    /// It is faded by [`Tiling::taper`], as an inverse needs it.
    Faded,
}

impl Diffusion {
    /// On a periodic grid, as in training.
    pub fn periodic(device: &Device, precision: DType, heat: &HeatEquation) -> Self {
        Self { device: device.clone(), precision, heat: *heat, edges: Edges::Periodic }
    }

    /// With insulated edges, for fields of any size.
    ///
    /// Exact where both sides are powers of two up to 1024 and to rounding elsewhere, unless diffusion
    /// reaches farther than tiles overlap.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for a field without cells, an amount out of range, or one whose
    /// reach no tile can hold.
    pub fn insulated(device: &Device, precision: DType, nx: usize, ny: usize, amount: f64) -> Result<Self> {
        HeatEquation::new(8, 8, amount)?; // refuses an amount out of range before anything is derived from it
        let guard = (REACH * (2.0 * amount).sqrt()).ceil() as usize;
        let tiling = Tiling::new(nx, ny, Rules { largest: LARGEST_TILE, guard, mirrored: true })?;
        let [tx, ty] = tiling.tile();
        let heat = HeatEquation::new(2 * tx, 2 * ty, amount)?;
        Ok(Self { device: device.clone(), precision, heat, edges: Edges::Insulated { tiling, nx, ny } })
    }

    /// Cells of a field.
    pub fn cells(&self) -> usize {
        match &self.edges {
            Edges::Periodic => self.heat.cells(),
            Edges::Insulated { nx, ny, .. } => nx * ny,
        }
    }

    /// y = P(x).
    pub fn apply(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.filter(x, Rim::Kept, &self.heat.kernel())
    }

    /// The damped inverse (method §3) of residuals whose cells have this standard deviation of noise,
    /// `[batch]`.
    pub fn damped_inverse(&self, residual: &[f64], noise: &[f64]) -> Result<Vec<f64>> {
        let scale = (self.heat.cells() as f64).sqrt();
        self.on_grid(residual, Rim::Faded, |fields, samples| {
            let sigmas: Vec<f64> = samples.iter().map(|&sample| noise[sample] * scale).collect();
            Ok(operators::invert_with_noise(&self.device, self.precision, &self.heat, &sigmas, fields)?.dx)
        })
    }

    /// X = K·Y/(K² + λ) in Fourier space, with each sample's own λ, `[batch]`.
    pub fn tikhonov(&self, y: &[f64], lambda: &[f64]) -> Result<Vec<f64>> {
        let kernel = self.heat.kernel();
        let mut x = Vec::with_capacity(y.len());
        // Each sample has a filter of its own.
        for (y, lambda) in y.chunks_exact(self.cells()).zip(lambda) {
            let filter: Vec<f64> = kernel.iter().map(|k| k / (k * k + lambda)).collect();
            x.extend(self.filter(y, Rim::Faded, &filter)?);
        }
        Ok(x)
    }

    /// The λ with which [`Diffusion::tikhonov`] explains each sample of y up to its noise and no better:
    /// ‖y - P(x)‖² = N·noise², Morozov's discrepancy principle.
    pub fn discrepancy(&self, y: &[f64], noise: &[f64]) -> Result<Vec<f64>> {
        let kernel = self.heat.kernel();
        let mut lambda = Vec::with_capacity(noise.len());
        for (y, noise) in y.chunks_exact(self.cells()).zip(noise) {
            // Σ|Ŷ|² of every mode over the sample's tiles, which all have the same K.
            let (mut energy, mut grids) = (vec![0.0; kernel.len()], 0.0);
            self.on_grid(y, Rim::Faded, |fields, samples| {
                let sigmas = vec![1.0; samples.len()];
                let found =
                    operators::invert_with_noise(&self.device, self.precision, &self.heat, &sigmas, fields)?;
                for amplitudes in found.amp.chunks_exact(kernel.len()) {
                    energy.iter_mut().zip(amplitudes).for_each(|(energy, a)| *energy += a * a);
                }
                grids += samples.len() as f64;
                Ok(fields.to_vec())
            })?;
            // The transforms are not normalised: a sum over modes is N times the sum over cells.
            let allowed = grids * (kernel.len() as f64 * noise).powi(2);
            let residual = |lambda: f64| -> f64 {
                let left = |k: f64| (lambda / (k * k + lambda)).powi(2);
                energy.iter().zip(&kernel).map(|(energy, &k)| energy * left(k)).sum()
            };
            lambda.push(bisect(residual, allowed));
        }
        Ok(lambda)
    }

    /// The effective noise of each observation, `[batch]`: the given one, or what [`rounding`] leaves
    /// uncertain if that is more.
    pub fn floored(&self, y: &[f64], noise: f64) -> Vec<f64> {
        let cells = self.cells();
        let rms = |y: &[f64]| (y.iter().map(|v| v * v).sum::<f64>() / cells as f64).sqrt();
        y.chunks_exact(cells).map(|y| noise.max(rounding(self.precision) * rms(y))).collect()
    }

    /// ‖y - P(x)‖ of every sample, and the residuals themselves.
    pub fn misfit(&self, y: &[f64], x: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
        let residual: Vec<f64> = y.iter().zip(self.apply(x)?).map(|(y, p)| y - p).collect();
        let norm = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
        Ok((residual.chunks_exact(self.cells()).map(norm).collect(), residual))
    }

    fn filter(&self, x: &[f64], rim: Rim, kernel: &[f64]) -> Result<Vec<f64>> {
        self.on_grid(x, rim, |fields, _| {
            operators::filter(&self.device, self.precision, &self.heat, kernel, fields)
        })
    }

    /// Hands fields on the heat equation's own grid to `f`, each with the number of its sample, and puts the
    /// results together.
    fn on_grid(
        &self,
        samples: &[f64],
        rim: Rim,
        mut f: impl FnMut(&[f64], &[usize]) -> Result<Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let cells = self.cells();
        let Edges::Insulated { tiling, .. } = &self.edges else {
            return f(samples, &(0..samples.len() / cells).collect::<Vec<_>>());
        };
        let grid = self.heat.cells();
        let mut results = vec![0.0; samples.len()];
        let places: Vec<(usize, usize)> = (0..samples.len() / cells)
            .flat_map(|sample| (0..tiling.count()).map(move |i| (sample, i)))
            .collect();
        for places in places.chunks((CHUNK / grid).max(1)) {
            let (mut fields, mut tile) = (Vec::with_capacity(places.len() * grid), Vec::new());
            for &(sample, index) in places {
                tile.clear();
                tiling.cut(&samples[sample * cells..][..cells], index, &mut tile);
                if rim == Rim::Faded {
                    tiling.taper(&mut tile);
                }
                tiles::mirror(&tile, tiling.tile(), &mut fields);
            }
            let owners: Vec<usize> = places.iter().map(|place| place.0).collect();
            for (field, &(sample, index)) in f(&fields, &owners)?.chunks_exact(grid).zip(places) {
                let tile = tiles::unmirror(field, tiling.tile());
                tiling.blend(&tile, index, &mut results[sample * cells..][..cells]);
            }
        }
        Ok(results)
    }
}

/// The λ at which an increasing function reaches `target`, or the nearest end of the range that 32 bits can
/// filter with.
fn bisect(f: impl Fn(f64) -> f64, target: f64) -> f64 {
    let (mut low, mut high) = (1e-14f64.ln(), 1e4f64.ln());
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if f(middle.exp()) < target { low = middle } else { high = middle }
    }
    (0.5 * (low + high)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(nx: usize, ny: usize, amount: f64) -> Diffusion {
        Diffusion::insulated(&Device::Cpu, DType::F64, nx, ny, amount).unwrap()
    }

    fn cosine(i: usize, mode: usize, n: usize) -> f64 {
        (std::f64::consts::PI * mode as f64 * (i as f64 + 0.5) / n as f64).cos()
    }

    #[test]
    fn cosines_decay_as_they_do_between_insulated_walls() {
        // 40 and 100 are no powers of two, 1100 takes two tiles.
        for (nx, ny, modes, tolerance) in
            [(64, 32, (3, 2), 1e-12), (40, 100, (2, 5), 1e-9), (9, 1100, (1, 40), 1e-9)]
        {
            let diffusion = cpu(nx, ny, 2.0);
            let wave = |i: usize| cosine(i / ny, modes.0, nx) * cosine(i % ny, modes.1, ny);
            let x: Vec<f64> = (0..nx * ny).map(|i| 0.5 + wave(i)).collect();
            let y = diffusion.apply(&x).unwrap();
            let rate = |mode: usize, n: usize| (std::f64::consts::PI * mode as f64 / n as f64).powi(2);
            let decay = (-2.0 * (rate(modes.0, nx) + rate(modes.1, ny))).exp();
            let worst = (0..nx * ny).map(|i| (y[i] - 0.5 - decay * wave(i)).abs()).fold(0.0, f64::max);
            assert!(worst <= tolerance, "{nx}x{ny}: {worst}");
        }
    }

    #[test]
    fn samples_do_not_mix_and_a_smooth_one_comes_back() {
        let diffusion = cpu(64, 32, 3.0);
        let first: Vec<f64> = (0..64 * 32).map(|i| 0.5 + 0.2 * cosine(i / 32, 2, 64)).collect();
        let second = vec![0.25; 64 * 32];
        let y = diffusion.apply(&[first.clone(), second].concat()).unwrap();
        assert!(y[64 * 32..].iter().all(|v| (v - 0.25).abs() < 1e-12));
        let x = diffusion.damped_inverse(&y, &[1e-9, 1e-9]).unwrap();
        let worst = first.iter().zip(&x).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{worst}");
    }

    #[test]
    fn the_discrepancy_principle_leaves_what_the_noise_is() {
        let heat = HeatEquation::new(32, 32, 2.0).unwrap();
        let periodic = Diffusion::periodic(&Device::Cpu, DType::F64, &heat);
        let smooth = |i: usize| cosine(i / 32 % 32, 2, 32) * cosine(i % 32, 4, 32);
        let y: Vec<f64> = (0..2 * 1024).map(|i| smooth(i) + ((i * i) % 101) as f64 / 2000.0).collect();
        for diffusion in [periodic, cpu(32, 32, 2.0)] {
            let lambda = diffusion.discrepancy(&y, &[0.0125, 0.1]).unwrap();
            let (misfit, _) = diffusion.misfit(&y, &diffusion.tikhonov(&y, &lambda).unwrap()).unwrap();
            assert!(
                (misfit[0] / 0.4 - 1.0).abs() < 1e-6 && (misfit[1] / 3.2 - 1.0).abs() < 1e-6,
                "{misfit:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_diffused_is_refused() {
        let message = |nx, amount| {
            Diffusion::insulated(&Device::Cpu, DType::F32, nx, 64, amount).err().unwrap().to_string()
        };
        assert!(message(64, -1.0).contains("amount -1"));
        assert!(message(0, 1.0).contains("without pixels"));
        assert!(message(5000, 1e5).contains("too far"));
    }
}
