//! `unheat reconstruct`.

use super::Outcome;
use super::say::say;
use super::tune::Tuning;
use crate::Error;
use crate::io::{npy, weights};
use crate::train::reconstruct::{check_size, reconstruct};
use crate::train::{Compute, DeviceChoice, Norm};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Fields at a time where it does not matter to the result.
const BATCH: usize = 64;

#[derive(Args)]
pub(super) struct Arguments {
    /// A trained network, unheat's or PyTorch's
    #[arg(long, value_name = "FILE.safetensors")]
    weights: PathBuf,
    /// Observed fields, [count, x, y] or [x, y]
    #[arg(short, long, value_name = "FILE.npy")]
    input: PathBuf,
    /// The predictions, of the input's shape and type; replaced if it exists
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Statistics of the batch norm: of the batch, as in training, or the running ones of the weights file
    #[arg(long, value_enum, default_value_t = NormName::Batch)]
    norm: NormName,
    /// Fields at a time; with --norm batch each batch has its own statistics [default: all, with --norm batch]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    #[command(flatten)]
    tuning: Tuning,
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    device: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum NormName {
    Batch,
    Running,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    if arguments.output == arguments.weights {
        return Err(Error::usage("--output and --weights name the same file"));
    }
    let (net, state) = weights::read(&arguments.weights)?;
    let observed = npy::read(&arguments.input)?;
    let [count, nx, ny] = observed.shape;
    check_size(&net, nx, ny).map_err(|e| Error::file(&arguments.input, e.to_string()))?;
    let (norm, default) = match arguments.norm {
        NormName::Batch => (Norm::Batch, count),
        NormName::Running => (Norm::Running, BATCH),
    };
    let Ok(choice) = arguments.device.parse::<DeviceChoice>();
    let compute = Compute::open(&choice)?;
    arguments.tuning.recall(&compute);
    let batch = arguments.batch.unwrap_or(default);
    let values: Vec<f32> = match &observed.data {
        npy::FieldData::F32(values) => values.clone(),
        npy::FieldData::F64(values) => values.iter().map(|&v| v as f32).collect(),
    };
    let predicted = reconstruct(&compute, &net, &state, norm, batch, &values, nx, ny)?;
    if let Some(bad) = predicted.iter().position(|v| !v.is_finite()) {
        let field = bad / (nx * ny);
        let what = format!("the prediction for field {field} is not finite; are these values in range?");
        return Err(Error::file(&arguments.input, what));
    }
    let data = match &observed.data {
        npy::FieldData::F32(_) => npy::FieldData::F32(predicted),
        npy::FieldData::F64(_) => npy::FieldData::F64(predicted.into_iter().map(f64::from).collect()),
    };
    npy::write(&arguments.output, &npy::Fields { data, ..observed })?;
    say!(
        "{count} fields of {nx}x{ny} cells, on {}, are in {}",
        compute.describe(),
        arguments.output.display()
    );
    Ok(ExitCode::SUCCESS)
}
