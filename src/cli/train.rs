//! `unheat train`.

use super::Outcome;
use super::progress::Display;
use super::say::{note, say};
use crate::Result;
use crate::io::{npy, weights};
use crate::model::{Method, Padding, Precision, UNetConfig};
use crate::train::{Compute, DeviceChoice, Size, TrainConfig, train};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// Training signal: sip (scale-invariant physics update) or gd (plain gradient through the simulator)
    #[arg(long, value_enum, default_value_t = MethodName::Sip)]
    method: MethodName,
    /// Number of updates
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    steps: u64,
    /// Samples per step
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Cells along x and y, powers of two from 8 to 2048 [default: 64x64, or that of the data]
    #[arg(long)]
    size: Option<Size>,
    /// Diffusion to undo: diffusivity × time, in cells²
    #[arg(long, default_value_t = TrainConfig::default().amount, allow_negative_numbers = true)]
    amount: f64,
    /// Compute the physics in 32 or 64 bits; f64 is what the reference does, f32 is as good (docs/numerics.md)
    #[arg(long, default_value_t = TrainConfig::default().physics, value_name = "f32|f64")]
    physics: Precision,
    /// Learning rate of Adam
    #[arg(long, default_value_t = TrainConfig::default().lr, allow_negative_numbers = true)]
    lr: f64,
    /// Levels of the U-Net, 1 to 6 [default: 4, or those of the weights]
    #[arg(long)]
    levels: Option<usize>,
    /// Filters of all levels, or a list from the finest to the coarsest such as 16,32,48,64 (multiples of 8)
    /// [default: 16, or those of the weights]
    #[arg(long, value_delimiter = ',')]
    filters: Option<Vec<usize>>,
    /// What convolutions read beyond the border: circular (PhiFlow 2) or zero (PhiFlow 3) [default: circular, or
    /// that of the weights]
    #[arg(long, value_enum)]
    padding: Option<PaddingName>,
    /// Start from these weights, unheat's or PyTorch's, instead of drawing them; Adam starts afresh
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
    /// Train on these fields, [count, x, y] or [x, y], in order and again from the start at the end, instead of
    /// random rectangles
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
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value_t = TrainConfig::default().device, value_name = "auto|cpu|INDEX|NAME")]
    device: String,
    /// Folder for the results; it must not exist [default: a new one in runs/]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum MethodName {
    Sip,
    Gd,
}

#[derive(Clone, Copy, ValueEnum)]
enum PaddingName {
    Circular,
    Zero,
}

impl Arguments {
    /// What is not said comes from the files, or is the default.
    fn config(&self) -> Result<TrainConfig> {
        let architecture = match &self.weights {
            Some(path) => weights::read(path)?.0.config,
            None => UNetConfig::default(),
        };
        let size = match (self.size, &self.data) {
            (Some(size), _) => size,
            (None, Some(path)) => {
                let [_, nx, ny] = npy::shape(path)?;
                Size { nx, ny }
            }
            (None, None) => TrainConfig::default().size,
        };
        let filters = match (&self.filters, &self.weights) {
            (Some(filters), _) => filters.clone(),
            (None, Some(_)) => architecture.filters.clone(),
            (None, None) => TrainConfig::default().filters,
        };
        Ok(TrainConfig {
            method: match self.method {
                MethodName::Sip => Method::Sip,
                MethodName::Gd => Method::Gd,
            },
            steps: self.steps,
            batch: self.batch,
            size,
            amount: self.amount,
            physics: self.physics,
            lr: self.lr,
            levels: self.levels.unwrap_or(architecture.levels()),
            filters,
            padding: match self.padding {
                Some(PaddingName::Circular) => Padding::Circular,
                Some(PaddingName::Zero) => Padding::Zero,
                None => architecture.padding,
            },
            weights: self.weights.clone(),
            data: self.data.clone(),
            shuffle: self.shuffle,
            save_gradients: self.save_gradients.clone(),
            seed: self.seed,
            device: self.device.clone(),
        })
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
