//! The one error type: every message is a single line that says what is wrong, where, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// What some devices can do and others cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Activations stored in 16 bits.
    HalfActivations,
    /// Physics computed in 64 bits.
    DoublePhysics,
    /// Dispatches timed by the device's own clock.
    Timestamps,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::HalfActivations => "activations f16",
            Self::DoublePhysics => "physics f64",
            Self::Timestamps => "timing by timestamps",
        })
    }
}

/// Everything that can go wrong. The command line turns [`Error::Usage`], [`Error::Unsupported`] and
/// [`Error::BatchTooLarge`] into exit code 2, [`Error::NonFinite`] into 5 and the rest into 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is impossible (a bad flag, a size that does not divide, an unknown device).
    Usage(String),
    /// The device cannot do what was asked of it; another one may.
    Unsupported {
        /// What was asked for.
        feature: Feature,
        /// The device and what it lacks.
        why: String,
    },
    /// The operating system refused a file operation.
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What was attempted, such as "cannot write".
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file was read but does not hold what it should.
    File {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// A file that another file names cannot be read, or does not hold what it should.
    Named {
        /// The setting and the file that it stands in, such as "data in runs/a/config.toml".
        by: String,
        /// [`Error::Io`] or [`Error::File`].
        cause: Box<Error>,
        /// What the person may have meant, to be appended; empty where nobody knows.
        hint: String,
    },
    /// The GPU, its driver or a shader failed.
    Device(String),
    /// The GPU or its driver computes something wrong, as the self-test has found.
    Distrusted(String),
    /// A batch does not fit into memory, and a smaller one does.
    BatchTooLarge {
        /// What was asked for.
        batch: usize,
        /// What is too small for it, such as a binding or the memory.
        why: String,
        /// The largest batch that fits.
        fits: usize,
    },
    /// A device has not enough memory for what was asked.
    OutOfMemory(String),
    /// Training has ended early, and can be resumed.
    Stopped {
        /// What ended it.
        cause: Box<Error>,
        /// The run's folder.
        folder: PathBuf,
    },
    /// Training produced a loss that is not a finite number.
    NonFinite {
        /// The step whose loss is infinite or not a number.
        step: u64,
        /// What was saved and what to try.
        hint: String,
    },
}

/// The system's reason, in plain words where it is the most common one, and without its number.
pub(crate) fn reason(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder; check the name".to_owned(),
        _ => source.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = match self {
            Self::Usage(what) | Self::Device(what) | Self::Distrusted(what) | Self::OutOfMemory(what) => {
                what.clone()
            }
            Self::Unsupported { feature, why } => format!("{feature}: {why}"),
            Self::Io { path, what, source } => format!("{}: {what}: {}", path.display(), reason(source)),
            Self::File { path, what } => format!("{}: {what}", path.display()),
            Self::Named { by, cause, hint } => match &**cause {
                Self::Io { path, what, source } => {
                    format!("{} ({by}): {what}: {}{hint}", path.display(), reason(source))
                }
                Self::File { path, what } => format!("{} ({by}): {what}{hint}", path.display()),
                other => format!("{other}{hint}"),
            },
            Self::BatchTooLarge { batch, why, fits } => {
                format!("batch {batch}: {why}; the largest batch that fits is {fits}")
            }
            Self::Stopped { cause, folder } => {
                format!("{cause}; once that is mended: unheat train --resume {}", folder.display())
            }
            Self::NonFinite { step, hint } => {
                format!("a loss or gradient at step {step} is not finite; {hint}")
            }
        };
        // Messages quote names and values from files and flags, which may hold line breaks and control
        // sequences.
        let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        f.write_str(&text.replace(breaks, " "))
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A [`Error::Usage`] from anything printable.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// A closure for `map_err` that attaches the path and the attempted action to a system error.
    pub fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }

    /// A [`Error::File`] for `path`.
    pub fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_single_lines_whatever_they_name() {
        let path = Path::new("a\nb\u{1b}[2J.npy");
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let folder = path.to_owned();
        for error in [
            Error::usage(path.display().to_string()),
            Error::file(path, "key = \"a\r\nb\""),
            Error::io(path, "cannot read")(gone()),
            Error::Stopped { cause: Error::file(path, "x\u{2028}y").into(), folder },
            Error::Device("a\nb".to_owned()),
            Error::NonFinite { step: 1, hint: path.display().to_string() },
        ] {
            assert!(!error.to_string().contains(['\n', '\r', '\u{1b}', '\u{2028}']), "{error:?}");
        }
    }
}
