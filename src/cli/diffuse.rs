//! `unheat diffuse`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::sources::{self, Kind};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::terminal::messages::print_line;
use crate::model::rng::Purpose;
use crate::model::{DType, noise};
use crate::restore::measurement::noise::check_noise;
use crate::restore::{Diffusion, Edges};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Arguments {
    /// The fields: [batch, x, y] or [x, y] in 32- or 64-bit floats, of any size; or a picture (PNG, JPEG,
    /// TIFF, GIF, WebP, BMP); or a folder of them
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    /// Diffusivity × time, in cells² (of a picture: pixels²)
    #[arg(long, default_value_t = 8.0)]
    amount: f64,
    /// What lies beyond the edges [default: periodic for arrays, insulated for pictures]
    #[arg(long, value_enum)]
    edges: Option<Edges>,
    /// Then add normal noise of this standard deviation to every cell, as a measurement would
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0)]
    noise: f64,
    /// Seed of the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The array to write, of the input's dtype and shape, or the picture, of the input's bit depth; replaced
    /// if it exists
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// End with exit code 3 where the result cannot be right; it is written all the same. Of a folder, stop
    /// before anything is computed where a member cannot be used; otherwise it is left out, a line says why,
    /// and the exit code is 4
    #[arg(long)]
    strict: bool,
    /// What the shaders of a GPU compute in; the CPU always computes in 64 bits
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F64)]
    physics: DType,
    #[command(flatten)]
    device: DeviceFlag,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    check_noise(arguments.noise)?;
    match sources::kind(&arguments.input)? {
        Kind::Array => array(&arguments),
        kind => pictures(&arguments, kind),
    }
}

impl Arguments {
    /// Adds the noise of picture or file number `index` to its fields of `cells` cells each.
    fn measured(&self, index: usize, mut y: Vec<f64>, cells: usize) -> Vec<f64> {
        if self.noise > 0.0 {
            for (sample, field) in y.chunks_exact_mut(cells).enumerate() {
                let noise = noise::draw(
                    Purpose::Measurement,
                    self.seed,
                    index as u64,
                    sample as u64,
                    cells,
                    self.noise,
                );
                field.iter_mut().zip(noise).for_each(|(y, n)| *y += n);
            }
        }
        y
    }
}

fn array(arguments: &Arguments) -> Outcome {
    let fields = arrays::read(&arguments.input, 6)?;
    sources::check_array_output(&arguments.output)?;
    let [_, nx, ny] = fields.shape;
    let compute = arguments.device.open_for(arguments.physics)?;
    let edges = arguments.edges.unwrap_or(Edges::Periodic);
    let diffusion = Diffusion::new(&compute, arguments.physics, [nx, ny], arguments.amount, edges)?;
    let x = arrays::widen(&fields.data);
    let mut findings = Findings::default();
    if arguments.edges.is_none() {
        arrays::doubt_edges(&mut findings, &x, nx, ny);
    }
    let y = arguments.measured(0, diffusion.apply(&x)?, nx * ny);
    arrays::write_like(&arguments.output, y, &fields)?;
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, false))
}

fn pictures(arguments: &Arguments, kind: Kind) -> Outcome {
    let Arguments { amount, physics, .. } = *arguments;
    let jobs = sources::jobs(kind, &arguments.input, &arguments.output, None, None)?;
    let compute = arguments.device.open_for(physics)?;
    let edges = arguments.edges.unwrap_or(Edges::Insulated);
    let tally = sources::each(&jobs, arguments.strict, |job, photo| {
        sources::check_memory(&job.input, photo.planes.len() as u64 * 32)?;
        let diffusion = Diffusion::new(&compute, physics, [photo.nx, photo.ny], amount, edges)?;
        let index = jobs.list.iter().position(|other| std::ptr::eq(other, job)).unwrap_or_default();
        let y = arguments.measured(index, diffusion.apply(&photo.planes)?, photo.nx * photo.ny);
        photo.with_planes(&y).write(&job.output)
    })?;
    print_line!("{} diffused by {amount} pixels², in {}", tally.counted(), arguments.output.display());
    Ok(done(false, tally.left_out > 0))
}
