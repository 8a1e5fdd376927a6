//! `unheat diffuse`.

use super::{Outcome, arrays};
use crate::model::Precision;
use crate::train::fields;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// The fields: [batch, x, y] or [x, y] in 32- or 64-bit floats, each side a power of two from 8 to 2048
    #[arg(short, long, value_name = "FILE.npy")]
    input: PathBuf,
    /// Diffusivity × time, in cells²
    #[arg(long, default_value_t = 8.0, allow_negative_numbers = true)]
    amount: f64,
    /// The array to write, of the input's dtype and shape; replaced if it exists
    #[arg(short, long, value_name = "FILE.npy")]
    output: PathBuf,
    /// Compute in 32 or 64 bits
    #[arg(long, default_value_t = Precision::F32, value_name = "f32|f64")]
    physics: Precision,
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    device: String,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let (x, heat) = arrays::read(&arguments.input, arguments.amount)?;
    arrays::check_output(&arguments.output)?;
    let compute = arrays::open(&arguments.device, arguments.physics)?;
    let y = fields::diffuse(&compute, arguments.physics, &heat, &arrays::widen(&x.data))?;
    arrays::write_like(&arguments.output, y, &x)?;
    Ok(ExitCode::SUCCESS)
}
