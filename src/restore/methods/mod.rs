//! Classical restoration, without a network, for a known operator with the factors H.
//!
//! | method | what it does |
//! |---|---|
//! | the observation | nothing: x = y, which every method has to beat |
//! | one-shot | the damped inverse of y (method §3) |
//! | iterated | x += damped inverse of y - P(x), again and again |
//! | Tikhonov | X = H̄·Y/(|H|² + λ), with one λ for all waves |
//! | Wiener | X = S·H̄·Y/(S·|H|² + σ²), with the signal's power S from the observation |
//! | Richardson-Lucy | x *= Pᵀ(y/P(x)), for nonnegative fields |
//! | total variation | min ½‖y - P(x)‖² + μ·Σ|∇x|, for fields with edges |
//! | automatic | total variation, Wiener or a mean of both, by the data |
//!
//! Every sample is restored by itself. Its mean is taken out and its largest deviation made 1 to 2 before, so
//! that no method depends on the unit or the zero of the values.

mod automatic;
mod damped;
mod richardson_lucy;
mod tikhonov;
mod total_variation;
mod wiener;

use crate::model::noise;
use crate::model::operator::factor::Factor;
use crate::restore::Blur;
use crate::restore::measurement::spectrum::Analyser;
use crate::restore::measurement::unit::Unit;
use crate::restore::measurement::{NoiseLevel, Spectrum};
use crate::restore::outcome::uncertainty::Expected;
use crate::{Error, Result};
use rayon::prelude::*;
pub use total_variation::{Gradient, TotalVariation};

pub(in crate::restore) use damped::damped_inverse;

/// A method with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Classic {
    /// y itself.
    Observation,
    /// One damped inverse. It takes a wave of more than 38.6 times the expected amplitude for impossible and
    /// damps it (method §3); the iterated inverse gets it back.
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
    /// Wiener's filter, for signals whose power falls with the wavenumber as the observation's does.
    Wiener,
    /// Richardson-Lucy, from the mean of y.
    RichardsonLucy {
        /// How many iterations.
        iterations: usize,
    },
    /// Total variation.
    TotalVariation(TotalVariation),
    /// What suits the data.
    Automatic,
}

/// Restored samples, `[batch, nx, ny]`, and what was found on the way.
pub struct Restored {
    /// x.
    pub x: Vec<f64>,
    /// One for each sample.
    pub samples: Vec<Sample>,
}

/// What was found out about one sample.
pub struct Sample {
    /// Its spectrum and noise, in units of the field.
    pub spectrum: Spectrum,
    /// What was done, where the method chose: "total variation", "Wiener", ...
    pub chosen: Option<String>,
    /// What cannot be right about it, in words.
    pub warning: Option<String>,
    /// What a linear method expects of the signal, from which [`deviations`] follow.
    ///
    /// [`deviations`]: crate::restore::outcome::uncertainty::deviations
    pub expected: Option<Expected>,
}

/// What a method made of one sample.
pub(in crate::restore) struct Outcome {
    x: Vec<f64>,
    chosen: Option<String>,
    warning: Option<String>,
    expected: Option<Expected>,
}

impl From<Vec<f64>> for Outcome {
    fn from(x: Vec<f64>) -> Self {
        Self { x, chosen: None, warning: None, expected: None }
    }
}

impl Classic {
    /// Default iterations of the iterated inverse.
    pub const ITERATIONS: usize = 10;
    /// Default iterations of Richardson-Lucy.
    pub const RICHARDSON_LUCY: usize = 200;

    /// All methods with their usual settings.
    pub const ALL: [Self; 8] = [
        Self::Observation,
        Self::OneShot,
        Self::Iterated { iterations: Self::ITERATIONS },
        Self::Tikhonov { lambda: None },
        Self::Wiener,
        Self::RichardsonLucy { iterations: Self::RICHARDSON_LUCY },
        Self::TotalVariation(TotalVariation::USUAL),
        Self::Automatic,
    ];

    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::OneShot => "one-shot inverse",
            Self::Iterated { .. } => "iterated inverse",
            Self::Tikhonov { .. } => "Tikhonov",
            Self::Wiener => "Wiener",
            Self::RichardsonLucy { .. } => "Richardson-Lucy",
            Self::TotalVariation(_) => "total variation",
            Self::Automatic => "automatic",
        }
    }

    /// Whether the method is for operators of these factors: Richardson-Lucy is for those alone that add up
    /// brightness.
    pub fn suits(&self, factors: &[Factor]) -> bool {
        !matches!(self, Self::RichardsonLucy { .. }) || factors.iter().all(Factor::is_positive)
    }

    /// Bytes of memory that restoring takes for every cell of a field at hand, about, besides observation and
    /// result: measured, and rounded up.
    pub fn memory(&self) -> u64 {
        match self {
            Self::TotalVariation(_) | Self::Automatic => 200,
            _ => 64,
        }
    }

    /// Restores observations y, `[batch, nx, ny]`, with noise of this level in their cells, whose numbers are
    /// rounded with the standard deviation `rounding`.
    ///
    /// `progress` is called after every sample.
    ///
    /// # Errors
    /// [`Error::Usage`] for a noise or λ that is negative or not finite, and for Richardson-Lucy where an
    /// operator makes negative values of positive ones; [`Error::Device`].
    pub fn restore(
        &self,
        blur: &Blur,
        noise: NoiseLevel,
        rounding: f64,
        y: &[f64],
        progress: impl Fn() + Sync,
    ) -> Result<Restored> {
        if let NoiseLevel::Told(noise) = noise {
            noise::check(noise)?;
        }
        if let Self::Tikhonov { lambda: Some(lambda) } = *self
            && !(lambda > 0.0 && lambda.is_finite())
        {
            return Err(Error::usage(format!("lambda {lambda}: must be a positive number")));
        }
        if !self.suits(blur.factors()) {
            return Err(Error::usage(
                "richardson-lucy: is for operators without negative values, such as heat or a psf that has \
                 none; use another method",
            ));
        }
        let analyser = Analyser::new(blur);
        let one = |y: &[f64]| {
            let restored = self.restore_one(blur, &analyser, noise, rounding, y);
            progress();
            restored
        };
        let samples = y.chunks_exact(blur.cells());
        let all: Vec<(Vec<f64>, Sample)> = if blur.is_parallel() {
            samples.collect::<Vec<_>>().into_par_iter().map(one).collect::<Result<_>>()?
        } else {
            samples.map(one).collect::<Result<_>>()?
        };
        let mut restored = Restored { x: Vec::with_capacity(y.len()), samples: Vec::new() };
        for (x, sample) in all {
            restored.x.extend(x);
            restored.samples.push(sample);
        }
        Ok(restored)
    }

    /// Restores one observation `[nx, ny]`, as [`Classic::restore`] does.
    pub(in crate::restore) fn restore_one(
        &self,
        blur: &Blur,
        analyser: &Analyser,
        noise: NoiseLevel,
        rounding: f64,
        y: &[f64],
    ) -> Result<(Vec<f64>, Sample)> {
        let unit = Unit::of(y);
        let mut normal = unit.normalised(y);
        let level = match noise {
            NoiseLevel::Told(noise) => NoiseLevel::Told(noise / unit.scale),
            NoiseLevel::Auto => NoiseLevel::Auto,
        };
        let spectrum = analyser.analyse(&normal, level, rounding / unit.scale);
        let outcome = match *self {
            Self::Observation => Outcome::from(std::mem::take(&mut normal)),
            Self::Tikhonov { lambda } => tikhonov::restore(blur, &normal, &spectrum, lambda)?,
            Self::Wiener => {
                let x = wiener::restore(blur, &normal, &spectrum)?;
                Outcome { expected: Some(Expected::BySpectrum), ..x.into() }
            }
            // A constant field has nothing to restore that could be sharpened.
            _ if spectrum.spread == 0.0 => Outcome::from(std::mem::take(&mut normal)),
            Self::OneShot => damped::one_shot(blur, &normal, &spectrum)?.into(),
            Self::Iterated { iterations } => damped::iterated(blur, &normal, &spectrum, iterations)?.into(),
            Self::RichardsonLucy { iterations } => {
                richardson_lucy::restore(blur, &normal, &spectrum, iterations)?.into()
            }
            Self::TotalVariation(settings) => {
                let zero = blur.mean_back() * unit.zero();
                total_variation::restore(blur, &normal, &spectrum, settings, zero)?.x.into()
            }
            Self::Automatic => automatic::restore(blur, &normal, &spectrum)?,
        };
        let Outcome { mut x, chosen, warning, expected } = outcome;
        if matches!(self, Self::Observation) {
            x.copy_from_slice(y);
        } else {
            let mean = unit.mean * blur.mean_back();
            x.iter_mut().for_each(|v| *v = *v * unit.scale + mean);
        }
        let spectrum = spectrum.in_units(unit.mean, unit.scale);
        Ok((x, Sample { spectrum, chosen, warning, expected }))
    }
}
