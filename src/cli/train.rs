//! `unheat train`.

use super::Outcome;
use super::progress::Display;
use super::say::{note, say};
use super::settings::Settings;
use super::tune::Tuning;
use crate::Result;
use crate::io::{npy, weights};
use crate::train::{Compute, DeviceChoice, Size, TrainConfig, train};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    tuning: Tuning,
    /// Number of updates
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    steps: u64,
    /// Diffusion to undo: diffusivity × time, in cells²
    #[arg(long, default_value_t = TrainConfig::default().amount, allow_negative_numbers = true)]
    amount: f64,
    /// Learning rate of Adam
    #[arg(long, default_value_t = TrainConfig::default().lr, allow_negative_numbers = true)]
    lr: f64,
    /// Start from these weights, unheat's or PyTorch's, instead of drawing them: the defaults of --levels,
    /// --filters and --padding are then theirs; Adam starts afresh
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
    /// Train on these fields, [count, x, y] or [x, y], in order and again from the start at the end, instead of
    /// random rectangles: the default of --size is then theirs
    #[arg(long, value_name = "FILE.npy")]
    data: Option<PathBuf>,
    /// Take the fields of --data in a random order, a new one for every pass
    #[arg(long)]
    shuffle: bool,
    /// Also write the parameter gradients of the last step, named like the parameters
    #[arg(long, value_name = "FILE.safetensors")]
    save_gradients: Option<PathBuf>,
    /// Seed of the initial weights, the rectangles and the shuffling
    #[arg(long, default_value_t = TrainConfig::default().seed)]
    seed: u64,
    /// Folder for the results; it must not exist [default: a new one in runs/]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Arguments {
    /// What is not said comes from the files, or is the default.
    fn config(&self) -> Result<TrainConfig> {
        let mut defaults = TrainConfig {
            steps: self.steps,
            amount: self.amount,
            lr: self.lr,
            weights: self.weights.clone(),
            data: self.data.clone(),
            shuffle: self.shuffle,
            save_gradients: self.save_gradients.clone(),
            seed: self.seed,
            ..TrainConfig::default()
        };
        if let Some(path) = &self.weights {
            let architecture = weights::read(path)?.0.config;
            defaults.levels = architecture.levels();
            defaults.filters = architecture.filters;
            defaults.padding = architecture.padding;
        }
        if let (Some(path), None) = (&self.data, self.settings.size) {
            let [_, nx, ny] = npy::shape(path)?;
            defaults.size = Size { nx, ny };
        }
        Ok(self.settings.config(defaults))
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let config = arguments.config()?;
    let plan = config.plan()?; // impossible settings are refused before any device is opened
    let Ok(choice) = config.device.parse::<DeviceChoice>();
    let compute = Compute::open(&choice)?;
    if let (Compute::Cpu, DeviceChoice::Auto) = (&compute, &choice) {
        note!(
            "no GPU found: training on the {} (to run the shaders in software: --device llvmpipe)",
            compute.describe()
        );
    } else {
        note!("training on {}", compute.describe());
    }
    arguments.tuning.find(&compute, &config, &plan)?;
    let mut display = Display::new(config.steps);
    let outcome = train(&config, plan, &compute, arguments.output.as_deref(), &mut display);
    display.finish();
    let outcome = outcome?;
    say!("x loss of the last step: {}", outcome.x_l2);
    say!(
        "{} steps in {:.1} s; weights, metrics and pictures are in {}",
        config.steps,
        outcome.seconds,
        outcome.folder.display()
    );
    Ok(ExitCode::SUCCESS)
}
