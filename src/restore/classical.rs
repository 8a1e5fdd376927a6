//! Classical restoration, without a network, for known diffusion and noise.
//!
//! | method | what it does |
//! |---|---|
//! | the observation | nothing: x = y, which every method has to beat |
//! | one-shot | the damped inverse of y (method §3), σ = noise·√N |
//! | iterated | x += damped inverse of y - P(x), again and again |
//! | Tikhonov | X = K·Y/(K² + λ), which is Wiener's filter for white signals |
//! | Richardson-Lucy | x *= P(y/P(x)): diffusion is self-adjoint; for nonnegative fields |
//!
//! The noise is the standard deviation of the uncertainty in a cell of y. Rounding sets a floor to it
//! ([`Diffusion::floored`]); without that floor the iterated inverse diverges.

use crate::restore::Diffusion;
use crate::{Error, Result};

/// A method with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Classic {
    /// y itself.
    Observation,
    /// One damped inverse. It takes a mode of more than 38.6·nx for impossible and damps it (method §3),
    /// which costs fields with long strong waves a little; the iterated inverse gets them back.
    OneShot,
    /// Repeated damped inverses of the residual that is left.
    Iterated {
        /// How many, the first one included.
        iterations: usize,
    },
    /// Tikhonov's filter.
    Tikhonov {
        /// The filter's λ; `None` finds one for every sample by the discrepancy principle.
        lambda: Option<f64>,
    },
    /// Richardson-Lucy, from the mean of y.
    RichardsonLucy {
        /// How many iterations.
        iterations: usize,
    },
}

impl Classic {
    /// Default iterations of the iterated inverse.
    pub const ITERATIONS: usize = 10;
    /// Default iterations of Richardson-Lucy.
    pub const RICHARDSON_LUCY: usize = 200;

    /// The five methods with their usual settings.
    pub const ALL: [Self; 5] = [
        Self::Observation,
        Self::OneShot,
        Self::Iterated { iterations: Self::ITERATIONS },
        Self::Tikhonov { lambda: None },
        Self::RichardsonLucy { iterations: Self::RICHARDSON_LUCY },
    ];

    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::OneShot => "one-shot inverse",
            Self::Iterated { .. } => "iterated inverse",
            Self::Tikhonov { .. } => "Tikhonov",
            Self::RichardsonLucy { .. } => "Richardson-Lucy",
        }
    }

    /// Restores observations y, `[batch, nx, ny]`, whose cells have this standard deviation of noise.
    ///
    /// `progress` is called after every iteration.
    ///
    /// # Errors
    /// [`Error::Usage`] for a noise or λ that is negative or not finite; [`Error::Device`].
    pub fn restore(
        &self,
        diffusion: &Diffusion,
        noise: f64,
        y: &[f64],
        mut progress: impl FnMut(),
    ) -> Result<Vec<f64>> {
        check_noise(noise)?;
        let noise = diffusion.floored(y, noise);
        match *self {
            Self::Observation => Ok(y.to_vec()),
            Self::OneShot => diffusion.damped_inverse(y, &noise),
            Self::Iterated { iterations } => {
                let mut x = vec![0.0; y.len()];
                for _ in 0..iterations {
                    let (_, residual) = diffusion.misfit(y, &x)?;
                    add(&mut x, &diffusion.damped_inverse(&residual, &noise)?);
                    progress();
                }
                Ok(x)
            }
            Self::Tikhonov { lambda: Some(lambda) } if !(lambda > 0.0 && lambda.is_finite()) => {
                Err(Error::usage(format!("lambda {lambda}: must be a positive number")))
            }
            Self::Tikhonov { lambda: Some(lambda) } => diffusion.tikhonov(y, &vec![lambda; noise.len()]),
            Self::Tikhonov { lambda: None } => diffusion.tikhonov(y, &diffusion.discrepancy(y, &noise)?),
            Self::RichardsonLucy { iterations } => richardson_lucy(diffusion, y, iterations, progress),
        }
    }
}

/// Refuses a noise that is no standard deviation.
pub fn check_noise(noise: f64) -> Result<()> {
    if noise >= 0.0 && noise.is_finite() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "noise {noise}: the standard deviation of a cell's noise, a number from 0 (nothing but rounding)"
    )))
}

fn add(x: &mut [f64], dx: &[f64]) {
    x.iter_mut().zip(dx).for_each(|(x, dx)| *x += dx);
}

/// Negative observations are set to 0: the method is made for counts.
fn richardson_lucy(
    diffusion: &Diffusion,
    y: &[f64],
    iterations: usize,
    mut progress: impl FnMut(),
) -> Result<Vec<f64>> {
    let y: Vec<f64> = y.iter().map(|v| v.max(0.0)).collect();
    let cells = diffusion.cells();
    let mean = |y: &[f64]| y.iter().sum::<f64>() / cells as f64;
    let mut x: Vec<f64> = y.chunks_exact(cells).flat_map(|y| vec![mean(y); cells]).collect();
    for _ in 0..iterations {
        let seen = diffusion.apply(&x)?;
        // Where nothing is seen, rounding may leave P(x) at zero or below. Such cells teach nothing.
        let ratio: Vec<f64> =
            y.iter().zip(&seen).map(|(y, p)| if *p > 1e-12 { y / p } else { 1.0 }).collect();
        for (x, factor) in x.iter_mut().zip(diffusion.apply(&ratio)?) {
            *x *= factor.max(0.0);
        }
        progress();
    }
    Ok(x)
}
