//! How good the network is on fields that training never sees, and the best weights so far.

use crate::Result;
use crate::cpu::heat::shown::shown;
use crate::engine::device::Device;
use crate::engine::operators::diffuse;
use crate::engine::predictor::{Norm, Trained, predict};
use crate::io::arrays::weights;
use crate::io::tables::validation::{ValidationFile, ValidationRow};
use crate::model::unet::init::State;
use crate::model::{DType, Operator, TrainedFor, UNet};
use crate::train::config::TrainConfig;
use crate::train::plan::Plan;
use std::path::{Path, PathBuf};

/// The held-out fields of a run and what was found. It has a network of its own: training does not notice it.
pub(crate) struct Validation {
    device: Device,
    net: UNet,
    trained_for: TrainedFor,
    operator: Operator,
    batch: usize,
    every: u64,
    /// x*, `[count, nx, ny]`.
    truth: Vec<f64>,
    /// y* = P(x*) + n.
    observation: Vec<f32>,
    /// What the network is shown of it.
    shown: Vec<f32>,
    file: ValidationFile,
    /// Updates that the network had when it was tried last.
    looked: u64,
    best: f64,
    best_path: PathBuf,
}

impl Validation {
    /// Goes on after `done` steps, as `config` says; none where it does not ask for validation.
    pub(crate) fn resume(
        folder: &Path,
        done: u64,
        config: &TrainConfig,
        plan: &Plan,
        trained_for: TrainedFor,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(held_out) = &plan.held_out else { return Ok(None) };
        let every = config.validate_every;
        let observation = held_out.observation(&plan.step.operator);
        let (file, rows) = ValidationFile::resume(&folder.join("validation.csv"), done, every)?;
        Ok(Some(Self {
            device: device.clone(),
            net: plan.step.net.clone(),
            trained_for,
            operator: plan.step.operator.clone(),
            batch: config.samples_at_once(),
            every,
            truth: held_out.truth.clone(),
            shown: shown(&plan.step.operator, plan.step.tikhonov, &observation),
            observation,
            file,
            looked: done,
            best: rows.iter().map(|row| row.x_l2_mean).fold(f64::INFINITY, f64::min),
            best_path: folder.join("weights.best.safetensors"),
        }))
    }

    /// Whether to look after `done` steps.
    pub(crate) fn is_due(&self, done: u64) -> bool {
        done > self.looked && done.is_multiple_of(self.every)
    }

    /// Goes on on another device.
    pub(crate) fn move_to(&mut self, device: &Device) {
        self.device = device.clone();
    }

    /// Tries the network in eval mode as it is after `done` steps; writes a row, and the weights if they are
    /// the best.
    pub(crate) fn look(&mut self, done: u64, state: &State) -> Result<ValidationRow> {
        let Operator { nx, ny, .. } = self.operator;
        let trained = Trained { net: &self.net, state, norm: Norm::Running };
        let prediction = predict(&self.device, trained, self.batch, &self.shown, nx, ny)?;
        let error: Vec<f64> = self.truth.iter().zip(&prediction).map(|(t, &p)| t - f64::from(p)).collect();
        let prediction: Vec<f64> = prediction.into_iter().map(f64::from).collect();
        let seen = diffuse(&Device::Cpu, DType::F64, &self.operator, &prediction)?;
        let residual: Vec<f64> = self.observation.iter().zip(seen).map(|(&y, p)| f64::from(y) - p).collect();
        let count = (self.truth.len() / self.operator.cells()) as f64;
        let half_energy = |values: &[f64]| 0.5 * values.iter().map(|v| v * v).sum::<f64>() / count;
        let row =
            ValidationRow { step: done, x_l2_mean: half_energy(&error), y_l2_mean: half_energy(&residual) };
        if row.x_l2_mean < self.best {
            self.best = row.x_l2_mean;
            weights::write(&self.best_path, &self.net, state, Some(&self.trained_for))?;
        }
        self.file.append(&row)?;
        self.looked = done;
        Ok(row)
    }

    /// Returns when every row is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}
