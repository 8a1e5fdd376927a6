//! `unheat reconstruct`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::files::arrays;
use crate::cli::files::restoration_figure::{self, Seen};
use crate::cli::files::sources::{self, Job, Kind};
use crate::cli::findings::Findings;
use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::measurement::noise;
use crate::cli::flags::tuning::Preparation;
use crate::cli::terminal::messages::{note, print_line};
use crate::engine::predictor::{check_size, predict};
use crate::engine::{Device, Norm, Trained, operators};
use crate::io::arrays::{npy, weights};
use crate::io::images::photo::{self, Photo};
use crate::io::plots::restoration::Palette;
use crate::model::unet::init::State;
use crate::model::{DType, HeatEquation, UNet};
use crate::restore::measurement::NoiseLevel;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::network::refine::refine;
use crate::restore::network::tiled::reconstruct_planes;
use crate::restore::{Diffusion, Edges};
use crate::{Error, Result};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Fields at a time where it does not matter to the result.
const BATCH: usize = 64;

#[derive(Args)]
pub(super) struct Arguments {
    /// A trained network, unheat's or PyTorch's
    #[arg(long, value_name = "FILE.safetensors")]
    weights: PathBuf,
    /// Observed fields, [count, x, y] or [x, y] in a .npy file; or a picture of any size (PNG, JPEG, TIFF, 8
    /// or 16 bits, each colour by itself, 0 to 1); or a folder of pictures
    #[arg(short, long, value_name = "FILE|DIR")]
    input: PathBuf,
    /// The predictions, of the input's shape and type or bit depth; replaced if it exists
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
    /// Diffusivity × time between truth and observation, in cells²; what --refine and --report go by
    #[arg(long)]
    amount: Option<f64>,
    /// Then update each prediction by up to N damped inverses of its misfit to the observation; an update
    /// that would make the misfit worse is not made
    #[arg(long, value_name = "N", requires = "amount")]
    refine: Option<usize>,
    /// Standard deviation of the observation's noise, for --refine; or auto, which reads it from the
    /// observation
    #[arg(long, value_name = "auto|SIGMA", value_parser = noise, default_value = "auto")]
    noise: NoiseLevel,
    /// Draw observation, reconstruction, re-diffused reconstruction and residual with their numbers; of an
    /// array, the first four fields; of a folder, one report per picture in this folder
    #[arg(long, value_name = "FILE.png|DIR", requires = "amount")]
    report: Option<PathBuf>,
    /// What there was before diffusion, to compare with in the report; of a folder, a folder with the same
    /// names
    #[arg(long, value_name = "FILE|DIR", requires = "report")]
    truth: Option<PathBuf>,
    /// Compute the physics of --refine and --report in 32 or 64 bits
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F32)]
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
    net: UNet,
    state: State,
    device: Device,
    /// Where the physics is computed.
    physics: Device,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    if arguments.output == arguments.weights {
        return Err(Error::usage("--output and --weights name the same file"));
    }
    if let Some(amount) = arguments.amount {
        HeatEquation::check_amount(amount)?;
    }
    let (net, state) = weights::read(&arguments.weights)?;
    let open = |arguments: Arguments| {
        let device = arguments.device.open()?;
        arguments.preparation.recall(&device, &net)?;
        let (physics, said) = operators::device_for(device.clone(), arguments.physics);
        if let (Some(said), Some(_)) = (said, arguments.amount) {
            note!("{said}");
        }
        Ok(Session { arguments, net, state, device, physics })
    };
    match sources::kind(&arguments.input)? {
        Kind::Array => array(arguments, open),
        kind => pictures(kind, open(arguments)?),
    }
}

fn array(arguments: Arguments, open: impl FnOnce(Arguments) -> Result<Session>) -> Outcome {
    let observed = npy::read(&arguments.input)?;
    let [count, nx, ny] = observed.shape;
    sources::check_array_output(&arguments.output)?;
    let truth = arguments.truth.as_deref().map(|path| array_truth(path, observed.shape)).transpose()?;
    if let Some(path) = &arguments.report {
        arrays::check_output(path)?;
    }
    let session = open(arguments)?;
    check_size(&session.net, nx, ny).map_err(|e| Error::file(&session.arguments.input, e.to_string()))?;
    let Session { arguments, net, state, device, .. } = &session;
    let (norm, default) = match arguments.norm.unwrap_or(Norm::Batch) {
        Norm::Batch => (Norm::Batch, count),
        Norm::Running => (Norm::Running, BATCH),
    };
    let y = arrays::widen(&observed.data);
    let values: Vec<f32> = y.iter().map(|&v| v as f32).collect();
    let batch = arguments.batch.unwrap_or(default);
    let predicted = predict(device, Trained { net, state, norm }, batch, &values, nx, ny)?;
    let predicted: Vec<f64> = predicted.into_iter().map(f64::from).collect();
    check_finite(&arguments.input, &predicted, nx * ny)?;

    let periodic =
        |amount| Diffusion::new(&session.physics, arguments.physics, [nx, ny], amount, Edges::Periodic);
    let diffusion = arguments.amount.map(periodic).transpose()?;
    let rounding = rounding_of_floats(&y, arrays::precision(&observed.data));
    let (x, told) = session.refined(diffusion.as_ref(), rounding, &y, predicted, None)?;
    arrays::write_like(&arguments.output, x.clone(), &observed)?;
    if let (Some(path), Some(diffusion)) = (&arguments.report, &diffusion) {
        let shown = count.min(restoration_figure::ROWS) * nx * ny;
        let truth = truth.as_ref().map(|truth| &truth[..shown]);
        let seen = Seen { observation: &y[..shown], x: &x[..shown], truth, nx, ny };
        restoration_figure::draw(path, diffusion, &seen, Palette::Field)?;
    }
    print_line!(
        "{count} fields of {nx}x{ny} cells, on {}, are in {}{told}",
        device.describe(),
        arguments.output.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn array_truth(path: &Path, shape: [usize; 3]) -> Result<Vec<f64>> {
    let truth = npy::read(path)?;
    if truth.shape == shape {
        return Ok(arrays::widen(&truth.data));
    }
    Err(Error::file(path, format!("has the shape {:?}, the observations have {shape:?}", truth.shape)))
}

fn pictures(kind: Kind, session: Session) -> Outcome {
    let arguments = &session.arguments;
    let [report, truth] = [&arguments.report, &arguments.truth].map(|path| path.as_deref());
    let jobs = sources::jobs(kind, &arguments.input, &arguments.output, report, truth)?;
    let mut told = String::new();
    sources::each(&jobs, |job, photo| {
        told = session.picture(job, &photo)?;
        Ok(())
    })?;
    if kind == Kind::Folder {
        told.clear(); // that of the last one alone says little
    }
    let (device, output) = (session.device.describe(), arguments.output.display());
    print_line!("{}, on {device}, in {output}{told}", sources::counted(&jobs));
    Ok(ExitCode::SUCCESS)
}

impl Session {
    /// Reconstructs one picture, and returns what refinement did.
    fn picture(&self, job: &Job, photo: &Photo) -> Result<String> {
        let Self { arguments, net, state, device, .. } = self;
        let (nx, ny) = (photo.nx, photo.ny);
        let truth = job.truth.as_deref().map(|path| picture_truth(path, photo)).transpose()?;
        let norm = arguments.norm.unwrap_or(Norm::Running);
        let trained = Trained { net, state, norm };
        let predicted = reconstruct_planes(device, trained, arguments.batch, &photo.planes, nx, ny)?;
        check_finite(&job.input, &predicted, nx * ny)?;
        let insulated =
            |amount| Diffusion::new(&self.physics, arguments.physics, [nx, ny], amount, Edges::Insulated);
        let diffusion = arguments.amount.map(insulated).transpose()?;
        let (rounding, bounds) = (photo.depth.rounding(), Some((0.0, 1.0)));
        let (x, told) = self.refined(diffusion.as_ref(), rounding, &photo.planes, predicted, bounds)?;
        let written = photo.with_planes(&x);
        written.write(&job.output)?;
        if let (Some(path), Some(diffusion)) = (&job.report, &diffusion) {
            let (observation, x, truth) = (&photo.planes[..], &written.planes[..], truth.as_deref());
            restoration_figure::draw(
                path,
                diffusion,
                &Seen { observation, x, truth, nx, ny },
                Palette::Picture,
            )?;
        }
        Ok(told)
    }

    /// The predictions after `--refine`, and what it did to the misfit.
    fn refined(
        &self,
        diffusion: Option<&Diffusion>,
        rounding: f64,
        y: &[f64],
        predicted: Vec<f64>,
        bounds: Option<(f64, f64)>,
    ) -> Result<(Vec<f64>, String)> {
        let (Some(diffusion), Some(updates)) = (diffusion, self.arguments.refine) else {
            return Ok((predicted, String::new()));
        };
        let noise = self.arguments.noise;
        let refined = refine(diffusion, noise, rounding, y, &predicted, updates, bounds)?;
        let rms = |misfits: &[f64]| (misfits.iter().map(|m| m * m).sum::<f64>() / y.len() as f64).sqrt();
        let (before, after) = (rms(&refined.before), rms(&refined.after));
        let most = refined.updates.iter().max().copied().unwrap_or(0);
        let mut findings = Findings::default();
        refined.spectra.iter().for_each(|spectrum| findings.spectrum(diffusion, spectrum));
        let told = format!(
            "; {most} of {updates} updates took the misfit per cell from {before:.3e} to {after:.3e}{}",
            findings.told("cells")
        );
        Ok((refined.x, told))
    }
}

fn picture_truth(path: &Path, photo: &Photo) -> Result<Vec<f64>> {
    let truth = photo::read(path)?;
    let shape = |photo: &Photo| (photo.nx, photo.ny, photo.channels());
    if shape(&truth) == shape(photo) {
        return Ok(truth.planes);
    }
    let told = |photo: &Photo| format!("{}x{} pixels with {} colours", photo.nx, photo.ny, photo.channels());
    Err(Error::file(path, format!("{}, but the observation has {}", told(&truth), told(photo))))
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
