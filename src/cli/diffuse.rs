//! `unheat diffuse`.

use super::say::say;
use super::sources::{self, Kind};
use super::{Outcome, arrays};
use crate::model::Precision;
use crate::train::{Diffusion, fields};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// The fields: [batch, x, y] or [x, y] in 32- or 64-bit floats, each side a power of two from 8 to 2048; or a picture
    /// of any size (PNG, JPEG, TIFF, 8 or 16 bits), whose edges are insulated instead of periodic; or a folder of them
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    /// Diffusivity × time, in cells² (of a picture: pixels²)
    #[arg(long, default_value_t = 8.0)]
    amount: f64,
    /// The array to write, of the input's dtype and shape, or the picture, of the input's bit depth; replaced if it exists
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Compute in 32 or 64 bits
    #[arg(long, default_value_t = Precision::F32, value_name = "f32|f64")]
    physics: Precision,
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name
    #[arg(long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    device: String,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    match sources::kind(&arguments.input)? {
        Kind::Array => array(&arguments),
        kind => pictures(&arguments, kind),
    }
}

fn array(arguments: &Arguments) -> Outcome {
    let (x, heat) = arrays::read(&arguments.input, arguments.amount)?;
    sources::check_array_output(&arguments.output)?;
    let compute = arrays::open(&arguments.device, arguments.physics)?;
    let y = fields::diffuse(&compute, arguments.physics, &heat, &arrays::widen(&x.data))?;
    arrays::write_like(&arguments.output, y, &x)?;
    Ok(ExitCode::SUCCESS)
}

fn pictures(arguments: &Arguments, kind: Kind) -> Outcome {
    let Arguments { amount, physics, .. } = *arguments;
    let jobs = sources::jobs(kind, &arguments.input, &arguments.output, None, None)?;
    let compute = arrays::open(&arguments.device, physics)?;
    sources::each(&jobs, |job, photo| {
        let diffusion = Diffusion::insulated(&compute, physics, photo.nx, photo.ny, amount)?;
        photo.with_planes(&diffusion.apply(&photo.planes)?).write(&job.output)
    })?;
    say!("{} diffused by {amount} pixels², in {}", sources::counted(&jobs), arguments.output.display());
    Ok(ExitCode::SUCCESS)
}
