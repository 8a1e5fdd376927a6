//! `unheat restore`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::input::{Input, Kind};
use crate::cli::files::{output, sources};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::measurement::noise;
use crate::cli::flags::operator::OperatorFlags;
use crate::cli::terminal::messages::print_line;
use crate::cli::terminal::progress::Counter;
use crate::engine::Device;
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::model::DType;
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::methods::{Gradient, Restored, TotalVariation};
use crate::restore::outcome::check::check;
use crate::restore::outcome::uncertainty::deviations;
use crate::restore::{Beyond, Blur, Classic, Frame};
use crate::{Error, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Arguments {
    /// How the observation is turned back
    #[arg(long, value_enum, default_value_t = MethodName::Auto)]
    method: MethodName,
    /// The observations: [batch, x, y] or [x, y] in 32- or 64-bit floats, of any size; or a picture (PNG,
    /// JPEG, TIFF, GIF, WebP, BMP); or a folder of them; - is standard input
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    #[command(flatten)]
    operator: OperatorFlags,
    /// What lies beyond the edges [default: periodic for arrays; for pictures insulated, or open where mirrors
    /// change the operator]
    #[arg(long, value_enum)]
    edges: Option<Beyond>,
    /// Standard deviation of the noise in a cell, 0 if there is none but rounding; or auto, which reads it
    /// from the observation
    #[arg(long, value_name = "auto|SIGMA", value_parser = noise, default_value = "auto")]
    #[arg(allow_negative_numbers = true)]
    noise: NoiseLevel,
    /// Iterations at most; they end where the noise is reached [default: 10 for iterated, 200 for
    /// richardson-lucy, up to 200 for tv]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// λ of Tikhonov's filter K/(K² + λ) [default: what the noise allows, by the discrepancy principle]
    #[arg(long, value_name = "LAMBDA")]
    lambda: Option<f64>,
    /// How tv measures gradients [default: what fits the data]
    #[arg(long, value_enum)]
    gradient: Option<Gradient>,
    /// With tv: no value may be negative
    #[arg(long)]
    positive: bool,
    /// The array to write, of the input's dtype and shape, or the picture, of the input's bit depth; replaced
    /// if it exists; - is standard output
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// With wiener or tikhonov: also write the standard deviation of every cell of the result, [batch, x,
    /// y] or [colour, x, y], in the units of the array or, of a picture of 8 or 16 bits, of 0 to 1
    #[arg(long, value_name = "FILE.npy")]
    uncertainty_map: Option<PathBuf>,
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

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum MethodName {
    /// tv, wiener or a mean of both, by the data
    Auto,
    /// Total variation, for fields with edges
    Tv,
    /// Wiener's filter, with the signal's power from the observation
    Wiener,
    /// Tikhonov's filter
    Tikhonov,
    /// One damped inverse of the observation
    OneShot,
    /// Damped inverses of what is left, again and again
    Iterated,
    /// Richardson-Lucy, for nonnegative fields
    RichardsonLucy,
}

impl ValueEnum for Gradient {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Isotropic, Self::Anisotropic]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Isotropic => "isotropic",
            Self::Anisotropic => "anisotropic",
        }))
    }
}

impl Arguments {
    fn classic(&self) -> Result<Classic> {
        use MethodName::{Auto, Iterated, OneShot, RichardsonLucy, Tikhonov, Tv, Wiener};
        if self.iterations.is_some() && !matches!(self.method, Iterated | RichardsonLucy | Tv) {
            return Err(Error::usage("--iterations is for --method iterated, richardson-lucy and tv"));
        }
        if self.lambda.is_some() && self.method != Tikhonov {
            return Err(Error::usage("--lambda is for --method tikhonov"));
        }
        if (self.gradient.is_some() || self.positive) && self.method != Tv {
            return Err(Error::usage("--gradient and --positive are for --method tv"));
        }
        if self.uncertainty_map.is_some() && !matches!(self.method, Wiener | Tikhonov) {
            return Err(Error::usage(
                "--uncertainty-map is for --method wiener and tikhonov, whose uncertainty has a closed form",
            ));
        }
        if self.iterations == Some(0) {
            return Err(Error::usage("iterations 0: must be at least 1"));
        }
        let iterations = |default| self.iterations.unwrap_or(default);
        Ok(match self.method {
            Auto => Classic::Automatic,
            Tv => Classic::TotalVariation(TotalVariation {
                gradient: self.gradient,
                positive: self.positive,
                iterations: iterations(TotalVariation::USUAL.iterations),
            }),
            Wiener => Classic::Wiener,
            OneShot => Classic::OneShot,
            Iterated => Classic::Iterated { iterations: iterations(Classic::ITERATIONS) },
            Tikhonov => Classic::Tikhonov { lambda: self.lambda },
            RichardsonLucy => Classic::RichardsonLucy { iterations: iterations(Classic::RICHARDSON_LUCY) },
        })
    }
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let classic = arguments.classic()?;
    let input = Input::open(&arguments.input)?;
    match input.kind {
        Kind::Array => array(&arguments, classic, &input),
        Kind::Picture | Kind::Folder => pictures(&arguments, classic, &input),
    }
}

fn array(arguments: &Arguments, classic: Classic, input: &Input) -> Outcome {
    output::check(&arguments.output, "npy")?;
    if let Some(path) = &arguments.uncertainty_map {
        output::check(path, "npy")?;
    }
    let fields = input.array(4)?;
    let [count, nx, ny] = fields.shape;
    let at_once = count.min(rayon::current_num_threads()) * nx * ny;
    sources::check_memory(&arguments.input, at_once as u64 * classic.memory())?;
    let factors = arguments.operator.told()?.factors;
    let device = open(arguments)?;
    let frame = Frame::new([nx, ny], arguments.edges.unwrap_or(Beyond::Periodic), &factors);
    let blur = frame.blur(&device, arguments.physics, &factors)?;
    let y = arrays::widen(&fields.data);
    let mut findings = Findings::default();
    if arguments.edges.is_none() {
        arrays::doubt_edges(&mut findings, &y, nx, ny);
    }
    let rounding = rounding_of_floats(&y, arrays::precision(&fields.data));
    let counter = Counter::patient("field", count as u64);
    let y = frame.widened(&y);
    let restored = classic.restore(&blur, arguments.noise, rounding, &y, || counter.advance(""))?;
    counter.finish();
    judge(&mut findings, &blur, arguments.noise, &y, &restored, None)?;
    if let Some(path) = &arguments.uncertainty_map {
        arrays::write_like(path, frame.cropped(uncertainty(&blur, &restored)), &fields)?;
    }
    arrays::write_like(&arguments.output, frame.cropped(restored.x), &fields)?;
    print_line!(
        "{count} fields of {nx}x{ny} cells, {}{}, are in {}{}",
        classic.name(),
        findings.choice(),
        arguments.output.display(),
        findings.told("cells")
    );
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, false))
}

fn pictures(arguments: &Arguments, classic: Classic, input: &Input) -> Outcome {
    let Arguments { physics, noise, .. } = *arguments;
    let factors = arguments.operator.told()?.factors;
    let beyond = arguments.edges.unwrap_or(Beyond::of_pictures(&factors));
    if let Some(path) = &arguments.uncertainty_map {
        if input.kind == Kind::Folder {
            return Err(Error::usage("--uncertainty-map is for one picture at a time"));
        }
        output::check(path, "npy")?;
    }
    let jobs = sources::jobs(input, &arguments.output, None, None)?;
    let device = open(arguments)?;
    let mut findings = Findings::default();
    let tally = sources::each(input, &jobs, arguments.strict, |job, photo| {
        // The planes of the result, and what a plane at hand takes.
        let planes = 16 * photo.planes.len() as u64;
        sources::check_memory(&job.input, planes + (photo.nx * photo.ny) as u64 * classic.memory())?;
        let frame = Frame::new([photo.nx, photo.ny], beyond, &factors);
        let blur = frame.blur(&device, physics, &factors)?;
        let mut own = Findings::default();
        let (mut x, mut deviations) = (Vec::with_capacity(photo.planes.len()), Vec::new());
        // A bar for planes would write over that of the folder.
        let counter =
            (input.kind == Kind::Picture).then(|| Counter::patient("plane", photo.channels() as u64));
        // Plane by plane, so that a large picture needs the memory of one at a time.
        for plane in photo.planes.chunks_exact(photo.nx * photo.ny) {
            let rounding = sources::rounding(&photo, plane);
            let plane = frame.widened(plane);
            let restored = classic.restore(&blur, noise, rounding, &plane, || ())?;
            judge(&mut own, &blur, noise, &plane, &restored, photo.depth.bounds())?;
            if arguments.uncertainty_map.is_some() {
                deviations.extend(frame.cropped(uncertainty(&blur, &restored)));
            }
            x.extend(frame.cropped(restored.x));
            counter.iter().for_each(|counter| counter.advance(""));
        }
        counter.iter().for_each(Counter::finish);
        if let Some(path) = &arguments.uncertainty_map {
            let shape = [photo.channels(), photo.nx, photo.ny];
            npy::write(path, &Fields { shape, data: FieldData::F64(deviations), rank2: false })?;
        }
        own.name(&job.input);
        findings.append(own);
        output::picture(&job.output, &photo.with_planes(&x))
    })?;
    print_line!(
        "{}, {}{}, in {}{}",
        tally.counted(),
        classic.name(),
        findings.choice(),
        arguments.output.display(),
        findings.told("pixels")
    );
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, tally.left_out > 0))
}

/// The standard deviation of every cell of what a linear method has restored.
fn uncertainty(blur: &Blur, restored: &Restored) -> Vec<f64> {
    let known = restored.samples.iter().filter_map(|sample| Some((sample, sample.expected?)));
    known.flat_map(|(sample, expected)| deviations(blur, &sample.spectrum, expected)).collect()
}

/// Notes what was found about the samples `y`, and what cannot be right about their restorations.
fn judge(
    findings: &mut Findings,
    blur: &Blur,
    noise: NoiseLevel,
    y: &[f64],
    restored: &Restored,
    bounds: Option<(f64, f64)>,
) -> Result<()> {
    let cells = blur.cells();
    let pairs = y.chunks_exact(cells).zip(restored.x.chunks_exact(cells));
    for ((y, x), sample) in pairs.zip(&restored.samples) {
        findings.sample(sample);
        let doubt = match &sample.warning {
            Some(warning) => Some(warning.clone()),
            None => check(blur, y, x, &sample.spectrum, noise, bounds)?,
        };
        findings.doubts(doubt);
    }
    Ok(())
}

fn open(arguments: &Arguments) -> Result<Device> {
    arguments.device.open_for(arguments.physics)
}
