//! Files that appear whole or not at all, so that a crash never leaves half a checkpoint under its final
//! name.

mod folder;
mod in_place;
mod properties;
mod target;

pub(crate) use crate::io::atomic::folder::{folder_of, sync_folder};
use crate::io::atomic::target::Target;
use crate::{Error, Result};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Cursor, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How the names of unfinished files begin.
const PREFIX: &str = ".unheat-";

/// How they end.
const SUFFIX: &str = ".part";

/// What formats whose beginning tells where the rest is are written to: they go back.
pub(crate) trait WriteSeek: Write + Seek {}

impl<T: Write + Seek> WriteSeek for T {}

/// Writes `path` through an unfinished file in the same folder that is renamed once its bytes are on the
/// disk.
///
/// A file already at `path` is replaced in one step; a reader sees the old one or the new one. The new one
/// has the owner and the permissions of the old one. A symbolic link stays, and what it names is replaced.
/// Where a file cannot be replaced, since it is a mount of its own or nothing can be made in its folder,
/// its bytes are written into it, with a warning in the log. A pipe or a device takes the bytes as they
/// are. `contents` writes the bytes into a buffer.
///
/// # Errors
/// [`Error::File`] when `path` is a folder, in a folder that is missing, or read-only. [`Error::Io`] when it
/// cannot be written, the disk is full, or `contents` fails. Nothing is left behind then, and a file that was
/// at `path` before is untouched.
pub fn write(path: &Path, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    write_anywhere(path, |out| contents(out))
}

/// Like [`write()`], where `contents` may go back.
pub(crate) fn write_anywhere(
    path: &Path,
    contents: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>,
) -> Result<()> {
    let (path, there) = match target::at(path)? {
        Target::Stream => {
            let bytes = bytes_of(contents).map_err(Error::io(path, "cannot write"))?;
            return pour(path, &bytes).map_err(Error::io(path, "cannot write"));
        }
        Target::File { path, there } => (path, there),
    };
    let folder = folder_of(&path);
    let (mut unfinished, file) = match (Unfinished::new(folder, File::create_new), &there) {
        (Ok(made), _) => made,
        (Err(why), Some(_)) => {
            let bytes = bytes_of(contents).map_err(Error::io(&path, "cannot write"))?;
            return overwrite(&path, &bytes, &why);
        }
        (Err(why), None) => return Err(Error::io(&path, IN_FOLDER)(why)),
    };
    fill(&file, contents).map_err(Error::io(&path, "cannot write"))?;
    let as_before = there.as_ref().map_or(Ok(()), |there| properties::hand_on(&path, there, &file));
    drop(file); // some systems do not rename an open file
    match as_before.and_then(|()| unfinished.rename(&path)) {
        Ok(()) => sync_folder(folder),
        Err(why) if there.is_some() => {
            let bytes = fs::read(unfinished.path()).map_err(Error::io(&path, "cannot write"))?;
            overwrite(&path, &bytes, &why)?;
        }
        Err(why) => return Err(Error::io(&path, "cannot move the finished file here")(why)),
    }
    Ok(())
}

const IN_FOLDER: &str = "cannot write (is the folder writable?)";

/// Gives the file at `to` the owner, permissions and attributes of the one at `from`, where the system allows
/// it: for a file that takes the place of one that was moved away.
pub(crate) fn hand_on(from: &Path, to: &Path) {
    let handed = from.metadata().and_then(|there| properties::hand_on(from, &there, &File::open(to)?));
    if let Err(error) = handed {
        log::warn!("{}: its permissions are not those that it had ({error})", to.display());
    }
}

/// Refuses what [`write()`] would refuse, before anything is computed for it.
///
/// # Errors
/// Those of [`write()`], but for a disk that is full.
pub fn check(path: &Path) -> Result<()> {
    match target::at(path)? {
        Target::File { path, there: None } => {
            let made = Unfinished::new(folder_of(&path), File::create_new);
            made.map(|_| ()).map_err(Error::io(&path, IN_FOLDER))
        }
        Target::File { .. } | Target::Stream => Ok(()),
    }
}

/// Whether `path` names a pipe, a terminal or a device, whose name need not say what is written to it.
pub fn is_stream(path: &Path) -> bool {
    matches!(target::at(path), Ok(Target::Stream))
}

/// The bytes that `contents` writes.
pub(crate) fn bytes_of(contents: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    contents(&mut bytes)?;
    Ok(bytes.into_inner())
}

/// Writes to a pipe or a device, which nobody else may be writing to.
fn pour(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut stream = OpenOptions::new().append(true).open(path)?;
    stream.write_all(bytes)?;
    stream.flush()
}

/// Writes into a file that cannot be replaced for the reason `why`.
fn overwrite(path: &Path, bytes: &[u8], why: &io::Error) -> Result<()> {
    log::warn!("{}: cannot be replaced in one step ({why}), so it is written in place", path.display());
    in_place::overwrite(path, bytes).map_err(Error::io(path, "cannot write"))
}

/// A file or folder with a hidden name beside the place that it is made for. Unless it is moved there, it is
/// removed when it is dropped. Its permissions are those of any new file, since it becomes a result to share.
pub(crate) struct Unfinished {
    path: PathBuf,
    is_moved: bool,
}

impl Unfinished {
    /// What `make` makes in `folder`. It must refuse a name that is taken, and is then asked again with
    /// another.
    pub(crate) fn new<T>(folder: &Path, make: impl Fn(PathBuf) -> io::Result<T>) -> io::Result<(Self, T)> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        loop {
            let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(format!("{PREFIX}{process}-{number}{SUFFIX}"));
            match make(path.clone()) {
                // A killed process may have had the same id.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|made| (Self { path, is_moved: false }, made)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it to its place. A file that is there is replaced.
    pub(crate) fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_moved = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it has been moved, the hidden name is free for others. What cannot be removed does no harm.
        if !self.is_moved {
            let remove = if self.path.is_dir() { fs::remove_dir_all } else { fs::remove_file };
            let _ = remove(&self.path);
        }
    }
}

/// Removes what processes that were killed have left of unfinished files. Nobody may be writing into
/// `folder`.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be listed, or a file not be removed.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "cannot list the folder"))? {
        let entry = entry.map_err(Error::io(folder, "cannot list the folder"))?;
        if is_unfinished(&entry.file_name()) {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let remove = if is_folder { fs::remove_dir_all } else { fs::remove_file };
            remove(entry.path()).map_err(Error::io(&entry.path(), "cannot remove"))?;
        }
    }
    Ok(())
}

/// Whether a name is that of an unfinished file or folder.
pub(crate) fn is_unfinished(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

fn fill(file: &File, contents: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    contents(&mut buffer)?;
    buffer.flush()?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_a_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |out| out.write_all(b"first, and longer")).unwrap();
        write(&path, |out| out.write_all(b"second")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write(&path, |out| {
            out.write_all(&vec![1; 1 << 20])?;
            Err(io::Error::other("the pen broke"))
        });
        assert!(failed.unwrap_err().to_string().contains("the pen broke"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn unfinished_files_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".unheat-x1y2.part", ".unheat", "a.part", "run.csv"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".unheat", "a.part", "run.csv"]);
    }

    #[test]
    fn a_missing_folder_and_a_folder_in_the_way_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/a.bin");
        assert!(matches!(write(&missing, |_| Ok(())), Err(Error::File { .. })));
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(matches!(write(&taken, |_| Ok(())), Err(Error::File { .. })));
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_an_ordinary_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        write(&ours, |_| Ok(())).unwrap();
        File::create(&ordinary).unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
    }

    #[cfg(unix)]
    #[test]
    fn folders_and_devices_are_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let message = write(folder.path(), |_| panic!("nothing may be written")).unwrap_err().to_string();
        assert!(message.contains("cannot write: this is a folder"), "{message}");
        write(Path::new("/dev/null"), |out| out.write_all(b"gone")).unwrap();
        assert!(is_stream(Path::new("/dev/null")) && !Path::new("/dev/null").metadata().unwrap().is_file());
        let full = write(Path::new("/dev/full"), |out| out.write_all(b"more")).unwrap_err().to_string();
        assert!(!cfg!(target_os = "linux") || full.contains("/dev/full: cannot write"), "{full}");
    }
}
