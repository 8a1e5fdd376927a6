//! Several methods side by side: trained on the same data from the same weights, tried on the same fields,
//! beside the classical ones that need no training.

#[cfg(feature = "pictures")]
pub mod report;

use crate::Result;
use crate::cpu::heat::shown::shown;
use crate::engine::Device;
use crate::engine::operators::diffuse;
use crate::engine::predictor::{Norm, Trained, predict};
use crate::io::arrays::weights;
use crate::model::{DType, Operator, quality};
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::methods::TotalVariation;
use crate::restore::{Blur, Classic};
use crate::train::TrainConfig;
use crate::train::data::HeldOut;
use crate::train::plan::Plan;
use crate::train::summary::Statistics;
use std::path::Path;

/// Fields that methods are tried on: as many as make the mean steady to a few per cent.
const TESTED: usize = 128;

/// Fields whose truth is known, and what is observed of them.
pub struct Trial {
    /// The physics.
    pub operator: Operator,
    /// The standard deviation of n.
    noise: f64,
    /// x*, `[count, nx, ny]`.
    pub truth: Vec<f64>,
    /// y* = P(x*) + n in 32 bits, as networks see it.
    pub observation: Vec<f32>,
    /// What they are, for a report.
    pub description: String,
}

/// What a method made of the fields of a [`Trial`].
pub struct Score {
    /// The method's name.
    pub name: String,
    /// x, `[count, nx, ny]`.
    pub restored: Vec<f64>,
    /// ½Σ(x - x*)² of every field.
    pub x_l2: Statistics,
    /// Σ|x - x*|.
    pub x_l1: Statistics,
    /// ½Σ(P(x) - y*)².
    pub y_l2: Statistics,
    /// In dB, relative to the range of each truth.
    pub psnr: Statistics,
    /// The SSIM of every field; none where fields are too small for its window.
    pub ssim: Option<Statistics>,
    /// The time of a training step, for networks.
    pub seconds_per_step: Option<f64>,
}

impl Trial {
    /// The run's validation data; else random rectangles that no training step sees; else, where a run trains
    /// on a file, the first fields of that.
    ///
    /// # Errors
    /// Those of reading files.
    pub fn new(config: &TrainConfig, plan: &mut Plan) -> Result<Self> {
        let Operator { nx, ny, .. } = plan.step.operator;
        let (held_out, description) = match (&config.validation_data, &config.data) {
            (None, Some(path)) => {
                let what = format!("the first fields of {}, which training sees too", path.display());
                (HeldOut::of(plan.data.examples(), nx, ny)?, what)
            }
            (file, _) => {
                let what = match file {
                    Some(path) => format!("the fields of {}", path.display()),
                    None => format!("{TESTED} fields of rectangles that training never sees"),
                };
                (HeldOut::new(file.as_deref(), TESTED, nx, ny, config.noise, config.strict)?, what)
            }
        };
        let held_out = held_out.seen_by(&plan.step.operator);
        let observation = held_out.observation(&plan.step.operator);
        Ok(Self {
            operator: plan.step.operator.clone(),
            noise: config.noise,
            truth: held_out.truth,
            observation,
            description,
        })
    }

    /// Tries the network in `path`, with batch statistics as in training.
    pub fn network(&self, name: &str, path: &Path, device: &Device, batch: usize) -> Result<Score> {
        let (net, state, trained_for) = weights::read_all(path)?;
        let Operator { nx, ny, .. } = self.operator;
        let trained = Trained { net: &net, state: &state, norm: Norm::Batch };
        let lambda = trained_for.and_then(|trained_for| trained_for.tikhonov);
        let input = shown(&self.operator, lambda, &self.observation);
        let restored = predict(device, trained, batch, &input, nx, ny)?;
        self.score(name, restored.into_iter().map(f64::from).collect())
    }

    /// Tries a method that needs no training. Total variation may know that no field is negative, where none
    /// is: heat is not.
    pub fn classic(&self, method: Classic, device: &Device, precision: DType) -> Result<Score> {
        let positive = self.truth.iter().all(|&x| x >= 0.0);
        let method = match method {
            Classic::TotalVariation(usual) => Classic::TotalVariation(TotalVariation { positive, ..usual }),
            other => other,
        };
        let y: Vec<f64> = self.observation.iter().map(|&y| f64::from(y)).collect();
        let blur = Blur::periodic(device, precision, &self.operator)?;
        let rounding = rounding_of_floats(&y, DType::F32);
        let restored = method.restore(&blur, NoiseLevel::Told(self.noise), rounding, &y, || {})?;
        self.score(method.name(), restored.x)
    }

    fn score(&self, name: &str, restored: Vec<f64>) -> Result<Score> {
        let Operator { nx, ny, .. } = self.operator;
        let cells = self.operator.cells();
        let over = |measure: &dyn Fn(&[f64], &[f64]) -> f64| {
            let pairs = restored.chunks_exact(cells).zip(self.truth.chunks_exact(cells));
            Statistics::of(&pairs.map(|(x, truth)| measure(x, truth)).collect::<Vec<_>>())
        };
        // A truth without contrast has no range to measure by.
        let range = |truth: &[f64]| Some(quality::range(truth)).filter(|&range| range > 0.0).unwrap_or(1.0);
        let seen = diffuse(&Device::Cpu, DType::F64, &self.operator, &restored)?;
        let misfits = seen
            .chunks_exact(cells)
            .zip(self.observation.chunks_exact(cells))
            .map(|(p, y)| 0.5 * p.iter().zip(y).map(|(p, &y)| (p - f64::from(y)).powi(2)).sum::<f64>());
        let ssim = |x: &[f64], truth: &[f64]| quality::ssim(x, truth, nx, ny, range(truth));
        let has_ssim = nx.min(ny) >= quality::WINDOW;
        Ok(Score {
            name: name.to_owned(),
            x_l2: over(&quality::l2),
            x_l1: over(&quality::l1),
            y_l2: Statistics::of(&misfits.collect::<Vec<_>>()),
            psnr: over(&|x, truth| quality::psnr(x, truth, range(truth))),
            ssim: has_ssim.then(|| over(&|x, truth| ssim(x, truth).unwrap_or(f64::NAN))),
            restored,
            seconds_per_step: None,
        })
    }
}
