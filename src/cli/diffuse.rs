//! `unheat diffuse`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::input::{Input, Kind};
use crate::cli::files::{output, sources};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::film::{Animation, TimeStep};
use crate::cli::flags::measurement::EdgesFlag;
use crate::cli::flags::operator::{OperatorFlags, Told};
use crate::cli::terminal::messages::print_line;
use crate::engine::Device;
use crate::io::arrays::fingerprint::Item;
use crate::io::plots::film::Palette;
use crate::model::rng::Purpose;
use crate::model::{DType, noise};
use crate::restore::outcome::check::cut_off;
use crate::restore::{Beyond, Frame};
use crate::{Error, Result};
use clap::Args;
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Arguments {
    /// The fields: [batch, x, y] or [x, y] in 32- or 64-bit floats, of any size; or a picture (PNG, JPEG,
    /// TIFF, GIF, WebP, BMP); or a folder of them; - is standard input
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    #[command(flatten)]
    operator: OperatorFlags,
    #[command(flatten)]
    time_step: TimeStep,
    #[command(flatten)]
    animation: Animation,
    #[command(flatten)]
    edges: EdgesFlag,
    /// Then add normal noise of this standard deviation to every cell, as a measurement would
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0)]
    noise: f64,
    /// Seed of the noise, which also depends on the values of the input: two inputs get different noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The array to write, of the input's dtype and shape, or the picture, of the input's bit depth; replaced
    /// if it exists; - is standard output
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
    noise::check(arguments.noise)?;
    let input = Input::open(&arguments.input)?;
    arguments.animation.check(input.kind == Kind::Folder)?;
    if input.kind == Kind::Array { array(&arguments, &input) } else { pictures(&arguments, &input) }
}

/// Draws the noise of measurements. Its stream depends on what is measured: equal seeds give two inputs
/// different noise, and one input the same whatever else is measured beside it.
struct Noise {
    std: f64,
    seed: u64,
    /// How often the same values were measured before: measured again, they get other noise.
    before: HashMap<u64, u64>,
}

impl Noise {
    fn new(arguments: &Arguments) -> Self {
        Self { std: arguments.noise, seed: arguments.seed, before: HashMap::new() }
    }

    /// Adds noise to observations `y` of the fields `x` of these sizes.
    fn add(&mut self, x: &[f64], mut y: Vec<f64>, nx: usize, ny: usize) -> Vec<f64> {
        if self.std > 0.0 {
            for (x, y) in x.chunks_exact(nx * ny).zip(y.chunks_exact_mut(nx * ny)) {
                let key = Item::new([nx, ny], x.iter().copied()).key();
                let before = self.before.entry(key).or_default();
                let noise = noise::draw(Purpose::Measurement, self.seed, key, *before, nx * ny, self.std);
                *before += 1;
                y.iter_mut().zip(noise).for_each(|(y, n)| *y += n);
            }
        }
        y
    }
}

fn array(arguments: &Arguments, input: &Input) -> Outcome {
    output::check(&arguments.output, "npy")?;
    let fields = input.array(6)?;
    let [count, nx, ny] = fields.shape;
    arguments.time_step.check(&input.name, count)?;
    let operator = arguments.operator.told(None)?;
    let compute = arguments.device.open_for(arguments.physics)?;
    let beyond = arguments.edges.of_arrays();
    let x = arrays::widen(&fields.data);
    let mut findings = Findings::default();
    arrays::doubt_axes(&mut findings, fields.shape);
    if !arguments.edges.is_told() {
        arrays::doubt_edges(&mut findings, &x, nx, ny);
    }
    let seen = observed(arguments, &compute, &operator, [nx, ny], beyond, &x, 1)?;
    let y = Noise::new(arguments).add(&x, seen, nx, ny);
    arguments.animation.write(&y, [nx, ny], Palette::Inferno)?;
    arrays::write_like(&arguments.output, y, &fields)?;
    let (words, output) = (operator.observed("cells"), arguments.output.display());
    let step = arguments.time_step.words();
    print_line!("{} {words}{step}, in {output}", arrays::counted(fields.shape));
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, false))
}

/// What an observer sees of x `[batch, nx, ny]`; of a film, frame by frame of so many `channels`.
fn observed(
    arguments: &Arguments,
    compute: &Device,
    operator: &Told,
    size: [usize; 2],
    beyond: Beyond,
    x: &[f64],
    channels: usize,
) -> Result<Vec<f64>> {
    let cells = size[0] * size[1];
    let at_once = if arguments.time_step.is_told() { channels * cells } else { x.len() };
    let mut seen = Vec::with_capacity(x.len());
    for (i, x) in x.chunks(at_once).enumerate() {
        let factors = arguments.time_step.factors(operator, i)?;
        let frame = Frame::new(size, beyond, &factors);
        let blur = frame.blur(compute, arguments.physics, &factors)?;
        seen.append(&mut frame.cropped(blur.apply(&frame.widened(x))?));
    }
    Ok(seen)
}

fn pictures(arguments: &Arguments, input: &Input) -> Outcome {
    let physics = arguments.physics;
    arguments.operator.check()?;
    let jobs = sources::jobs(input, &arguments.output, None, None)?;
    let compute = arguments.device.open_for(physics)?;
    let mut noise = Noise::new(arguments);
    let (mut words, mut findings) = (String::new(), Findings::default());
    let tally = sources::each(input, &jobs, arguments.strict, |job, photo| {
        arguments.time_step.check(&job.input, photo.pages)?;
        sources::check_memory(&job.input, photo.planes.len() as u64 * 32)?;
        let operator = arguments.operator.told(photo.pixel());
        let operator = operator.map_err(|e| Error::file(&job.input, e.to_string()))?;
        words = operator.observed("pixels");
        let beyond = arguments.edges.of_pictures(&operator.factors);
        let (size, channels) = ([photo.nx, photo.ny], photo.channels() / photo.pages);
        let seen = observed(arguments, &compute, &operator, size, beyond, &photo.planes, channels)?;
        let y = noise.add(&photo.planes, seen, photo.nx, photo.ny);
        findings.doubts(
            cut_off(&photo.planes, &y, photo.depth.bounds())
                .map(|doubt| format!("{}: {doubt}", job.input.display())),
        );
        let written = photo.with_planes(&y);
        arguments.animation.write_pages(&written)?;
        output::picture(&job.output, &written)
    })?;
    let step = arguments.time_step.words();
    print_line!("{}: {words}{step}, in {}", tally.counted(), arguments.output.display());
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, tally.left_out > 0))
}
