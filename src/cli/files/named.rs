//! The files that a command line names: none that is written may be one that is read, or another one that is
//! written.

use crate::io::identity::Identity;
use crate::model::operator::formula::Formula;
use crate::train::TrainConfig;
use crate::{Error, Result};
use clap::{ArgMatches, Command};
use std::any::TypeId;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The arguments that name what is written. Every other argument with a path names what is read.
const WRITTEN: [&str; 10] = [
    "output",
    "animation",
    "observed",
    "report",
    "uncertainty_map",
    "save_rectangles",
    "png",
    "diagnostics",
    "save_gradients",
    "folder",
];

/// The name of standard input and output.
const STANDARD: &str = "-";

/// The commands that read fields or pictures from standard input and write them to standard output.
const STREAMING: [&str; 5] = ["diffuse", "generate", "invert", "reconstruct", "restore"];

/// Whether a path is the name of standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// A file or folder, and the argument that names it.
struct Named {
    flag: String,
    path: PathBuf,
    is_written: bool,
}

/// All that a command line names.
#[derive(Default)]
pub(crate) struct Files(Vec<Named>);

impl Files {
    /// Those of a command's arguments, whichever they are: all that clap reads as paths or as operators.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let mut files = Self::default();
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            if argument.get_value_parser().type_id() == TypeId::of::<PathBuf>()
                && let Ok(Some(paths)) = matches.try_get_many::<PathBuf>(id)
            {
                paths.for_each(|path| files.add(id, path));
            }
            if argument.get_value_parser().type_id() == TypeId::of::<Formula>()
                && let Ok(Some(formula)) = matches.try_get_one::<Formula>(id)
            {
                formula.files().for_each(|path| files.add(id, path));
            }
        }
        files
    }

    /// Those of a training's settings, from wherever they come.
    pub(crate) fn of_training(config: &TrainConfig, output: Option<&Path>) -> Self {
        let mut files = Self::default();
        config.files().chain(output.map(|path| ("output", path))).for_each(|(id, path)| files.add(id, path));
        files
    }

    fn add(&mut self, id: &str, path: &Path) {
        let (flag, is_written) = (id.replace('_', "-"), WRITTEN.contains(&id));
        self.0.push(Named { flag, path: path.to_owned(), is_written });
    }

    /// Whether the result goes to standard output, so that nothing else may.
    pub(crate) fn write_to_standard_output(&self) -> bool {
        self.0.iter().any(|file| file.is_written && is_standard(&file.path))
    }

    /// Refuses standard input and output where `command` does not use them.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check_streams(&self, command: &str) -> Result<()> {
        let takes =
            |file: &&Named| STREAMING.contains(&command) && ["input", "output"].contains(&&file.flag[..]);
        match self.0.iter().find(|file| is_standard(&file.path) && !takes(file)) {
            None => Ok(()),
            Some(Named { flag, is_written, .. }) => {
                let stream =
                    if *is_written { "written to standard output" } else { "read from standard input" };
                Err(Error::usage(format!(
                    "--{flag} -: cannot be {stream}; name a file (one called - is ./-)"
                )))
            }
        }
    }

    /// Refuses a name that is written and also read, or written twice: through links, relative paths or
    /// another case too.
    ///
    /// # Errors
    /// [`Error::Usage`], which names both arguments.
    pub(crate) fn check(&self) -> Result<()> {
        let named: Vec<(&Named, Identity)> =
            self.0.iter().filter_map(|file| Some((file, Identity::of(&file.place()?)))).collect();
        for (i, (a, identity)) in named.iter().enumerate() {
            let again =
                named[..i].iter().find(|(b, other)| (a.is_written || b.is_written) && identity == other);
            if let Some((b, _)) = again {
                let [a, b] = if a.is_written { [a, b] } else { [b, a] };
                let (of_a, of_b) = (a.path.display(), b.path.display());
                return Err(Error::usage(format!(
                    "--{} {of_a} and --{} {of_b} name the same file or folder; let --{0} name another one",
                    a.flag, b.flag
                )));
            }
        }
        self.check_inside(&named)
    }

    /// Refuses to write over a member of a folder that is read.
    fn check_inside(&self, named: &[(&Named, Identity)]) -> Result<()> {
        for folder in self.0.iter().filter(|file| !file.is_written && file.path.is_dir()) {
            for member in std::fs::read_dir(&folder.path).into_iter().flatten().flatten() {
                let identity = Identity::of(&member.path());
                if let Some((file, _)) = named.iter().find(|(file, own)| file.is_written && *own == identity)
                {
                    let (path, member) = (file.path.display(), member.path());
                    return Err(Error::usage(format!(
                        "--{} {path} and {} of --{} name the same file; let --{0} name another one",
                        file.flag,
                        member.display(),
                        folder.flag
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Named {
    /// What is read or written: of a stream the file that it comes from or goes to, if it is one.
    fn place(&self) -> Option<PathBuf> {
        if !is_standard(&self.path) {
            return Some(self.path.clone());
        }
        let stream = Path::new(if self.is_written { "/dev/stdout" } else { "/dev/stdin" });
        stream.is_file().then(|| stream.to_owned())
    }
}

/// Refuses members of folders of which one that is `written` would overwrite one that is `read`, or another
/// one.
///
/// # Errors
/// [`Error::Usage`], which names both files.
pub(crate) fn check_members<'a>(
    read: impl Iterator<Item = &'a Path>,
    written: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let mut taken: HashMap<Identity, &Path> = read.map(|path| (Identity::of(path), path)).collect();
    for path in written {
        if let Some(other) = taken.insert(Identity::of(path), path) {
            let (path, other) = (path.display(), other.display());
            return Err(Error::usage(format!(
                "{path} and {other} name the same file; let the results go to another folder"
            )));
        }
    }
    Ok(())
}
