//! What a command reads: an array, a picture or a folder of pictures, from a file, a pipe or standard input.

use crate::cli::files::named::is_standard;
use crate::io::arrays::npy::{self, Fields};
use crate::io::contents;
use crate::io::images::format::has_picture_name;
use crate::io::images::photo::{self, Photo};
use crate::io::memory;
use crate::{Error, Result};
use std::fs::{File, Metadata};
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Array,
    Picture,
    Folder,
}

/// An input whose kind is known.
pub(crate) struct Input {
    /// Its path; for messages, which a stream has a name for too.
    pub(crate) name: PathBuf,
    pub(crate) kind: Kind,
    /// All of a stream, which can be read but once.
    bytes: Option<Vec<u8>>,
}

/// As many first bytes of a file as tell what it is.
const START: u64 = 64;

impl Input {
    /// Finds out what `path` names by looking into the file, and by its name where it holds nothing that is
    /// known. A stream is read to its end.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] where it cannot be read or is nothing of this; [`Error::Usage`]
    /// where standard input is a terminal.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, kind)
    }

    /// An input that can be nothing but an array.
    ///
    /// # Errors
    /// Those of [`Input::open`]; what is no array is refused when its fields are asked for.
    pub(crate) fn open_array(path: &Path) -> Result<Self> {
        Self::open_as(path, |_, _| Ok(Kind::Array))
    }

    fn open_as(path: &Path, kind: impl Fn(&Path, &[u8]) -> Result<Kind>) -> Result<Self> {
        if is_standard(path) {
            if stdin().is_terminal() {
                let what = "--input -: standard input is a terminal; send a file or a program's output to it";
                return Err(Error::usage(what));
            }
            return Self::stream(Path::new("standard input"), stdin().lock(), kind);
        }
        let facts = path.metadata().map_err(Error::io(path, "cannot read"))?;
        if facts.is_dir() {
            return Ok(Self { name: path.to_owned(), kind: Kind::Folder, bytes: None });
        }
        let opened = || File::open(path).map_err(Error::io(path, "cannot read"));
        if is_pipe(&facts) {
            return Self::stream(path, opened()?, kind);
        }
        let mut start = Vec::new();
        if facts.is_file() {
            opened()?.take(START).read_to_end(&mut start).map_err(Error::io(path, "cannot read"))?;
        }
        Ok(Self { name: path.to_owned(), kind: kind(path, &start)?, bytes: None })
    }

    fn stream(name: &Path, from: impl Read, kind: impl Fn(&Path, &[u8]) -> Result<Kind>) -> Result<Self> {
        // One without an end would take all the memory there is.
        let most = memory::available().unwrap_or(u64::MAX) / 4;
        let mut bytes = Vec::new();
        from.take(most).read_to_end(&mut bytes).map_err(Error::io(name, "cannot read"))?;
        if bytes.len() as u64 == most {
            return Err(Error::file(name, format!("{most} bytes and more do not fit into memory")));
        }
        let kind = kind(name, &bytes[..bytes.len().min(START as usize)])?;
        Ok(Self { name: name.to_owned(), kind, bytes: Some(bytes) })
    }

    /// The fields of an array, for work that makes about as many copies of them in 64 bits.
    ///
    /// # Errors
    /// Those of [`npy::read_for`].
    pub(crate) fn array(&self, copies: u64) -> Result<Fields> {
        match &self.bytes {
            None => npy::read_for(&self.name, copies),
            Some(bytes) => npy::from_bytes(&self.name, bytes),
        }
    }

    /// The picture.
    ///
    /// # Errors
    /// Those of [`photo::read`].
    pub(crate) fn photo(&self) -> Result<Photo> {
        match &self.bytes {
            None => photo::read(&self.name),
            Some(bytes) => photo::from_bytes(&self.name, bytes.clone()),
        }
    }
}

fn kind(path: &Path, start: &[u8]) -> Result<Kind> {
    let named_array = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if start.starts_with(b"\x93NUMPY") || named_array {
        Ok(Kind::Array)
    } else if photo::is_picture(start) || has_picture_name(path) {
        Ok(Kind::Picture)
    } else {
        let found = contents::describe(path).map_or(String::new(), |found| format!("{found}, "));
        let what = format!(
            "{found}neither a .npy array nor a picture; name one of them (.png, .jpg, .tiff), or a folder of \
             pictures"
        );
        Err(Error::file(path, what))
    }
}

#[cfg(unix)]
fn is_pipe(facts: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    facts.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}
