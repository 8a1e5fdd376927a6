//! What stands where a file is to be written.

use crate::io::atomic::folder::folder_of;
use crate::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How a path can be written.
pub(super) enum Target {
    /// A regular file, or a free place for one.
    File {
        /// Where it is: behind symbolic links, which stay.
        path: PathBuf,
        /// What is known of the file that is there.
        there: Option<Metadata>,
    },
    /// A pipe, a terminal or a device such as /dev/null, which takes bytes as they come.
    Stream,
}

/// Symbolic links in a row that are too many.
const LINKS: usize = 40;

/// Finds out, and refuses what cannot be written, or should not be: a folder, a missing folder, a disk, a
/// file that is read-only or somebody else's.
pub(super) fn at(path: &Path) -> Result<Target> {
    let Some(path) = behind_links(path).map_err(Error::io(path, "cannot write"))? else {
        return Err(Error::file(path, "cannot write: too many symbolic links"));
    };
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(Error::file(&path, "cannot write: this is a folder")),
        Ok(found) if is_stream(&path, &found) => Ok(Target::Stream),
        Ok(found) if !found.is_file() => {
            Err(Error::file(&path, "cannot write: neither a file nor a pipe; name another file"))
        }
        Ok(found) => {
            // Those who may do everything, such as root, would not be stopped by the system.
            if found.permissions().readonly() {
                let what = "cannot write: this file is read-only; make it writable, or name another one";
                return Err(Error::file(&path, what));
            }
            let opened = OpenOptions::new().write(true).open(&path);
            opened.map_err(Error::io(&path, "cannot write"))?;
            Ok(Target::File { path, there: Some(found) })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = folder_of(&path);
            if !folder.is_dir() {
                let folder = folder.display();
                let what =
                    format!("cannot write: there is no folder {folder}; create it, or name another file");
                return Err(Error::file(&path, what));
            }
            Ok(Target::File { path, there: None })
        }
        Err(error) => Err(Error::io(&path, "cannot write")(error)),
    }
}

/// Where a path leads to; none where its links have no end. What a link names need not exist.
fn behind_links(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if is_of_the_process(&path) {
            return Ok(Some(path));
        }
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            _ => return Ok(Some(path)),
        }
    }
    Ok(None)
}

/// Whether a path names something that this process has open, such as /dev/stdout or what a shell makes of
/// `>(command)`. It may lead to a regular file that others write to as well, which must not be replaced.
fn is_of_the_process(path: &Path) -> bool {
    let is_standard = ["/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name));
    let in_process =
        path.starts_with("/proc") && path.components().any(|part| part.as_os_str() == OsStr::new("fd"));
    cfg!(unix) && (is_standard || in_process || path.starts_with("/dev/fd"))
}

#[cfg(unix)]
fn is_stream(path: &Path, found: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    kind.is_fifo() || kind.is_char_device() || is_of_the_process(path)
}

#[cfg(not(unix))]
fn is_stream(_: &Path, _: &Metadata) -> bool {
    false
}
