//! `unheat restore`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::input::{Input, Kind};
use crate::cli::files::{output, sources};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::film::{Animation, TimeStep};
use crate::cli::flags::measurement::{EdgesFlag, Noise, noise_or_counts};
use crate::cli::flags::operator::{OperatorFlags, Told};
use crate::cli::terminal::messages::print_line;
use crate::cli::terminal::progress::Counter;
use crate::engine::Device;
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::io::plots::film::Palette;
use crate::model::DType;
use crate::model::operator::factor::Factor;
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::amount::estimate;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::methods::{Gradient, Restored, TotalVariation};
use crate::restore::outcome::amount::too_much;
use crate::restore::outcome::check::check;
use crate::restore::outcome::uncertainty::deviations;
use crate::restore::spectral::grid::Grid;
use crate::restore::{Beyond, Blur, Classic, Edges, Frame};
use crate::{Error, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;

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
    #[command(flatten)]
    time_step: TimeStep,
    #[command(flatten)]
    animation: Animation,
    #[command(flatten)]
    edges: EdgesFlag,
    /// Standard deviation of the noise in a cell, 0 if there is none but rounding; or auto, which reads it
    /// from the observation; or counts, for counted photons: the root of the mean count of each field
    #[arg(long, value_name = "auto|counts|SIGMA", value_parser = noise_or_counts, default_value = "auto")]
    #[arg(allow_negative_numbers = true)]
    noise: Noise,
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
    if arguments.operator.is_to_be_found()? && arguments.time_step.is_told() {
        return Err(Error::usage(
            "amount auto: cannot be estimated from a film; give that of its first field",
        ));
    }
    let input = Input::open(&arguments.input)?;
    arguments.animation.check(input.kind == Kind::Folder)?;
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
    arguments.time_step.check(&input.name, count)?;
    let at_once = count.min(rayon::current_num_threads()) * nx * ny;
    sources::check_memory(&arguments.input, at_once as u64 * classic.memory())?;
    let beyond = arguments.edges.of_arrays();
    let y = arrays::widen(&fields.data);
    let rounding = rounding_of_floats(&y, arrays::precision(&fields.data));
    let noise = arguments.noise.level(&y, 1.0);
    let is_to_be_found = arguments.operator.is_to_be_found()?;
    let told = told(arguments, None, [nx, ny], beyond, &y, rounding, noise)
        .map_err(|error| if is_to_be_found { Error::file(&input.name, error.to_string()) } else { error })?;
    let device = open(arguments)?;
    let mut findings = Findings::default();
    arrays::doubt_axes(&mut findings, fields.shape);
    if !arguments.edges.is_told() {
        arrays::doubt_edges(&mut findings, &y, nx, ny);
    }
    if !is_to_be_found {
        let beyond = |_: &[Factor]| beyond;
        findings.doubts(told_too_much(arguments, &told, [nx, ny], beyond, &y, nx * ny, rounding)?);
    }
    let counter = Counter::patient("field", count as u64);
    let (mut x, mut deviations) = (Vec::with_capacity(y.len()), Vec::new());
    // All fields at once, or one after another where each has an operator or a noise of its own.
    let is_single = arguments.time_step.is_told() || arguments.noise == Noise::Counts;
    let at_once = if is_single { nx * ny } else { y.len() };
    for (i, y) in y.chunks(at_once).enumerate() {
        let at = i * at_once / (nx * ny);
        let factors = arguments.time_step.factors(&told, i)?;
        let frame = Frame::new([nx, ny], beyond, &factors);
        let blur = frame.blur(&device, arguments.physics, &factors)?;
        let noise = arguments.noise.level(y, 1.0);
        let rounding = frame.rounding(y, rounding);
        let y = frame.observed(&blur, noise, rounding, y)?;
        let restored = classic.restore(&blur, noise, rounding, &y, || counter.advance(""))?;
        let place =
            |sample: usize| if count == 1 { String::new() } else { format!("field {}: ", at + sample) };
        judge(&mut findings, &blur, noise, &y, &restored, None, place)?;
        if arguments.uncertainty_map.is_some() {
            deviations.append(&mut frame.cropped(uncertainty(&blur, &restored)));
        }
        x.append(&mut frame.cropped(restored.x));
    }
    counter.finish();
    if let Some(path) = &arguments.uncertainty_map {
        arrays::write_like(path, deviations, &fields)?;
    }
    arguments.animation.write(&x, [nx, ny], Palette::Inferno)?;
    arrays::write_like(&arguments.output, x, &fields)?;
    print_line!(
        "{}, {}{}, in {}{}{}",
        arrays::counted(fields.shape),
        classic.name(),
        findings.choice(),
        arguments.output.display(),
        findings.told("cells"),
        told.measured()
    );
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, false))
}

fn pictures(arguments: &Arguments, classic: Classic, input: &Input) -> Outcome {
    let Arguments { physics, .. } = *arguments;
    if !arguments.operator.is_to_be_found()? {
        arguments.operator.check()?;
    }
    let mut words = String::new();
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
        arguments.time_step.check(&job.input, photo.pages)?;
        // The planes of the result, and what a plane at hand takes.
        let planes = 16 * photo.planes.len() as u64;
        sources::check_memory(&job.input, planes + (photo.nx * photo.ny) as u64 * classic.memory())?;
        let (size, y) = ([photo.nx, photo.ny], &photo.planes);
        let (rounding, level) = (sources::rounding(&photo, y), arguments.noise.level(y, photo.depth.white()));
        let beyond = arguments.edges.of_pictures(&[]);
        let told = told(arguments, photo.pixel(), size, beyond, y, rounding, level)
            .map_err(|error| Error::file(&job.input, error.to_string()))?;
        words = if input.kind == Kind::Picture { told.measured() } else { String::new() };
        let beyond = arguments.edges.of_pictures(&told.factors);
        let frame = Frame::new(size, beyond, &told.factors);
        let mut blur = frame.blur(&device, physics, &told.factors)?;
        let mut own = Findings::default();
        if !arguments.operator.is_to_be_found()? {
            let page = photo.planes.len() / photo.pages;
            let beyond = |factors: &[Factor]| arguments.edges.of_pictures(factors);
            own.doubts(told_too_much(arguments, &told, size, beyond, y, page, rounding)?);
        }
        let (mut x, mut deviations) = (Vec::with_capacity(photo.planes.len()), Vec::new());
        // A bar for planes would write over that of the folder.
        let counter =
            (input.kind == Kind::Picture).then(|| Counter::patient("plane", photo.channels() as u64));
        // Plane by plane, so that a large picture needs the memory of one at a time.
        for (i, plane) in photo.planes.chunks_exact(photo.nx * photo.ny).enumerate() {
            if arguments.time_step.is_told() && i > 0 {
                let page = i / (photo.channels() / photo.pages);
                let factors = arguments.time_step.factors(&told, page)?;
                blur = frame.blur(&device, physics, &factors)?;
            }
            let rounding = frame.rounding(plane, sources::rounding(&photo, plane));
            let noise = arguments.noise.level(plane, photo.depth.white());
            let plane = frame.observed(&blur, noise, rounding, plane)?;
            let restored = classic.restore(&blur, noise, rounding, &plane, || ())?;
            let page = i / (photo.channels() / photo.pages);
            let place = |_| if photo.pages == 1 { String::new() } else { format!("page {}: ", page + 1) };
            judge(&mut own, &blur, noise, &plane, &restored, photo.depth.bounds(), place)?;
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
        let written = photo.with_planes(&x);
        arguments.animation.write_pages(&written)?;
        output::picture(&job.output, &written)
    })?;
    print_line!(
        "{}, {}{}, in {}{}{words}",
        tally.counted(),
        classic.name(),
        findings.choice(),
        arguments.output.display(),
        findings.told("pixels")
    );
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, tally.left_out > 0))
}

/// What observed fields `[batch, nx, ny]`, as it is told, or as they themselves tell it. `of_file` is what
/// their file says about the sides of its pixels.
fn told(
    arguments: &Arguments,
    of_file: Option<[f64; 2]>,
    size: [usize; 2],
    beyond: Beyond,
    y: &[f64],
    rounding: f64,
    noise: NoiseLevel,
) -> Result<Arc<Told>> {
    if !arguments.operator.is_to_be_found()? {
        return arguments.operator.told(of_file);
    }
    // Waves are counted on the field itself: a margin has none of its own.
    let edges = if beyond == Beyond::Periodic { Edges::Periodic } else { Edges::Insulated };
    Told::found(estimate(&Grid::new(size[0], size[1], edges)?, y, rounding, noise)?).map(Arc::new)
}

/// That more diffusion is told than the fields y `[batch, nx, ny]` show, in words. Of a film, whose frames
/// have so many values, its first and its last frame are asked.
fn told_too_much(
    arguments: &Arguments,
    told: &Told,
    size: [usize; 2],
    beyond: impl Fn(&[Factor]) -> Beyond,
    y: &[f64],
    frame: usize,
    rounding: f64,
) -> Result<Option<String>> {
    let doubt = |i: usize, y: &[f64]| {
        let factors = arguments.time_step.factors(told, i)?;
        too_much(&Frame::new(size, beyond(&factors), &factors), &factors, y, rounding)
    };
    if !arguments.time_step.is_told() {
        return doubt(0, y);
    }
    let last = y.len() / frame - 1;
    Ok(doubt(0, &y[..frame])?.or(doubt(last, &y[last * frame..])?))
}

/// The standard deviation of every cell of what a linear method has restored.
fn uncertainty(blur: &Blur, restored: &Restored) -> Vec<f64> {
    let known = restored.samples.iter().filter_map(|sample| Some((sample, sample.expected?)));
    known.flat_map(|(sample, expected)| deviations(blur, &sample.spectrum, expected)).collect()
}

/// Notes what was found about the samples `y`, and what cannot be right about their restorations, with the
/// `place` of a sample before it.
fn judge(
    findings: &mut Findings,
    blur: &Blur,
    noise: NoiseLevel,
    y: &[f64],
    restored: &Restored,
    bounds: Option<(f64, f64)>,
    place: impl Fn(usize) -> String,
) -> Result<()> {
    let cells = blur.cells();
    let pairs = y.chunks_exact(cells).zip(restored.x.chunks_exact(cells));
    for (i, ((y, x), sample)) in pairs.zip(&restored.samples).enumerate() {
        findings.sample(sample);
        let doubt = match &sample.warning {
            Some(warning) => Some(warning.clone()),
            None => check(blur, y, x, &sample.spectrum, noise, bounds)?,
        };
        findings.doubts(doubt.map(|doubt| place(i) + &doubt));
    }
    Ok(())
}

fn open(arguments: &Arguments) -> Result<Device> {
    arguments.device.open_for(arguments.physics)
}
