//! The pictures that `--input` names, and where their results go.

use crate::cli::files::input::{Input, Kind};
use crate::cli::files::named::check_members;
use crate::cli::files::output;
use crate::cli::terminal::messages::note;
use crate::cli::terminal::progress::Counter;
use crate::io::images::format::{is_lossy, list};
use crate::io::images::photo::{self, Depth, Photo};
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

/// The files of a picture or of a folder of them. With a folder, `output`, `report` and `truth` are folders
/// too; those to be written are made if they are missing.
pub(crate) fn jobs(
    input: &Input,
    output: &Path,
    report: Option<&Path>,
    truth: Option<&Path>,
) -> Result<Vec<Job>> {
    if input.kind == Kind::Folder {
        return folder_jobs(&input.name, output, report, truth);
    }
    output::check_picture(output)?;
    report.map_or(Ok(()), |path| output::check(path, "png"))?;
    let owned = |path: Option<&Path>| path.map(Path::to_owned);
    let (input, output) = (input.name.clone(), output.to_owned());
    Ok(vec![Job { input, output, report: owned(report), truth: owned(truth) }])
}

fn folder_jobs(input: &Path, output: &Path, report: Option<&Path>, truth: Option<&Path>) -> Result<Vec<Job>> {
    let inputs = list(input)?;
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
        // What was lost to JPEG once shall not be lost again.
        let written = if is_lossy(&name) { name.with_extension("png") } else { name.clone() };
        let job = Job {
            output: output.join(&written),
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
    let read = jobs.iter().flat_map(|job| [Some(&job.input), job.truth.as_ref()]);
    let written = jobs.iter().flat_map(|job| [Some(&job.output), job.report.as_ref()]);
    check_members(read.flatten().map(PathBuf::as_path), written.flatten().map(PathBuf::as_path))?;
    for folder in [Some(output), report].into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    }
    Ok(jobs)
}

/// Works through the pictures. In a folder a bad file does not stop the others: its error is told, and counts
/// at the end.
pub(crate) fn each(
    input: &Input,
    jobs: &[Job],
    mut work: impl FnMut(&Job, Photo) -> Result<()>,
) -> Result<()> {
    let mut one = |job: &Job| {
        let photo = if input.kind == Kind::Folder { photo::read(&job.input)? } else { input.photo()? };
        output::check_format(&job.output, &photo)?;
        work(job, photo)
    };
    if let [job] = jobs {
        return one(job);
    }
    let counter = Counter::new("picture", jobs.len() as u64);
    let mut failed = 0;
    for job in jobs {
        match one(job) {
            Err(error @ (Error::File { .. } | Error::Io { .. })) => {
                failed += 1;
                counter.above(|| note!("unheat: {error}"));
            }
            other => other?,
        }
        counter.advance(&job.input.display().to_string());
    }
    counter.finish();
    if failed > 0 {
        let folder = jobs[0].input.parent().unwrap_or(Path::new("."));
        return Err(Error::file(
            folder,
            format!("{failed} of {} pictures could not be done, see above", jobs.len()),
        ));
    }
    Ok(())
}

/// "1 picture", "3 pictures".
pub(crate) fn counted(jobs: &[Job]) -> String {
    format!("{} picture{}", jobs.len(), if jobs.len() == 1 { "" } else { "s" })
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
