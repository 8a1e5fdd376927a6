//! The one error type: every message is a single line that says what is wrong, where, and what to do.

use std::path::{Path, PathBuf};

/// Everything that can go wrong. The command line turns [`Error::Usage`] and [`Error::BatchTooLarge`] into exit code 2 and
/// the rest into 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is impossible (a bad flag, a size that does not divide, an unknown device).
    #[error("{0}")]
    Usage(String),
    /// The operating system refused a file operation.
    #[error("{}: {what}: {}", shown(path), reason(source))]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What was attempted, such as "cannot write".
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file was read but does not hold what it should.
    #[error("{}: {what}", shown(path))]
    File {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// The GPU, its driver or a shader failed.
    #[error("{0}")]
    Device(String),
    /// A batch does not fit into memory, and a smaller one does.
    #[error("batch {batch}: {why}; the largest batch that fits is {fits}")]
    BatchTooLarge {
        /// What was asked for.
        batch: usize,
        /// What is too small, such as a binding or the memory.
        why: String,
        /// The largest that does.
        fits: usize,
    },
    /// A device has not enough memory for what was asked.
    #[error("{0}")]
    OutOfMemory(String),
    /// Training ended before its end, and can go on.
    #[error("{cause}; once that is mended: unheat train --resume {}", shown(folder))]
    Stopped {
        /// What ended it.
        cause: Box<Error>,
        /// The run's folder.
        folder: PathBuf,
    },
    /// Training produced a loss that is not a finite number.
    #[error("a loss or gradient at step {step} is not finite; {hint}")]
    NonFinite {
        /// The step whose loss is infinite or not a number.
        step: u64,
        /// What was saved and what to try.
        hint: String,
    },
}

/// The system's reason, in plain words where it is the commonest.
fn reason(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder; check the name".to_owned(),
        _ => source.to_string(),
    }
}

/// Without line breaks and terminals' control sequences: names and values from files and flags stand in messages.
fn one_line(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// A path in a message.
fn shown(path: &Path) -> String {
    one_line(path.display().to_string())
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A [`Error::Usage`] from anything printable.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(one_line(message.into()))
    }

    /// A closure for `map_err` that attaches the path and the attempted action to a system error.
    pub fn io(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }

    /// A [`Error::File`] for `path`.
    pub fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), what: one_line(what.into()) }
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
            Error::Stopped { cause: Error::file(path, "x\ny").into(), folder },
        ] {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
    }
}
