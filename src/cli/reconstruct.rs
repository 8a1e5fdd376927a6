//! `unheat reconstruct`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::input::{Input, Kind};
use crate::cli::files::output;
use crate::cli::files::restoration_figure::{self, Seen};
use crate::cli::files::sources::{self, Job};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::film::Animation;
use crate::cli::flags::measurement::{EdgesFlag, noise};
use crate::cli::flags::operator::OperatorFlags;
use crate::cli::flags::tuning::Preparation;
use crate::cli::terminal::messages::{note, print_line};
use crate::engine::predictor::{check_size, predict};
use crate::engine::{Device, Norm, Trained, operators};
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::io::arrays::weights;
use crate::io::images::photo::Photo;
use crate::io::plots::film;
use crate::io::plots::restoration::Palette;
use crate::model::operator::factor::Factor;
use crate::model::unet::init::State;
use crate::model::units::{Extent, Length};
use crate::model::{DType, TrainedFor, UNet};
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::network::refine::refine;
use crate::restore::network::scale::{self, at_scale};
use crate::restore::network::tiled::reconstruct_planes;
use crate::restore::{Beyond, Blur, Frame};
use crate::train::Found;
use crate::{Error, Result};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Fields at a time where it does not matter to the result.
const BATCH: usize = 64;

#[derive(Args)]
pub(super) struct Arguments {
    /// A trained network, unheat's or PyTorch's; given several times, the mean of what they predict
    #[arg(long, value_name = "FILE.safetensors", required = true)]
    weights: Vec<PathBuf>,
    /// With several weights: also write the standard deviation of their predictions, [count, x, y] or
    /// [colour, x, y]: where networks disagree, none of them knows
    #[arg(long, value_name = "FILE.npy")]
    uncertainty_map: Option<PathBuf>,
    /// Observed fields, [count, x, y] or [x, y] in a .npy file; or a picture of any size (PNG, JPEG, TIFF,
    /// GIF, WebP, BMP; each colour by itself); or a folder of pictures
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    /// The predictions, of the input's shape and type or bit depth; replaced if it exists; - is standard
    /// output
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Statistics of the batch norm: of the batch, as in training, or the running ones of the weights file
    /// [default: batch for arrays; running for pictures, so that no tile depends on another]
    #[arg(long, value_enum)]
    norm: Option<Norm>,
    /// Fields (of a picture: tiles) at a time; with --norm batch each batch has its own statistics [default:
    /// all, with
    /// --norm batch]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// The values are in the units of the training, such as other fields of `generate`: the networks see
    /// them as they are, not moved and stretched to the mean and the spread of their training
    #[arg(long)]
    same_units: bool,
    #[command(flatten)]
    operator: OperatorFlags,
    #[command(flatten)]
    animation: Animation,
    /// Then update each prediction by up to N damped inverses of its misfit to the observation, which go by
    /// --amount or --operator; an update that would make the misfit worse is not made
    #[arg(long, value_name = "N")]
    refine: Option<usize>,
    /// Standard deviation of the observation's noise, for --refine; or auto, which reads it from the
    /// observation
    #[arg(long, value_name = "auto|SIGMA", value_parser = noise, default_value = "auto")]
    #[arg(allow_negative_numbers = true)]
    noise: NoiseLevel,
    #[command(flatten)]
    edges: EdgesFlag,
    /// End with exit code 3 where the result cannot be right; it is written all the same. Of a folder, stop
    /// before anything is computed where a member cannot be used; otherwise it is left out, a line says why,
    /// and the exit code is 4
    #[arg(long)]
    strict: bool,
    /// Draw observation, reconstruction, re-diffused reconstruction and residual with their numbers; of an
    /// array, the first four fields; of a folder, one report per picture in this folder. It goes by
    /// --amount or --operator
    #[arg(long, value_name = "FILE.png|DIR")]
    report: Option<PathBuf>,
    /// What there was before diffusion, to compare with in the report; of a folder, a folder with the same
    /// names
    #[arg(long, value_name = "FILE|DIR", requires = "report")]
    truth: Option<PathBuf>,
    /// What the shaders of a GPU compute the physics of --refine and --report in; the CPU always computes
    /// in 64 bits
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F64)]
    physics: DType,
    #[command(flatten)]
    preparation: Preparation,
    #[command(flatten)]
    device: DeviceFlag,
}

impl ValueEnum for Norm {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Batch, Self::Running]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Batch => "batch",
            Self::Running => "running",
        }))
    }
}

/// What stays the same from field to field.
struct Session {
    arguments: Arguments,
    networks: Vec<Network>,
    device: Device,
    /// Where the physics is computed.
    physics: Device,
}

/// The physics behind fields of one size.
struct Physics {
    frame: Frame,
    blur: Blur,
    /// The sides of a cell, where they are known.
    pixel: Option<[Length; 2]>,
}

struct Network {
    net: UNet,
    state: State,
    /// What it was trained for, if the file says so.
    trained_for: Option<TrainedFor>,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    if let Some(path) = &arguments.uncertainty_map {
        if arguments.weights.len() < 2 {
            return Err(Error::usage(
                "--uncertainty-map needs --weights several times, of networks trained with different seeds",
            ));
        }
        output::check(path, "npy")?;
    }
    let is_told = arguments.operator.is_told();
    if is_told {
        arguments.operator.check()?;
    }
    if !is_told && (arguments.refine.is_some() || arguments.report.is_some()) {
        let what = "--refine and --report need to know what observed the fields: add --amount or --operator";
        return Err(Error::usage(what));
    }
    let read = |path: &PathBuf| {
        weights::read_all(path).map(|(net, state, trained_for)| Network { net, state, trained_for })
    };
    let networks = arguments.weights.iter().map(read).collect::<Result<Vec<_>>>()?;
    let open = |arguments: Arguments| {
        let device = arguments.device.open()?;
        for network in &networks {
            arguments.preparation.recall(&device, &network.net)?;
        }
        let (physics, said) = operators::device_for(device.clone(), arguments.physics);
        if let (Some(said), true) = (said, is_told) {
            note!("{said}");
        }
        Ok(Session { arguments, networks, device, physics })
    };
    let input = Input::open(&arguments.input)?;
    arguments.animation.check(input.kind == Kind::Folder)?;
    match input.kind {
        Kind::Array => array(arguments, &input, open),
        Kind::Picture | Kind::Folder => pictures(&input, open(arguments)?),
    }
}

fn array(arguments: Arguments, input: &Input, open: impl FnOnce(Arguments) -> Result<Session>) -> Outcome {
    output::check(&arguments.output, "npy")?;
    if let Some(path) = &arguments.report {
        output::check(path, "png")?;
    }
    let observed = input.array(11)?;
    let [count, nx, ny] = observed.shape;
    let truth = arguments.truth.as_deref().map(|path| array_truth(path, observed.shape)).transpose()?;
    let session = open(arguments)?;
    let Session { arguments, device, .. } = &session;
    let beyond = arguments.edges.of_arrays();
    if beyond == Beyond::Periodic {
        let hint = "fields of any size are reconstructed with --edges insulated";
        for Network { net, .. } in &session.networks {
            check_size(net, nx, ny).map_err(|e| Error::file(&input.name, format!("{e}; {hint}")))?;
        }
    }
    let (norm, default) = match (arguments.norm, beyond) {
        (Some(Norm::Batch), _) | (None, Beyond::Periodic) => (Norm::Batch, count),
        (Some(Norm::Running) | None, _) => (Norm::Running, BATCH),
    };
    let y = arrays::widen(&observed.data);
    let (predicted, deviations) = session.predicted(&y, nx * ny, norm, |trained, seen| {
        if beyond != Beyond::Periodic {
            return reconstruct_planes(device, trained, arguments.batch, seen, nx, ny);
        }
        let (seen, batch) = (seen.iter().map(|&v| v as f32).collect::<Vec<_>>(), arguments.batch);
        let predicted = predict(device, trained, batch.unwrap_or(default), &seen, nx, ny)?;
        Ok(predicted.into_iter().map(f64::from).collect())
    })?;
    check_finite(&input.name, &predicted, nx * ny)?;

    let mut findings = Findings::default();
    if !arguments.edges.is_told() {
        arrays::doubt_edges(&mut findings, &y, nx, ny);
    }
    session.doubt_scale(&y, nx * ny, &mut findings);
    let physics = session.physics([nx, ny], None, |_| beyond)?;
    let rounding = rounding_of_floats(&y, arrays::precision(&observed.data));
    let known = Known { physics: physics.as_ref(), rounding, bounds: None };
    let (x, told) = session.refined(&known, &y, predicted, &mut findings)?;
    if let (Some(path), Some(deviations)) = (&arguments.uncertainty_map, deviations) {
        arrays::write_like(path, deviations, &observed)?;
    }
    arguments.animation.write(&x, [nx, ny], film::Palette::Inferno)?;
    arrays::write_like(&arguments.output, x.clone(), &observed)?;
    if let (Some(path), Some(physics)) = (&arguments.report, &physics) {
        let shown = count.min(restoration_figure::ROWS) * nx * ny;
        let truth = truth.as_ref().map(|truth| &truth[..shown]);
        let seen =
            Seen { observation: &y[..shown], x: &x[..shown], truth, nx, ny, axes: physics.axes([nx, ny]) };
        let again = physics.seen(&x[..shown])?;
        restoration_figure::draw(path, &again, &seen, Palette::Field)?;
    }
    print_line!(
        "{count} fields of {nx}x{ny} cells, on {}, are in {}{told}",
        device.describe(),
        arguments.output.display()
    );
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, false))
}

fn array_truth(path: &Path, shape: [usize; 3]) -> Result<Vec<f64>> {
    let truth = Input::open_array(path)?.array(1)?;
    if truth.shape == shape {
        return Ok(arrays::widen(&truth.data));
    }
    Err(Error::file(path, format!("has the shape {:?}, the observations have {shape:?}", truth.shape)))
}

fn pictures(input: &Input, session: Session) -> Outcome {
    let arguments = &session.arguments;
    if input.kind == Kind::Folder && arguments.uncertainty_map.is_some() {
        return Err(Error::usage("--uncertainty-map is for one picture at a time"));
    }
    let [report, truth] = [&arguments.report, &arguments.truth].map(|path| path.as_deref());
    let jobs = sources::jobs(input, &arguments.output, report, truth)?;
    sources::check_apart(&jobs, &arguments.weights)?;
    let (mut told, mut findings) = (String::new(), Findings::default());
    let tally = sources::each(input, &jobs, arguments.strict, |job, photo| {
        let mut own = Findings::default();
        told = session.picture(job, &photo, &mut own)?;
        own.name(&job.input);
        findings.append(own);
        Ok(())
    })?;
    if input.kind == Kind::Folder {
        told.clear(); // that of the last one alone says little
    }
    let (device, output) = (session.device.describe(), arguments.output.display());
    print_line!("{}, on {device}, in {output}{told}", tally.counted());
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, tally.left_out > 0))
}

impl Session {
    /// The physics behind fields of this size, by what is told or else by what the networks know; `of_file`
    /// is what the fields' file says about the sides of its pixels.
    fn physics(
        &self,
        size: [usize; 2],
        of_file: Option<[f64; 2]>,
        beyond: impl Fn(&[Factor]) -> Beyond,
    ) -> Result<Option<Physics>> {
        let operator = &self.arguments.operator;
        let told = operator.is_told().then(|| operator.told(of_file)).transpose()?;
        let pixel = told.as_ref().and_then(|told| told.pixel);
        let factors = told.map(|told| told.factors.clone()).or_else(|| known_factors(self.trained_for()?));
        let Some(factors) = factors else { return Ok(None) };
        let frame = Frame::new(size, beyond(&factors), &factors);
        let blur = frame.blur(&self.physics, self.arguments.physics, &factors)?;
        Ok(Some(Physics { frame, blur, pixel }))
    }

    /// What the first network that says so was trained for.
    fn trained_for(&self) -> Option<&TrainedFor> {
        self.networks.iter().find_map(|network| network.trained_for.as_ref())
    }

    /// Doubts values far from those that networks are made for, where no network says what it was trained for
    /// and would be shown them at that scale, or where they are to be shown as they are.
    fn doubt_scale(&self, y: &[f64], cells: usize, findings: &mut Findings) {
        findings.doubts(match self.trained_for() {
            None => Found::new(None, 1, y.iter().copied()).warning(),
            Some(scale) if self.arguments.same_units => scale::other_units(scale, y, cells),
            Some(_) => None,
        });
    }

    /// The mean of what the networks `predict` for y `[batch, cells]`, each at its own scale; with several of
    /// them also the standard deviation of their predictions.
    fn predicted(
        &self,
        y: &[f64],
        cells: usize,
        norm: Norm,
        predict: impl Fn(Trained, &[f64]) -> Result<Vec<f64>>,
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let of = |Network { net, state, trained_for }: &Network| {
            let scale = trained_for.as_ref().filter(|_| !self.arguments.same_units);
            at_scale(scale, y, cells, |seen| predict(Trained { net, state, norm }, seen))
        };
        let mut all = self.networks.iter().map(of).collect::<Result<Vec<_>>>()?;
        if all.len() == 1 {
            return Ok((all.remove(0), None));
        }
        let count = all.len() as f64;
        let mean: Vec<f64> =
            (0..y.len()).map(|cell| all.iter().map(|x| x[cell]).sum::<f64>() / count).collect();
        let squares = |cell: usize| all.iter().map(|x| (x[cell] - mean[cell]).powi(2)).sum::<f64>();
        let deviations = (0..y.len()).map(|cell| (squares(cell) / (count - 1.0)).sqrt()).collect();
        Ok((mean, Some(deviations)))
    }

    /// Reconstructs one picture, and returns what refinement did.
    fn picture(&self, job: &Job, photo: &Photo, findings: &mut Findings) -> Result<String> {
        let Self { arguments, device, .. } = self;
        let (nx, ny) = (photo.nx, photo.ny);
        // As measured: tiles with their margins, predictions, and what their misfit is computed from.
        sources::check_memory(&job.input, 96 * photo.planes.len() as u64)?;
        let truth = sources::truth(job, photo)?;
        self.doubt_scale(&photo.planes, nx * ny, findings);
        let norm = arguments.norm.unwrap_or(Norm::Running);
        let (predicted, deviations) = self.predicted(&photo.planes, nx * ny, norm, |trained, seen| {
            reconstruct_planes(device, trained, arguments.batch, seen, nx, ny)
        })?;
        check_finite(&job.input, &predicted, nx * ny)?;
        let beyond = |factors: &[Factor]| arguments.edges.of_pictures(factors);
        let physics = self.physics([nx, ny], photo.pixel(), beyond)?;
        let rounding = sources::rounding(photo, &photo.planes);
        let known = Known { physics: physics.as_ref(), rounding, bounds: photo.depth.bounds() };
        let (x, told) = self.refined(&known, &photo.planes, predicted, findings)?;
        if let (Some(path), Some(deviations)) = (&arguments.uncertainty_map, deviations) {
            let shape = [photo.channels(), nx, ny];
            npy::write(path, &Fields { shape, data: FieldData::F64(deviations), rank2: false })?;
        }
        let written = photo.with_planes(&x);
        arguments.animation.write_pages(&written)?;
        output::picture(&job.output, &written)?;
        if let (Some(path), Some(physics)) = (&job.report, &physics) {
            let (observation, x, truth) = (&photo.planes[..], &written.planes[..], truth.as_deref());
            restoration_figure::draw(
                path,
                &physics.seen(x)?,
                &Seen { observation, x, truth, nx, ny, axes: physics.axes([nx, ny]) },
                if photo.depth.is_intensity() { Palette::Picture } else { Palette::Field },
            )?;
        }
        Ok(told)
    }

    /// The predictions after `--refine`, and what it did to the misfit. What speaks against them goes to the
    /// findings.
    fn refined(
        &self,
        known: &Known,
        y: &[f64],
        predicted: Vec<f64>,
        findings: &mut Findings,
    ) -> Result<(Vec<f64>, String)> {
        let Known { physics: Some(Physics { frame, blur, .. }), rounding, bounds } = *known else {
            return Ok((predicted, String::new()));
        };
        let Arguments { refine: updates, noise, .. } = self.arguments;
        // Without updates it tells the misfit alone.
        let rounding = frame.rounding(y, rounding);
        let (y, x) = (frame.observed(blur, noise, rounding, y)?, frame.widened(&predicted));
        let refined = refine(blur, noise, rounding, &y, &x, updates.unwrap_or(0), bounds)?;
        for (spectrum, misfit) in refined.spectra.iter().zip(&refined.after) {
            findings.spectrum(spectrum);
            let why = self.trained_for().and_then(|scale| scale::misfit(scale, spectrum, blur.factors()));
            findings.doubts(why.or_else(|| scale::unexplained(spectrum, *misfit, blur.cells())));
        }
        let Some(updates) = updates else { return Ok((predicted, String::new())) };
        let rms = |misfits: &[f64]| (misfits.iter().map(|m| m * m).sum::<f64>() / y.len() as f64).sqrt();
        let (before, after) = (rms(&refined.before), rms(&refined.after));
        let most = refined.updates.iter().max().copied().unwrap_or(0);
        let told = format!(
            "; {most} of {updates} updates took the misfit per cell from {before:.3e} to {after:.3e}{}",
            findings.told("cells")
        );
        Ok((frame.cropped(refined.x), told))
    }
}

/// What is known of an observation.
struct Known<'a> {
    /// None where nobody has said what observed it.
    physics: Option<&'a Physics>,
    /// The standard deviation of what rounding the numbers has added.
    rounding: f64,
    /// The range of its values, where they have one.
    bounds: Option<(f64, f64)>,
}

impl Physics {
    /// What the axes of its fields reach over, where that is known.
    fn axes(&self, size: [usize; 2]) -> Option<Extent> {
        self.pixel.map(|pixel| Extent::of(size, pixel))
    }

    /// What an observer sees of the fields x.
    fn seen(&self, x: &[f64]) -> Result<Vec<f64>> {
        Ok(self.frame.cropped(self.blur.apply(&self.frame.widened(x))?))
    }
}

/// What a network says that it was trained for, where that is enough to compute it.
fn known_factors(trained_for: &TrainedFor) -> Option<Vec<Factor>> {
    match (trained_for.amount, &trained_for.operator) {
        (Some(amount), _) => Some(vec![Factor::heat([amount; 2]).ok()?]),
        // No formula, which could name a file to read: weights come from anywhere.
        (None, Some(text)) => text.split('+').map(|factor| Factor::parse(factor).ok()).collect(),
        (None, None) => None,
    }
}

fn check_finite(input: &Path, predicted: &[f64], cells: usize) -> Result<()> {
    match predicted.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(bad) => {
            let field = bad / cells;
            let what = format!("the prediction for field {field} is not finite; are these values in range?");
            Err(Error::file(input, what))
        }
    }
}
