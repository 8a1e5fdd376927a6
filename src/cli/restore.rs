//! `unheat restore`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::files::arrays;
use crate::cli::files::sources::{self, Kind};
use crate::cli::flags::device::DeviceFlag;
use crate::cli::terminal::messages::print_line;
use crate::cli::terminal::progress::Counter;
use crate::engine::Device;
use crate::model::DType;
use crate::restore::Diffusion;
use crate::restore::classical::{Classic, check_noise};
use crate::{Error, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// How the observation is turned back
    #[arg(long, value_enum, value_name = "one-shot|iterated|tikhonov|richardson-lucy")]
    method: MethodName,
    /// The observations: [batch, x, y] or [x, y] in 32- or 64-bit floats, each side a power of two from 8 to
    /// 2048; or a picture of any size (PNG, JPEG, TIFF, 8 or 16 bits), whose edges are insulated; or a folder
    /// of them
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    /// Diffusion to undo: diffusivity × time, in cells² (of a picture: pixels²)
    #[arg(long, default_value_t = 8.0)]
    amount: f64,
    /// Standard deviation of the noise in a cell, 0 if there is none but rounding [default for pictures: that
    /// of rounding to 8 or 16 bits, 1/255/√12 or 1/65535/√12]
    #[arg(long, value_name = "SIGMA")]
    noise: Option<f64>,
    /// Iterations [default: 10 for iterated, 200 for richardson-lucy]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// λ of Tikhonov's filter K/(K² + λ) [default: what the noise allows, by the discrepancy principle]
    #[arg(long, value_name = "LAMBDA")]
    lambda: Option<f64>,
    /// The array to write, of the input's dtype and shape, or the picture, of the input's bit depth; replaced
    /// if it exists
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Compute in 32 or 64 bits. The difference shows where the noise is below 1e-6 of the values: 32 bits
    /// round to 3e-7, files of 32-bit numbers to 1e-7
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F64)]
    physics: DType,
    #[command(flatten)]
    device: DeviceFlag,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum MethodName {
    /// One damped inverse of the observation
    OneShot,
    /// Damped inverses of what is left, again and again
    Iterated,
    /// Tikhonov's filter, or Wiener's for white signals
    Tikhonov,
    /// Richardson-Lucy, for nonnegative fields
    RichardsonLucy,
}

impl Arguments {
    fn classic(&self) -> Result<Classic> {
        let iterated = matches!(self.method, MethodName::Iterated | MethodName::RichardsonLucy);
        if self.iterations.is_some() && !iterated {
            return Err(Error::usage("--iterations is for --method iterated and richardson-lucy"));
        }
        if self.lambda.is_some() && self.method != MethodName::Tikhonov {
            return Err(Error::usage("--lambda is for --method tikhonov"));
        }
        if self.iterations == Some(0) {
            return Err(Error::usage("iterations 0: must be at least 1"));
        }
        let iterations = |default| self.iterations.unwrap_or(default);
        Ok(match self.method {
            MethodName::OneShot => Classic::OneShot,
            MethodName::Iterated => Classic::Iterated { iterations: iterations(Classic::ITERATIONS) },
            MethodName::Tikhonov => Classic::Tikhonov { lambda: self.lambda },
            MethodName::RichardsonLucy => {
                Classic::RichardsonLucy { iterations: iterations(Classic::RICHARDSON_LUCY) }
            }
        })
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let classic = arguments.classic()?;
    if let Some(noise) = arguments.noise {
        check_noise(noise)?;
    }
    match sources::kind(&arguments.input)? {
        Kind::Array => array(&arguments, classic),
        kind => pictures(&arguments, classic, kind),
    }
}

fn array(arguments: &Arguments, classic: Classic) -> Outcome {
    let (y, heat) = arrays::read(&arguments.input, arguments.amount)?;
    sources::check_array_output(&arguments.output)?;
    let noise = match (arguments.noise, classic) {
        (Some(noise), _) => noise,
        (None, Classic::RichardsonLucy { .. } | Classic::Tikhonov { lambda: Some(_) }) => 0.0, // unused
        (None, _) => return Err(Error::usage(arrays::NOISE_NEEDED)),
    };
    let device = open(arguments)?;
    let diffusion = Diffusion::periodic(&device, arguments.physics, &heat);
    let x = restored(&classic, &diffusion, noise, &arrays::widen(&y.data))?;
    arrays::write_like(&arguments.output, x, &y)?;
    let [count, nx, ny] = y.shape;
    print_line!(
        "{count} fields of {nx}x{ny} cells, {}, are in {}",
        classic.name(),
        arguments.output.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn pictures(arguments: &Arguments, classic: Classic, kind: Kind) -> Outcome {
    let Arguments { amount, physics, .. } = *arguments;
    let jobs = sources::jobs(kind, &arguments.input, &arguments.output, None, None)?;
    let device = open(arguments)?;
    sources::each(&jobs, |job, photo| {
        let diffusion = Diffusion::insulated(&device, physics, photo.nx, photo.ny, amount)?;
        let noise = arguments.noise.unwrap_or(photo.depth.rounding());
        // A bar for iterations would write over that of the folder.
        let x = match kind {
            Kind::Folder => classic.restore(&diffusion, noise, &photo.planes, || ())?,
            _ => restored(&classic, &diffusion, noise, &photo.planes)?,
        };
        photo.with_planes(&x).write(&job.output)
    })?;
    print_line!("{}, {}, in {}", sources::counted(&jobs), classic.name(), arguments.output.display());
    Ok(ExitCode::SUCCESS)
}

fn open(arguments: &Arguments) -> Result<Device> {
    arguments.device.open_for(arguments.physics)
}

fn restored(classic: &Classic, diffusion: &Diffusion, noise: f64, y: &[f64]) -> Result<Vec<f64>> {
    let (Classic::Iterated { iterations } | Classic::RichardsonLucy { iterations }) = *classic else {
        return classic.restore(diffusion, noise, y, || ());
    };
    let counter = Counter::new("iteration", iterations as u64);
    let x = classic.restore(diffusion, noise, y, || counter.advance(""))?;
    counter.finish();
    Ok(x)
}
