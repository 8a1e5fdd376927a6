//! Where results go: to a file whose ending says what it holds, or to standard output.

use crate::cli::files::named::is_standard;
use crate::cli::terminal::messages::unprintable;
use crate::io::arrays::npy::{self, Fields};
use crate::io::atomic;
use crate::io::images::photo::Photo;
use crate::{Error, Result};
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

/// Refuses an output that cannot be written, or whose name promises another format than `ending` (such as
/// "npy"), before anything is computed or another file is written.
///
/// # Errors
/// [`Error::File`] and [`Error::Io`].
pub(crate) fn check(path: &Path, ending: &str) -> Result<()> {
    let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
    if is_standard(path) {
        return check_standard();
    }
    if !named && !path.is_dir() && !atomic::is_stream(path) {
        let what = format!("cannot write: what is written here is no such file; name a .{ending} file");
        return Err(Error::file(path, what));
    }
    atomic::check(path)
}

/// Refuses a terminal, which would show the bytes of a file as signs.
fn check_standard() -> Result<()> {
    match stdout().is_terminal() {
        false => Ok(()),
        true => {
            Err(Error::usage("--output -: standard output is a terminal; send it to a file or a program"))
        }
    }
}

/// Refuses an output for pictures that cannot be written; the name is looked at with the picture.
pub(crate) fn check_picture(path: &Path) -> Result<()> {
    if is_standard(path) { check_standard() } else { atomic::check(path) }
}

/// Refuses a name whose format cannot hold this picture.
pub(crate) fn check_format(path: &Path, photo: &Photo) -> Result<()> {
    if is_standard(path) { Ok(()) } else { photo.check_name(path) }
}

/// Writes an array.
pub(crate) fn array(path: &Path, fields: &Fields) -> Result<()> {
    if is_standard(path) {
        pour(&npy::to_bytes(fields)?);
        return Ok(());
    }
    npy::write(path, fields)
}

/// Writes a picture; to standard output as PNG, or as TIFF where PNG cannot hold it.
pub(crate) fn picture(path: &Path, photo: &Photo) -> Result<()> {
    if is_standard(path) {
        pour(&photo.to_bytes()?);
        return Ok(());
    }
    photo.write(path)
}

fn pour(bytes: &[u8]) {
    let mut out = stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).unwrap_or_else(|error| unprintable(&error));
}
