//! The settings of a run: what `config.toml` holds.

pub mod file;
pub mod on_nan;
pub mod size;
pub mod switch;

use crate::model::{Activation, Method, Padding, Precision, Schedule, ScheduleName, Storage};
use crate::train::config::on_nan::OnNan;
use crate::train::config::size::Size;
use crate::train::config::switch::Switch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The default of `lr_decay`.
pub const LR_DECAY: f64 = 0.5;

/// The default of `lr_decay_every`.
pub const LR_DECAY_EVERY: u64 = 100;

/// Every setting of a training run, named like its flag. What a file leaves out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// The training signal.
    pub method: Method,
    /// Updates.
    pub steps: u64,
    /// Samples per step.
    pub batch: usize,
    /// Samples that go through the network at once, each such part normalised by itself; none: the whole batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Milliseconds that one submission to a GPU may take, as far as whole dispatches allow.
    pub max_dispatch_ms: u64,
    /// The grid.
    pub size: Size,
    /// Diffusivity × time in cells².
    pub amount: f64,
    /// Standard deviation of the observations' noise in a cell: drawn, or that of `observations`.
    pub noise: f64,
    /// What a residual is uncertain by relative to its norm, besides the noise.
    pub uncertainty: f64,
    /// In how many bits the physics is computed; the network always takes 32.
    pub physics: Precision,
    /// In how many bits the network's activations and their gradients are stored.
    pub activations: Storage,
    /// Adam's learning rate in the first step.
    pub lr: f64,
    /// How it changes.
    pub lr_schedule: ScheduleName,
    /// Cosine: the step from which on the learning rate is 0; none: `steps` when the run starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_cosine_steps: Option<u64>,
    /// Step: what the learning rate is multiplied by; none: [`LR_DECAY`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_decay: Option<f64>,
    /// Step: after how many steps each time; none: [`LR_DECAY_EVERY`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_decay_every: Option<u64>,
    /// What happens to steps whose losses or gradients are not finite.
    pub on_nan: OnNan,
    /// Levels of the U-Net.
    pub levels: usize,
    /// Filters of all levels, or of each from the finest to the coarsest.
    pub filters: Vec<usize>,
    /// What the network's convolutions read beyond the border.
    pub padding: Padding,
    /// The first activation of the network's double convolutions.
    pub activation: Activation,
    /// Whether batch norms follow the network's convolutions.
    pub batch_norm: Switch,
    /// Whether residual blocks take the place of the network's double convolutions.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub res_blocks: bool,
    /// Weights to start from, which have the architecture above; none: drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Fields to train on, which have the size above; none: random rectangles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Observations y to train on without their truth, which have the size above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observations: Option<PathBuf>,
    /// Whether the fields of the file are taken in a random order, a new one for every pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shuffle: bool,
    /// Steps between two checkpoints; 0: only one at the end.
    pub checkpoint_every: u64,
    /// Steps between two looks at the held-out fields; 0: none.
    pub validate_every: u64,
    /// The held-out fields, which have the size above; none: random rectangles that training never draws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_data: Option<PathBuf>,
    /// Whether the metrics are also written as JSON lines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub jsonl: bool,
    /// Where the parameter gradients of the last step go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_gradients: Option<PathBuf>,
    /// Seed of weights and data.
    pub seed: u64,
    /// `auto`, `cpu`, an adapter's number or a part of its name.
    pub device: String,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            method: Method::Sip,
            steps: 50,
            batch: 128,
            micro_batch: None,
            max_dispatch_ms: 200,
            size: Size { nx: 64, ny: 64 },
            amount: 8.0,
            noise: 0.0,
            uncertainty: 1e-6,
            physics: Precision::F32,
            activations: Storage::F32,
            lr: 1e-3,
            lr_schedule: ScheduleName::Constant,
            lr_cosine_steps: None,
            lr_decay: None,
            lr_decay_every: None,
            on_nan: OnNan::Stop,
            levels: 4,
            filters: vec![16],
            padding: Padding::Circular,
            activation: Activation::Relu,
            batch_norm: Switch::On,
            res_blocks: false,
            weights: None,
            data: None,
            observations: None,
            shuffle: false,
            checkpoint_every: 100,
            validate_every: 0,
            validation_data: None,
            jsonl: false,
            save_gradients: None,
            seed: 0,
            device: "auto".to_owned(),
        }
    }
}

impl TrainConfig {
    /// What the engines are built for.
    pub fn samples_at_once(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch)
    }

    /// Micro-batches per step.
    pub fn micro_batches(&self) -> usize {
        self.batch / self.samples_at_once()
    }

    /// These settings with everything said that would otherwise follow from the number of steps or a default: an
    /// extended run keeps its schedule.
    pub fn settled(&self) -> Self {
        let mut settled = self.clone();
        match self.lr_schedule {
            ScheduleName::Constant => {}
            ScheduleName::Cosine => _ = settled.lr_cosine_steps.get_or_insert(self.steps),
            ScheduleName::Step => {
                settled.lr_decay.get_or_insert(LR_DECAY);
                settled.lr_decay_every.get_or_insert(LR_DECAY_EVERY);
            }
        }
        settled
    }

    /// The learning rate's factors.
    ///
    /// # Errors
    /// [`Error::Usage`] for impossible values, and those of another schedule.
    pub(crate) fn schedule(&self) -> Result<Schedule> {
        let (cosine_steps, decay, every) = (self.lr_cosine_steps, self.lr_decay, self.lr_decay_every);
        for (flag, said, owner) in [
            ("lr-cosine-steps", cosine_steps.is_some(), ScheduleName::Cosine),
            ("lr-decay", decay.is_some(), ScheduleName::Step),
            ("lr-decay-every", every.is_some(), ScheduleName::Step),
        ] {
            if said && self.lr_schedule != owner {
                let message =
                    format!("{flag}: is for --lr-schedule {owner}; add that, or leave --{flag} out");
                return Err(Error::usage(message));
            }
        }
        if cosine_steps == Some(0) || every == Some(0) {
            let flag = if every == Some(0) { "lr-decay-every" } else { "lr-cosine-steps" };
            return Err(Error::usage(format!("{flag} 0: must be at least 1")));
        }
        if let Some(decay) = decay.filter(|decay| !(decay.is_finite() && *decay > 0.0)) {
            return Err(Error::usage(format!("lr-decay {decay}: must be a positive number")));
        }
        Ok(match self.lr_schedule {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Cosine => Schedule::Cosine { steps: cosine_steps.unwrap_or(self.steps) },
            ScheduleName::Step => {
                Schedule::Step { every: every.unwrap_or(LR_DECAY_EVERY), decay: decay.unwrap_or(LR_DECAY) }
            }
        })
    }

    /// Refuses what TOML cannot hold.
    pub(crate) fn check_names(&self) -> Result<()> {
        let paths =
            [&self.weights, &self.data, &self.observations, &self.validation_data, &self.save_gradients];
        if let Some(path) = paths.into_iter().flatten().find(|path| path.to_str().is_none()) {
            let path = path.display();
            return Err(Error::usage(format!(
                "{path}: the name is not UTF-8, so config.toml cannot hold it"
            )));
        }
        for (flag, value) in [
            ("seed", self.seed),
            ("steps", self.steps),
            ("checkpoint-every", self.checkpoint_every),
            ("validate-every", self.validate_every),
            ("max-dispatch-ms", self.max_dispatch_ms),
        ] {
            if i64::try_from(value).is_err() {
                return Err(Error::usage(format!(
                    "{flag} {value}: must be below 2^63, or config.toml cannot hold it"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_possible_and_survives_toml() {
        let config = TrainConfig::default();
        config.plan().unwrap();
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains("size = \"64x64\"") && text.contains("method = \"sip\""), "{text}");
        assert!(text.contains("physics = \"f32\"") && text.contains("activations = \"f32\""), "{text}");
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config);
        assert!(toml::from_str::<TrainConfig>(&format!("{text}\nstep = 3")).is_err());
    }

    #[test]
    fn impossible_values_are_named() {
        fn complain(change: impl Fn(&mut TrainConfig)) -> String {
            let mut config = TrainConfig::default();
            change(&mut config);
            config.plan().err().map(|e| e.to_string()).unwrap_or_default()
        }
        assert!(complain(|c| c.steps = 0).contains("steps 0"));
        assert!(complain(|c| c.lr = f64::NAN).contains("lr NaN"));
        assert!(complain(|c| c.lr = -1.0).contains("lr -1"));
        assert!(complain(|c| c.noise = -1.0).contains("noise -1"));
        assert!(complain(|c| c.uncertainty = 0.0).contains("uncertainty 0"));
        assert!(complain(|c| c.batch = 0).contains("batch 0"));
        assert!(complain(|c| c.micro_batch = Some(0)).contains("micro-batch 0"));
        assert!(complain(|c| c.micro_batch = Some(48)).contains("such as 32"));
        assert!(complain(|c| c.max_dispatch_ms = 0).contains("max-dispatch-ms 0"));
        assert!(complain(|c| c.size.nx = 60).contains("32 or 64"));
        assert!(complain(|c| c.levels = 9).contains("levels 9"));
        assert!(complain(|c| c.validation_data = Some("v.npy".into())).contains("--validate-every N"));
        assert!(complain(|c| c.seed = 1 << 63).contains("2^63"));
        assert!(complain(|c| c.lr_decay = Some(0.1)).contains("add that"));
        assert!(complain(|c| c.lr_cosine_steps = Some(10)).contains("--lr-schedule cosine"));
        let step = |c: &mut TrainConfig, decay, every| {
            c.lr_schedule = ScheduleName::Step;
            (c.lr_decay, c.lr_decay_every) = (Some(decay), Some(every));
        };
        assert!(complain(move |c| step(c, -1.0, 1)).contains("lr-decay -1"));
        assert!(complain(move |c| step(c, 0.1, 0)).contains("lr-decay-every 0"));
    }

    #[test]
    fn an_extended_run_keeps_its_schedule() {
        for lr_schedule in [ScheduleName::Constant, ScheduleName::Cosine, ScheduleName::Step] {
            let config = TrainConfig { lr_schedule, ..TrainConfig::default() };
            let extended = TrainConfig { steps: 2 * config.steps, ..config.settled() };
            assert_eq!(extended.schedule().unwrap(), config.schedule().unwrap());
            assert_eq!(extended.settled(), extended);
        }
    }
}
