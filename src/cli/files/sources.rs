//! What `--input` names: an array, a picture, or a folder of pictures; and where their results go.

use crate::cli::files::arrays;
use crate::cli::terminal::messages::note;
use crate::cli::terminal::progress::Counter;
use crate::io::images::format::{has_picture_name, list, written_name};
use crate::io::images::photo::{self, Depth, Photo};
use crate::model::DType;
use crate::restore::measurement::noise::rounding_of_floats;
use crate::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Array,
    Picture,
    Folder,
}

/// Finds out by looking into the file, and by its name where it holds nothing that is known.
pub(crate) fn kind(path: &Path) -> Result<Kind> {
    let facts = path.metadata().map_err(Error::io(path, "cannot read"))?;
    if facts.is_dir() {
        return Ok(Kind::Folder);
    }
    let mut start = Vec::new();
    if facts.is_file() {
        let file = std::fs::File::open(path).map_err(Error::io(path, "cannot read"))?;
        file.take(64).read_to_end(&mut start).map_err(Error::io(path, "cannot read"))?;
    }
    let named_array = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if start.starts_with(b"\x93NUMPY") || named_array {
        Ok(Kind::Array)
    } else if photo::is_picture(&start) || has_picture_name(path) {
        Ok(Kind::Picture)
    } else {
        Err(Error::file(
            path,
            "neither a .npy array nor a picture; name one of them (.png, .jpg, .tiff, .gif, .webp, .bmp), or a \
             folder of pictures",
        ))
    }
}

/// Refuses the name of a picture for an array's result.
pub(crate) fn check_array_output(output: &Path) -> Result<()> {
    if has_picture_name(output) {
        return Err(Error::file(output, "cannot write: the input is an array, so name a .npy file"));
    }
    arrays::check_output(output)
}

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
    kind: Kind,
    input: &Path,
    output: &Path,
    report: Option<&Path>,
    truth: Option<&Path>,
) -> Result<Vec<Job>> {
    if kind == Kind::Folder {
        return folder_jobs(input, output, report, truth);
    }
    for path in [Some(output), report].into_iter().flatten() {
        arrays::check_output(path)?;
    }
    if report == Some(output) {
        return Err(Error::usage("--output and --report name the same file"));
    }
    let owned = |path: Option<&Path>| path.map(Path::to_owned);
    Ok(vec![Job { input: input.into(), output: output.into(), report: owned(report), truth: owned(truth) }])
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
    if report == Some(output) {
        return Err(Error::usage("--output and --report name the same folder"));
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
    for folder in [Some(output), report].into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    }
    Ok(jobs)
}

/// Works through the pictures. In a folder a bad file does not stop the others: its error is told, and counts
/// at the end.
pub(crate) fn each(jobs: &[Job], mut work: impl FnMut(&Job, Photo) -> Result<()>) -> Result<()> {
    let mut one = |job: &Job| {
        let photo = photo::read(&job.input)?;
        photo.check_name(&job.output)?;
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
