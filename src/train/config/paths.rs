//! The paths in a file of settings. They count from the file's folder, so that they mean the same wherever a
//! command runs, and an error about one of them says where it comes from.

use crate::Error;
use crate::model::operator::formula::Formula;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};
use toml::{Table, Value};

/// The setting that names the files of point spread functions among other things.
pub const OPERATOR: &str = "operator";

/// The files that a file of settings names.
#[derive(Clone, Debug, Default)]
pub struct NamedFiles {
    by: PathBuf,
    files: Vec<Named>,
}

#[derive(Clone, Debug)]
struct Named {
    key: String,
    written: PathBuf,
    located: PathBuf,
}

impl NamedFiles {
    /// Makes the paths under `keys` of a `table` that was read from the file `by` those that they mean.
    pub fn locate(table: &mut Table, by: &Path, keys: &[&str]) -> Self {
        let folder = by.parent().unwrap_or(Path::new(""));
        let mut files = Vec::new();
        for (key, value) in table.iter_mut().filter(|(key, _)| keys.contains(&key.as_str())) {
            let Value::String(text) = value else { continue }; // refused later, as one of another type
            let named = |written: &Path| Named {
                key: key.clone(),
                written: written.to_owned(),
                located: folder.join(written),
            };
            if key == OPERATOR {
                let Ok(formula) = text.parse::<Formula>() else { continue }; // refused later
                files.extend(formula.files().map(named));
                let Ok(located) = formula.renamed(|path| Ok(folder.join(path))) else { continue };
                *text = located.to_string();
                continue;
            }
            let named = named(Path::new(&*text));
            let Some(name) = named.located.to_str() else { continue }; // a folder that TOML cannot hold
            *text = name.to_owned();
            files.push(named);
        }
        Self { by: by.to_owned(), files }
    }

    /// The error, which says of a path that it comes from the file, and what else it may have meant.
    pub fn explain(&self, error: Error) -> Error {
        let path = match &error {
            Error::Io { path, .. } | Error::File { path, .. } => path.clone(),
            Error::Usage(text) => return self.explain_usage(text),
            _ => return error,
        };
        // A picture may be one of a folder that is named.
        let Some(named) = self.files.iter().find(|named| whole(&path).starts_with(whole(&named.located)))
        else {
            return error;
        };
        let Named { key, written, .. } = named;
        let (flag, written_as) = (key.replace('_', "-"), written.display());
        let is_missing = matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound);
        let hint = match is_missing {
            false => String::new(),
            true if written.is_relative() && written.exists() => format!(
                "; it counts from that file's folder, and the working directory has one: say --{flag} \
                 {written_as}"
            ),
            true => format!("; if it is elsewhere, name it with --{flag}"),
        };
        let by = format!("{key} in {}", self.by.display());
        Error::Named { by, cause: error.into(), hint }
    }

    fn explain_usage(&self, text: &str) -> Error {
        let mut text = text.to_owned();
        for Named { key, located, .. } in &self.files {
            let (located, whole) = (located.display().to_string(), whole(located).display().to_string());
            let located = if text.contains(&whole) { whole } else { located };
            let explained = format!("{located} ({key} in {})", self.by.display());
            text = text.replacen(&located, &explained, 1);
        }
        Error::Usage(text)
    }
}

/// The whole path, to compare by: settings have it once they were given to a run.
fn whole(path: &Path) -> PathBuf {
    absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_files_folder_and_errors_say_whose_they_are() {
        let mut table: Table =
            "data = \"x.npy\"\nweights = \"/w\"\nsteps = 3\nobservations = 4".parse().unwrap();
        let named = NamedFiles::locate(&mut table, Path::new("runs/a/c.toml"), &["data", "weights"]);
        assert_eq!(table["data"].as_str(), Some("runs/a/x.npy"));
        assert_eq!((table["weights"].as_str(), table["steps"].as_integer()), (Some("/w"), Some(3)));
        let gone = |path: &str| {
            let error = std::io::Error::from(ErrorKind::NotFound);
            named.explain(Error::io(Path::new(path), "cannot read")(error)).to_string()
        };
        let said = gone("runs/a/x.npy");
        assert!(said.starts_with("runs/a/x.npy (data in runs/a/c.toml): cannot read: there is no"), "{said}");
        assert!(said.ends_with("name it with --data"), "{said}");
        assert!(gone("/w").starts_with("/w (weights in runs/a/c.toml): cannot read"));
        assert!(gone("y.npy").starts_with("y.npy: cannot read"));
        let usage = named.explain(Error::usage("size 8x8: runs/a/x.npy holds others")).to_string();
        assert_eq!(usage, "size 8x8: runs/a/x.npy (data in runs/a/c.toml) holds others");
        // Cargo runs tests in the package's folder.
        let mut table: Table = "data = \"Cargo.toml\"".parse().unwrap();
        let named = NamedFiles::locate(&mut table, Path::new("src/c.toml"), &["data"]);
        let error = Error::io(Path::new("src/Cargo.toml"), "cannot read")(ErrorKind::NotFound.into());
        let said = named.explain(error).to_string();
        assert!(said.ends_with("the working directory has one: say --data Cargo.toml"), "{said}");
    }
}
