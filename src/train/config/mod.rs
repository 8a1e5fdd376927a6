//! The settings of a run: what `config.toml` holds.

pub mod file;
pub mod on_nan;
pub mod paths;
pub mod size;
mod spec;

use crate::io::point_spread;
use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::operator::formula::Formula;
use crate::model::settings::{Range, settings};
use crate::model::unet::LEVELS;
use crate::model::units::{Diffusivity, Extent, Physical, PixelSize, Time};
use crate::model::{DType, Method, Schedule, ScheduleName, UNetConfig};
use crate::train::config::on_nan::OnNan;
use crate::train::config::size::Size;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The whole path of a file that is named in the working directory.
///
/// # Errors
/// [`Error::Io`] where the working directory is gone.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io(path, "cannot find its folder"))
}

/// The default of `lr_decay`.
pub const LR_DECAY: f64 = 0.5;

/// The default of `lr_decay_every`.
pub const LR_DECAY_EVERY: u64 = 100;

settings! {
    /// Every setting of a training run, named like its flag. What a file leaves out has its default
    /// ([`file::config`]).
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[cfg_attr(feature = "cli", derive(clap::Args), group(skip))]
    pub struct TrainConfig {
        /// Training signal: sip (scale-invariant physics update), gd (plain gradient through the simulator)
        /// or supervised (distance to the truth, no physics).
        #[cfg_attr(feature = "cli", arg(long))]
        pub method: Method = Method::Sip;
        /// Number of updates.
        #[cfg_attr(feature = "cli", arg(long))]
        pub steps: u64 = 50, in Range::AtLeast(1);
        /// Samples per step.
        #[cfg_attr(feature = "cli", arg(long))]
        pub batch: usize = 128;
        /// Send the batch through the network in parts of N samples, and add up their gradients before the
        /// update: less memory, for any batch. Batch norm then takes the statistics of each part, so the
        /// network is another one; --sync-batch-norm takes those of all parts.
        #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub micro_batch: Option<usize> = None;
        /// Normalise the parts of --micro-batch together, by the statistics of all of them: the network is
        /// then that of the whole batch. It takes the memory of the whole batch, or of a process's share of
        /// it where several train together.
        #[cfg_attr(feature = "cli", arg(long))]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub sync_batch_norm: bool = false;
        /// Give a GPU its work in pieces that take at most about this long (ms), as far as single dispatches
        /// allow: drivers take a device for hung that is busy for seconds. The speed is measured in the first
        /// steps; results stay the same bit for bit. Software adapters get whole steps.
        #[cfg_attr(feature = "cli", arg(long, value_name = "MS"))]
        pub max_dispatch_ms: u64 = 200, in Range::AtLeast(1);
        /// Cells along x and y, powers of two from 8 to 2048.
        #[cfg_attr(feature = "cli", arg(long))]
        pub size: Size = Size { nx: 64, ny: 64 };
        /// Diffusion to undo: diffusivity × time, in cells²; 8x2 along x and along y.
        #[cfg_attr(feature = "cli", arg(long, value_name = "A|AXxAY"))]
        pub amount: Amounts = Amounts([8.0; 2]);
        /// In place of --amount: how fast heat spreads, such as 110mm2/s; a bare number is in m²/s. It needs
        /// --time and --pixel.
        #[cfg_attr(feature = "cli", arg(long, value_name = "M2/S", conflicts_with = "amount",
            requires = "time", requires = "pixel"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub diffusivity: Option<Diffusivity> = None;
        /// For how long heat spreads, such as 40ms; a bare number is in seconds.
        #[cfg_attr(feature = "cli", arg(long, value_name = "S", requires = "diffusivity"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub time: Option<Time> = None;
        /// The sides of a cell, such as 0.3mm, or 0.3x0.25mm along x and y; a bare number is in metres. Alone
        /// it labels the axes of pictures.
        #[cfg_attr(feature = "cli", arg(long, value_name = "M"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pixel: Option<PixelSize> = None;
        /// What observes the fields instead of heat conduction: factors joined by +, of heat (by --amount),
        /// heat:AMOUNT, heat:AXxAY, gaussian:SIGMA, disk:RADIUS, motion:LENGTH,DEGREES, advection:X,Y,
        /// poisson, helmholtz:KAPPA and psf:FILE, with lengths in cells (docs/operators.md).
        #[cfg_attr(feature = "cli", arg(long, value_name = "NAME[:PARAMETERS]"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub operator: Option<Formula> = None;
        /// Standard deviation of the noise in every cell of the observations, in units of the field: what is
        /// added to them, or what --observations has already.
        #[cfg_attr(feature = "cli", arg(long, value_name = "SIGMA"))]
        pub noise: f64 = 0.0;
        /// Show the network the Tikhonov inverse of every observation in the place of the observation, which
        /// multiplies waves of which the operator leaves K with K·(1 + λ²)/(K² + λ²): long trainings end
        /// better. λ, from 1e-8 to 1, is about 5 times the noise of fields between 0 and 1, and 3e-5 without
        /// noise (docs/network.md).
        #[cfg_attr(feature = "cli", arg(long, value_name = "LAMBDA"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tikhonov: Option<f64> = None;
        /// What SIP takes a residual to be uncertain by, relative to its norm, besides the noise.
        #[cfg_attr(feature = "cli", arg(long, value_name = "EPSILON"))]
        pub uncertainty: f64 = 1e-6, in Range::Positive;
        /// Compute the physics in 32 or 64 bits; f64 is what the reference does, f32 is as good
        /// (docs/numerics.md).
        #[cfg_attr(feature = "cli", arg(long, value_parser = DType::physics_parser()))]
        pub physics: DType = DType::F32;
        /// Store activations and their gradients in 32 or 16 bits; f16 takes half the memory and traffic, on
        /// GPUs with 16-bit floats in shaders (docs/numerics.md).
        #[cfg_attr(feature = "cli", arg(long, value_parser = DType::activations_parser()))]
        pub activations: DType = DType::F32;
        /// Learning rate of Adam in the first step.
        #[cfg_attr(feature = "cli", arg(long))]
        pub lr: f64 = 1e-3, in Range::Positive;
        /// Factor of the learning rate in step s = 0, 1, …: 1; ½·(1 + cos(π·s/T)), from step T on 0; or
        /// D^⌊s/N⌋.
        #[cfg_attr(feature = "cli", arg(long))]
        pub lr_schedule: ScheduleName = ScheduleName::Constant;
        /// T of the cosine schedule [default: --steps, when the run starts].
        #[cfg_attr(feature = "cli", arg(long, value_name = "T"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lr_cosine_steps: Option<u64> = None, in Range::AtLeast(1);
        /// D of the step schedule; none: [`LR_DECAY`].
        #[cfg_attr(feature = "cli", arg(long, value_name = "D",
            help = format!("D of the step schedule [default: {LR_DECAY}]")))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lr_decay: Option<f64> = None, in Range::Positive;
        /// N of the step schedule; none: [`LR_DECAY_EVERY`].
        #[cfg_attr(feature = "cli", arg(long, value_name = "N",
            help = format!("N of the step schedule [default: {LR_DECAY_EVERY}]")))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub lr_decay_every: Option<u64> = None, in Range::AtLeast(1);
        /// What happens to a step whose loss or gradient is not finite: stop ends training with the weights
        /// of the last good step; skip leaves that step out and counts it (its loss_mean is NaN), and ends
        /// after 100 in a row.
        #[cfg_attr(feature = "cli", arg(long))]
        pub on_nan: OnNan = OnNan::Stop;
        /// Levels of the U-Net.
        #[cfg_attr(feature = "cli", arg(long))]
        pub levels: usize = 4, in LEVELS;
        /// The network's other choices. A single number in its `filters` is meant for all levels.
        #[cfg_attr(feature = "cli", command(flatten))]
        #[serde(flatten)]
        pub net: UNetConfig = UNetConfig { filters: vec![16], ..UNetConfig::default() };
        /// Start from these weights, unheat's or PyTorch's, instead of drawing them: the defaults of
        /// --levels, --filters, --padding, --activation, --batch-norm, --res-blocks and --tikhonov are then
        /// theirs; Adam starts afresh.
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE.safetensors"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub weights: Option<PathBuf> = None;
        /// Train on these fields, [count, x, y] or [x, y], in order and again from the start at the end,
        /// instead of random rectangles: the default of --size is then theirs. Or on random pieces of a
        /// picture or a folder of them (PNG, JPEG, TIFF, GIF, WebP, BMP), every colour by itself, mirrored at
        /// random.
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE.npy|FOLDER"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub data: Option<PathBuf> = None;
        /// Train on these observations, [count, x, y] or [x, y], whose truth nobody knows: the heat equation
        /// alone is the teacher. Say with --noise how noisy they are; rounding is allowed for. Pictures must
        /// be as large as --size.
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE.npy|FOLDER", conflicts_with = "data"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub observations: Option<PathBuf> = None;
        /// Take the fields of --data or --observations in a random order, a new one for every pass.
        #[cfg_attr(feature = "cli", arg(long))]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub shuffle: bool = false;
        /// Stop before the first step where a member of a folder of pictures cannot be used. Otherwise it is
        /// left out, a line says why, and the exit code is 4.
        #[cfg_attr(feature = "cli", arg(long))]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub strict: bool = false;
        /// Write a checkpoint every N steps, to go on from with --resume; 0: only at the start and at the
        /// end, and on Ctrl-C.
        #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
        pub checkpoint_every: u64 = 100;
        /// Every N steps, try the network on held-out fields with its running statistics (validation.csv),
        /// and keep the best weights (weights.best.safetensors); 0: never. Training is the same bit for bit.
        #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
        pub validate_every: u64 = 0;
        /// The held-out fields, or pictures to cut as many as a batch out of [default: as many random
        /// rectangles as a batch, which training never draws].
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE.npy"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub validation_data: Option<PathBuf> = None;
        /// Also write the metrics as JSON lines, metrics.jsonl: an object per step, with the columns of
        /// metrics.csv.
        #[cfg_attr(feature = "cli", arg(long))]
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub jsonl: bool = false;
        /// Also write the parameter gradients of the last step, named like the parameters.
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE.safetensors"))]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub save_gradients: Option<PathBuf> = None;
        /// Seed of the initial weights, the rectangles and the shuffling.
        #[cfg_attr(feature = "cli", arg(long))]
        pub seed: u64 = 0;
        /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name with a letter.
        #[cfg_attr(feature = "cli", arg(long, value_name = "auto|cpu|INDEX|NAME"))]
        pub device: String = "auto".to_owned();
    }
}

impl TrainConfig {
    /// The settings that name files.
    pub const FILES: [&str; 6] =
        ["weights", "data", "observations", "validation_data", "save_gradients", "operator"];

    /// Every file that a setting names.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let [weights, data, observations, validation_data, save_gradients, operator] = Self::FILES;
        let one = [
            (weights, &self.weights),
            (data, &self.data),
            (observations, &self.observations),
            (validation_data, &self.validation_data),
            (save_gradients, &self.save_gradients),
        ];
        let one = one.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?)));
        one.chain(self.operator.iter().flat_map(Formula::files).map(move |path| (operator, path)))
    }

    /// These settings with the whole path of every file, for a file that is read in whatever folder.
    ///
    /// # Errors
    /// [`Error::Io`] where the working directory is gone.
    pub fn located(&self) -> Result<Self> {
        let mut located = self.clone();
        for path in [
            &mut located.weights,
            &mut located.data,
            &mut located.observations,
            &mut located.validation_data,
            &mut located.save_gradients,
        ] {
            *path = path.as_deref().map(absolute).transpose()?;
        }
        located.operator = self.operator.as_ref().map(|operator| operator.renamed(absolute)).transpose()?;
        Ok(located)
    }

    /// What the operator is made of.
    ///
    /// # Errors
    /// [`Error::Usage`] for amounts out of range; those of reading a point spread function.
    pub fn factors(&self) -> Result<Vec<Factor>> {
        let heat = Formula::heat();
        let is_told = self.diffusivity.is_some() || self.amount != Self::default().amount;
        if let Some(operator) = self.operator.as_ref().filter(|operator| is_told && !operator.needs_amount())
        {
            return Err(Error::usage(format!(
                "amount: is for heat without a number, which {operator} has not; leave the amount out"
            )));
        }
        let amounts = self.physical()?.map_or(self.amount, |physical| Amounts(physical.amounts()));
        point_spread::factors(self.operator.as_ref().unwrap_or(&heat), amounts)
    }

    /// What observes the fields, in a few words: "amount 8", or "disk:3".
    pub fn observed(&self) -> String {
        match (&self.operator, self.diffusivity, self.time) {
            (Some(operator), ..) => operator.to_string(),
            (None, Some(diffusivity), Some(time)) => format!("{time} at {diffusivity}"),
            (None, ..) => format!("amount {}", self.amount),
        }
    }

    /// What is told of the diffusion in metres and seconds.
    ///
    /// # Errors
    /// [`Error::Usage`] where something is missing, or nobody tells how large a cell is.
    pub fn physical(&self) -> Result<Option<Physical>> {
        if self.pixel == Some(PixelSize::Auto) {
            return Err(Error::usage("pixel auto: no file of a training tells it; give a length"));
        }
        Physical::of(self.diffusivity, self.time, self.pixel.and_then(PixelSize::given))
    }

    /// How large a field is, where that is told.
    pub fn extent(&self) -> Option<Extent> {
        let Size { nx, ny } = self.size;
        Some(Extent::of([nx, ny], self.pixel?.given()?))
    }

    /// What the engines are built for.
    pub fn samples_at_once(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch)
    }

    /// Micro-batches per step.
    pub fn micro_batches(&self) -> usize {
        self.batch / self.samples_at_once()
    }

    /// These settings with everything said that would otherwise follow from the number of steps or a default:
    /// an extended run keeps its schedule.
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
        Ok(match self.lr_schedule {
            ScheduleName::Constant => Schedule::Constant,
            ScheduleName::Cosine => Schedule::Cosine { steps: cosine_steps.unwrap_or(self.steps) },
            ScheduleName::Step => {
                Schedule::Step { every: every.unwrap_or(LR_DECAY_EVERY), decay: decay.unwrap_or(LR_DECAY) }
            }
        })
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
        assert!(complain(|c| c.tikhonov = Some(0.0)).contains("tikhonov 0"));
        assert!(complain(|c| c.tikhonov = Some(1e-300)).contains("from 1e-8 to 1"));
        assert!(complain(|c| c.batch = 0).contains("batch 0"));
        assert!(complain(|c| (c.batch, c.micro_batch) = (0, Some(4))).contains("batch 0"));
        assert!(complain(|c| c.micro_batch = Some(0)).contains("micro-batch 0"));
        assert!(complain(|c| c.micro_batch = Some(48)).contains("such as 32"));
        assert!(
            complain(|c| (c.sync_batch_norm, c.net.batch_norm) = (true, false)).contains("no batch norm")
        );
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

    #[test]
    fn a_number_type_must_suit_its_setting() {
        let physics = TrainConfig { physics: DType::F16, ..TrainConfig::default() };
        let activations = TrainConfig { activations: DType::F64, ..TrainConfig::default() };
        for (config, expected) in [
            (physics, "physics f16: must be f32 or f64"),
            (activations, "activations f64: must be f32 or f16"),
        ] {
            assert_eq!(config.plan().err().unwrap().to_string(), expected);
        }
    }
}
