//! The folder that one training run writes into: never one that holds another run.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Creates the folder of a run and returns its path.
///
/// With `requested` that folder, its parents too; otherwise `runs/<method>-001` below the working directory,
/// or the number after the highest there is. Two processes that ask at once get two folders.
///
/// # Errors
/// [`Error::Usage`] when `requested` exists already; [`Error::Io`] when a folder cannot be created.
pub fn create(requested: Option<&Path>, method: &str) -> Result<PathBuf> {
    match requested {
        Some(path) => create_new(path),
        None => create_numbered(Path::new("runs"), method),
    }
}

/// Refuses a folder that is there already, before anything is opened or measured for a run in it.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_new(path: &Path) -> Result<()> {
    if path.exists() { Err(taken(path)) } else { Ok(()) }
}

/// Held by the one process that writes into a run's folder. The system takes it back when the process ends, however
/// it does.
#[derive(Debug)]
pub struct Lock {
    /// Locked as long as it is open.
    _file: File,
}

/// Takes the lock of a run's folder, through its file `.lock`, which means nothing by being there.
///
/// # Errors
/// [`Error::Usage`] when another process holds it; [`Error::Io`] when the file cannot be made. Where the file system
/// has no locks, a warning is logged and there is none.
pub fn lock(folder: &Path) -> Result<Lock> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(Error::io(&path, "cannot create"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let folder = folder.display();
            return Err(Error::usage(format!("{folder}: another process is training in this folder")));
        }
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            log::warn!("{}: {error}; make sure that no other process trains in this folder", path.display());
        }
        Err(TryLockError::Error(error)) => return Err(Error::io(&path, "cannot lock")(error)),
    }
    Ok(Lock { _file: file })
}

fn create_new(path: &Path) -> Result<PathBuf> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create the folder"))?;
    }
    match fs::create_dir(path) {
        Ok(()) => Ok(path.to_owned()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(Error::io(path, "cannot create the folder")(error)),
    }
}

fn taken(path: &Path) -> Error {
    let path = path.display();
    Error::usage(format!("{path} exists already; name a new folder, or move or delete this one"))
}

fn create_numbered(parent: &Path, method: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create the folder"))?;
    let mut number = highest(parent, method)?;
    loop {
        number += 1;
        let path = parent.join(format!("{method}-{number:03}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            // Another process took this number since we looked.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(&path, "cannot create the folder")(error)),
        }
    }
}

/// The highest number in the names `<method>-<number>` in `parent`; 0 if there is none.
fn highest(parent: &Path, method: &str) -> Result<u64> {
    let refused = || Error::io(parent, "cannot list the folder");
    let mut highest = 0;
    for entry in fs::read_dir(parent).map_err(refused())? {
        let name = entry.map_err(refused())?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(method)?.strip_prefix('-'));
        // At most nine digits: a folder named after a huge number must not end the counting.
        let number = digits.filter(|digits| digits.len() <= 9).and_then(|digits| digits.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_folder_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/run");
        assert_eq!(create(Some(&path), "sip").unwrap(), path);
        assert!(path.is_dir());
        let message = create(Some(&path), "sip").unwrap_err();
        assert!(matches!(message, Error::Usage(_)));
        assert!(message.to_string().contains("exists already"));
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(create(Some(&file), "sip"), Err(Error::Usage(_))));
        assert!(matches!(create(Some(&file.join("run")), "sip"), Err(Error::Io { .. })));
        assert!(matches!(create_numbered(&file, "sip"), Err(Error::Io { .. })));
        assert!(matches!(create(Some(Path::new("")), "sip"), Err(Error::Io { .. })));
    }

    #[test]
    fn numbers_go_on_from_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        assert_eq!(create_numbered(&runs, "sip").unwrap(), runs.join("sip-001"));
        assert_eq!(create_numbered(&runs, "sip").unwrap(), runs.join("sip-002"));
        assert_eq!(create_numbered(&runs, "gd").unwrap(), runs.join("gd-001"));
        for other in ["sip-041", "sip-best", "sip-99999999999999999999", "x"] {
            fs::create_dir(runs.join(other)).unwrap();
        }
        assert_eq!(create_numbered(&runs, "sip").unwrap(), runs.join("sip-042"));
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock_again = || lock(folder.path());
        let first = lock_again().unwrap();
        let message = lock_again().unwrap_err();
        assert!(matches!(message, Error::Usage(_)) && message.to_string().contains("another process"));
        drop(first);
        lock_again().unwrap();
    }

    #[test]
    fn processes_never_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let parent = folder.path().to_owned();
                std::thread::spawn(move || create_numbered(&parent, "gd").unwrap())
            })
            .collect();
        let mut paths: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8);
    }
}
