//! `unheat reconstruct`.

mod arguments;
mod made;
mod networks;
mod session;
mod shipped;

pub(super) use arguments::Arguments;

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::arrays;
use crate::cli::files::input::{Input, Kind};
use crate::cli::files::output;
use crate::cli::files::restoration_figure::{self, Seen};
use crate::cli::files::sources::{self, Job};
use crate::cli::findings::Findings;
use crate::cli::terminal::messages::print_line;
use crate::engine::Norm;
use crate::io::arrays::npy::{self, FieldData, Fields};
use crate::io::images::photo::Photo;
use crate::io::plots::film;
use crate::io::plots::restoration::Palette;
use crate::model::operator::factor::Factor;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::restore::network::tiled::reconstruct_planes;
use crate::restore::outcome::check::cut_off;
use crate::{Error, Result};
use made::Made;
use networks::Networks;
use session::{Known, Session};
use std::path::Path;

pub(super) fn run(arguments: Arguments) -> Outcome {
    if let Some(path) = &arguments.uncertainty_map {
        if arguments.weights.len() < 2 {
            return Err(Error::usage(
                "--uncertainty-map needs --weights several times, of networks trained with different seeds",
            ));
        }
        output::check(path, "npy")?;
    }
    let brings_own = arguments.weights.is_empty();
    if brings_own {
        if let Some(told) = arguments.operator.known()? {
            Networks::check(&told.factors)?;
        }
    } else if arguments.operator.is_told() {
        arguments.operator.check()?;
    } else if arguments.refine.is_some() || arguments.report.is_some() {
        let what = "--refine and --report need to know what observed the fields: add --amount or --operator";
        return Err(Error::usage(what));
    }
    let Arguments { weights, same_units, .. } = &arguments;
    let named = (!brings_own).then(|| Networks::read(weights, *same_units)).transpose()?;
    let input = Input::open(&arguments.input)?;
    arguments.animation.check(input.kind == Kind::Folder)?;
    match input.kind {
        Kind::Array => array(arguments, named, &input),
        Kind::Picture | Kind::Folder => pictures(&input, &Session::open(arguments, named)?),
    }
}

fn array(arguments: Arguments, named: Option<Networks>, input: &Input) -> Outcome {
    output::check(&arguments.output, "npy")?;
    if let Some(path) = &arguments.report {
        output::check(path, "png")?;
    }
    let observed = input.array(11)?;
    let [count, nx, ny] = observed.shape;
    let truth = arguments.truth.as_deref().map(|path| array_truth(path, observed.shape)).transpose()?;
    let session = Session::open(arguments, named)?;
    let Session { arguments, device, .. } = &session;
    let y = arrays::widen(&observed.data);
    let rounding = rounding_of_floats(&y, arrays::precision(&observed.data));
    let physics = session.physics([nx, ny], None, |_| arguments.edges.of_arrays())?;
    let known = Known { physics: physics.as_ref(), rounding, sampling: rounding, bounds: None };
    let networks = session.of_fields(&known, &y, [nx, ny]).map_err(about(&input.name))?;
    session.check_size(&networks, [nx, ny]).map_err(about(&input.name))?;
    let (predicted, deviations) = session.predicted(&networks, &known, &y, [nx, ny])?;
    check_finite(&input.name, &predicted, nx * ny)?;

    let mut findings = Findings::default();
    arrays::doubt_axes(&mut findings, observed.shape);
    if !arguments.edges.is_told() {
        arrays::doubt_edges(&mut findings, &y, nx, ny);
    }
    session.doubt_amount(&known, &y, &mut findings)?;
    networks.doubt_scale(&y, nx * ny, &mut findings);
    session.advise(&networks, &y, nx * ny);
    let (x, told) = session.refined(&networks, &known, &y, predicted, &mut findings)?;
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
    let mut made = Made::default();
    made.add(networks.shipped, &input.name);
    print_line!(
        "{}, on {}, in {}{made}{told}",
        arrays::counted(observed.shape),
        device.describe(),
        arguments.output.display(),
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

fn pictures(input: &Input, session: &Session) -> Outcome {
    let arguments = &session.arguments;
    if input.kind == Kind::Folder && arguments.uncertainty_map.is_some() {
        return Err(Error::usage("--uncertainty-map is for one picture at a time"));
    }
    let [report, truth] = [&arguments.report, &arguments.truth].map(|path| path.as_deref());
    let jobs = sources::jobs(input, &arguments.output, report, truth)?;
    sources::check_apart(&jobs, &arguments.weights)?;
    let (mut made, mut told, mut findings) = (Made::default(), String::new(), Findings::default());
    let tally = sources::each(input, &jobs, arguments.strict, |job, photo| {
        let mut own = Findings::default();
        let network;
        (network, told) = picture(session, job, &photo, &mut own)?;
        made.add(network, &job.input);
        own.name(&job.input);
        findings.append(own);
        Ok(())
    })?;
    if input.kind == Kind::Folder {
        told.clear(); // that of the last one alone says little
    }
    let (device, output) = (session.device.describe(), arguments.output.display());
    print_line!("{}, on {device}, in {output}{made}{told}", tally.counted());
    findings.warn();
    Ok(done(findings.doubted() && arguments.strict, tally.left_out > 0))
}

/// Reconstructs one picture, and returns by which network, if nobody named one, and what refinement did.
fn picture(
    session: &Session,
    job: &Job,
    photo: &Photo,
    findings: &mut Findings,
) -> Result<(Option<&'static str>, String)> {
    let Session { arguments, device, .. } = session;
    let (nx, ny) = (photo.nx, photo.ny);
    // As measured: tiles with their margins, predictions, and what their misfit is computed from; and what
    // networks see that see an inverse.
    sources::check_memory(&job.input, 112 * photo.planes.len() as u64)?;
    let truth = sources::truth(job, photo)?;
    let beyond = |factors: &[Factor]| arguments.edges.of_pictures(factors);
    let physics = session.physics([nx, ny], photo.pixel(), beyond)?;
    let rounding = sources::rounding(photo, &photo.planes);
    let sampling = if photo.is_lossy() { photo.depth.rounding() } else { rounding };
    let known = Known { physics: physics.as_ref(), rounding, sampling, bounds: photo.depth.bounds() };
    let networks = session.of_pictures(&known, &photo.planes, nx * ny).map_err(about(&job.input))?;
    session.doubt_amount(&known, &photo.planes, findings)?;
    networks.doubt_scale(&photo.planes, nx * ny, findings);
    session.advise(&networks, &photo.planes, nx * ny);
    let norm = arguments.norm.unwrap_or(Norm::Running);
    let inverse = |lambda, seen: &[f64]| session.inverse(&known, lambda, seen);
    let (predicted, deviations) =
        networks.predicted(&photo.planes, nx * ny, norm, inverse, |trained, seen| {
            reconstruct_planes(device, trained, arguments.batch, seen, nx, ny)
        })?;
    check_finite(&job.input, &predicted, nx * ny)?;
    let (x, told) = session.refined(&networks, &known, &photo.planes, predicted, findings)?;
    findings.doubts(cut_off(&photo.planes, &x, photo.depth.bounds()));
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
    Ok((networks.shipped, told))
}

/// Puts the name of a file before what is wrong with what was asked about it.
fn about(path: &Path) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Usage(what) => Error::file(path, what),
        other => other,
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
