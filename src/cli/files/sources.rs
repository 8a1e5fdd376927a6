//! The pictures that `--input` names, and where their results go.

use crate::cli::files::input::{Input, Kind};
use crate::cli::files::named::{check_members, is_standard};
use crate::cli::files::output;
use crate::cli::terminal::messages::note;
use crate::cli::terminal::progress::Counter;
use crate::io::atomic;
use crate::io::images::folder::{LeftOut, Listing, list};
use crate::io::images::format::written_name;
use crate::io::images::photo::{self, Depth, Photo};
use crate::io::memory;
use crate::model::DType;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// One picture to work on. Files that the user did not ask for are `None`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) report: Option<PathBuf>,
    pub(crate) truth: Option<PathBuf>,
}

/// Pictures to work on.
pub(crate) struct Jobs {
    pub(crate) list: Vec<Job>,
    left_out: Vec<LeftOut>,
    is_folder: bool,
}

/// How many pictures were done, and how many members of a folder were not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    done: usize,
    pub(crate) left_out: usize,
}

/// The files of a picture or of a folder of them. With a folder, `output`, `report` and `truth` are folders
/// too; those to be written are made if they are missing.
pub(crate) fn jobs(
    input: &Input,
    output: &Path,
    report: Option<&Path>,
    truth: Option<&Path>,
) -> Result<Jobs> {
    if input.kind == Kind::Folder {
        return folder_jobs(&input.name, output, report, truth);
    }
    output::check_picture(output)?;
    report.map_or(Ok(()), |path| output::check(path, "png"))?;
    let owned = |path: Option<&Path>| path.map(Path::to_owned);
    let (input, output) = (input.name.clone(), output.to_owned());
    let job = Job { input, output, report: owned(report), truth: owned(truth) };
    Ok(Jobs { list: vec![job], left_out: Vec::new(), is_folder: false })
}

fn folder_jobs(input: &Path, output: &Path, report: Option<&Path>, truth: Option<&Path>) -> Result<Jobs> {
    let Listing { pictures: inputs, left_out } = list(input)?;
    for folder in [Some(output), report].into_iter().flatten() {
        if folder.exists() && !folder.is_dir() {
            return Err(Error::file(folder, "cannot write: the input is a folder, so name a folder"));
        }
        if folder.canonicalize().is_ok_and(|folder| input.canonicalize().is_ok_and(|input| input == folder)) {
            return Err(Error::usage(format!(
                "{}: the input's own folder; name another one",
                folder.display()
            )));
        }
    }
    let mut jobs: Vec<Job> = Vec::new();
    for path in inputs {
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let job = Job {
            output: output.join(written_name(&name)),
            report: report.map(|folder| folder.join(&name).with_extension("png")),
            truth: truth.map(|folder| folder.join(&name)),
            input: path,
        };
        if let Some(other) = jobs.iter().find(|other| {
            other.output == job.output || (other.report.is_some() && other.report == job.report)
        }) {
            let (a, b) = (other.input.display(), job.input.display());
            return Err(Error::usage(format!("{a} and {b} would be written to the same file; rename one")));
        }
        jobs.push(job);
    }
    if is_standard(output) {
        let what = "--output -: the pictures of a folder do not go to standard output; name a folder";
        return Err(Error::usage(what));
    }
    let read = jobs.iter().flat_map(|job| [Some(&job.input), job.truth.as_ref()]);
    let written = jobs.iter().flat_map(|job| [Some(&job.output), job.report.as_ref()]);
    check_members(read.flatten().map(PathBuf::as_path), written.flatten().map(PathBuf::as_path))?;
    for folder in [Some(output), report].into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    }
    // Nobody has named a pipe that waits in the folder.
    let targets = || jobs.iter().flat_map(|job| [Some(&job.output), job.report.as_ref()]).flatten();
    if let Some(stream) = targets().find(|path| atomic::is_stream(path)) {
        return Err(Error::file(stream, "cannot write: a pipe or a device; name another folder"));
    }
    Ok(Jobs { list: jobs, left_out, is_folder: true })
}

/// Refuses results that would overwrite a file that is read beside the pictures.
pub(crate) fn check_apart(jobs: &Jobs, others: &[PathBuf]) -> Result<()> {
    let written = jobs.list.iter().flat_map(|job| [Some(&job.output), job.report.as_ref()]);
    check_members(others.iter().map(PathBuf::as_path), written.flatten().map(PathBuf::as_path))
}

/// Works through the pictures. In a folder what cannot be used does not stop the others: it is told, and
/// counts at the end. With `strict` the first such member is an error, before anything is computed.
pub(crate) fn each(
    input: &Input,
    jobs: &Jobs,
    strict: bool,
    mut work: impl FnMut(&Job, Photo) -> Result<()>,
) -> Result<Tally> {
    let Jobs { list, left_out, is_folder } = jobs;
    if !is_folder {
        let photo = input.photo()?;
        output::check_format(&list[0].output, &photo)?;
        work(&list[0], photo)?;
        return Ok(Tally { done: 1, left_out: 0 });
    }
    let mut losses = left_out.iter().filter(|left| left.is_loss).count();
    if strict {
        if let Some(first) = left_out.iter().find(|left| left.is_loss) {
            return Err(first.error());
        }
        for job in list {
            truth(job, &photo(job)?)?;
        }
    }
    left_out.iter().for_each(|left| note!("unheat: {left}"));
    let counter = Counter::new("picture", list.len() as u64);
    let mut done = 0;
    for job in list {
        match photo(job).and_then(|photo| work(job, photo)) {
            Ok(()) => done += 1,
            Err(error) => {
                let left = LeftOut::of(&job.input, error)?;
                losses += 1;
                counter.above(|| note!("unheat: {left}"));
            }
        }
        counter.advance(&job.input.display().to_string());
    }
    counter.finish();
    if done == 0 {
        let folder = list[0].input.parent().unwrap_or(Path::new("."));
        return Err(Error::file(folder, format!("none of {} pictures could be done, see above", list.len())));
    }
    Ok(Tally { done, left_out: losses })
}

fn photo(job: &Job) -> Result<Photo> {
    let photo = photo::read(&job.input)?;
    photo.check_name(&job.output)?;
    Ok(photo)
}

/// What there was before diffusion, if that is told.
pub(crate) fn truth(job: &Job, photo: &Photo) -> Result<Option<Vec<f64>>> {
    let Some(path) = &job.truth else { return Ok(None) };
    let truth = Input::open(path)?.photo()?;
    let shape = |photo: &Photo| (photo.nx, photo.ny, photo.channels(), photo.pages);
    if shape(&truth) == shape(photo) {
        return Ok(Some(truth.planes));
    }
    let told = |photo: &Photo| format!("{}x{} pixels with {} colours", photo.nx, photo.ny, photo.channels());
    Err(Error::file(path, format!("{}, but the observation has {}", told(&truth), told(photo))))
}

/// Refuses work on a file that takes more bytes than there are, before it is begun.
pub(crate) fn check_memory(path: &Path, needed: u64) -> Result<()> {
    memory::check(needed)
        .map_err(|what| Error::file(path, format!("{what} for what is computed from it; cut or shrink it")))
}

impl Tally {
    /// "1 picture", "3 pictures, 2 left out".
    pub(crate) fn counted(self) -> String {
        let Self { done, left_out } = self;
        format!("{done} picture{}{}", if done == 1 { "" } else { "s" }, left_out_words(left_out))
    }
}

/// ", 2 left out", if there are any.
pub(crate) fn left_out_words(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", {count} left out") }
}

/// The standard deviation of what rounding to the picture's samples has added to values of its planes.
pub(crate) fn rounding(photo: &Photo, values: &[f64]) -> f64 {
    match photo.depth {
        Depth::Float16 => rounding_of_floats(values, DType::F16),
        Depth::Float32 => rounding_of_floats(values, DType::F32),
        Depth::Float64 => rounding_of_floats(values, DType::F64),
        _ => photo.rounding(),
    }
}
