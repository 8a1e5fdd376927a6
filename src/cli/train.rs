//! `unheat train`.

use super::Outcome;
use super::progress::Display;
use crate::model::{Method, Precision};
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
    #[arg(long, default_value_t = 50)]
    steps: u64,
    /// Samples per step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Cells along x and y, powers of two from 8 to 2048
    #[arg(long, default_value = "64x64")]
    size: Size,
    /// Diffusion to undo: diffusivity × time, in cells²
    #[arg(long, default_value_t = 8.0, allow_negative_numbers = true)]
    amount: f64,
    /// Compute the physics in 32 or 64 bits; f64 is what the reference does, f32 is as good (docs/numerics.md)
    #[arg(long, default_value_t = Precision::F32, value_name = "f32|f64")]
    physics: Precision,
    /// Learning rate of Adam
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    lr: f64,
    /// Levels of the U-Net, 1 to 6
    #[arg(long, default_value_t = 4)]
    levels: usize,
    /// Filters of all levels, or a list from the finest to the coarsest such as 16,32,48,64 (multiples of 8)
    #[arg(long, value_delimiter = ',', default_value = "16")]
    filters: Vec<usize>,
    /// Seed of the initial weights and of the data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
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

impl Arguments {
    fn config(&self) -> TrainConfig {
        TrainConfig {
            method: match self.method {
                MethodName::Sip => Method::Sip,
                MethodName::Gd => Method::Gd,
            },
            steps: self.steps,
            batch: self.batch,
            size: self.size,
            amount: self.amount,
            physics: self.physics,
            lr: self.lr,
            levels: self.levels,
            filters: self.filters.clone(),
            seed: self.seed,
            device: self.device.clone(),
        }
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let config = arguments.config();
    config.plan()?; // impossible settings are refused before any device is opened
    let Ok(choice) = config.device.parse::<DeviceChoice>();
    let compute = Compute::open(&choice)?;
    if let (Compute::Cpu, DeviceChoice::Auto) = (&compute, &choice) {
        eprintln!(
            "no GPU found: training on the {} (to run the shaders in software: --device llvmpipe)",
            compute.describe()
        );
    } else {
        eprintln!("training on {}", compute.describe());
    }
    let mut display = Display::new(config.steps);
    let outcome = train(&config, &compute, arguments.output.as_deref(), &mut display);
    display.finish();
    let outcome = outcome?;
    println!("x loss of the last step: {}", outcome.x_l2);
    println!(
        "{} steps in {:.1} s; weights, metrics and pictures are in {}",
        config.steps,
        outcome.seconds,
        outcome.folder.display()
    );
    Ok(ExitCode::SUCCESS)
}
