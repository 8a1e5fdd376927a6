//! The folder that one training run writes into: never one that holds another run.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::io::atomic::{self, Unfinished, is_unfinished};
use crate::{Error, Result};

/// Creates the folder of a run and returns its path.
///
/// With `requested` that folder, its parents too, or that folder itself if it is there and empty; otherwise
/// `runs/<method>-001` below the working directory, or the number after the highest there is. Two processes
/// that ask at once get two folders.
///
/// The folder appears with what `fill` puts into it, or not at all: it is filled under a hidden name beside
/// its place. A process that is killed meanwhile leaves that.
///
/// # Errors
/// [`Error::Usage`] when `requested` exists already and is not empty; [`Error::Io`] when a folder cannot be
/// created; those of `fill`.
pub fn create(
    requested: Option<&Path>,
    method: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let fill = |folder: &Path| {
        let lock = folder.join(LOCK);
        File::create(&lock).map_err(Error::io(&lock, "cannot create"))?;
        fill(folder)
    };
    match requested {
        Some(path) => create_new(path, fill),
        None => create_numbered(Path::new("runs"), method, fill),
    }
}

/// Refuses a folder that is there already and not empty, before anything is opened or measured for a run in
/// it.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_new(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() && !is_empty(path) { Err(taken(path)) } else { Ok(()) }
}

fn is_empty(folder: &Path) -> bool {
    // What a killed process has left of filling it counts for nothing.
    let counts = |entry: std::io::Result<fs::DirEntry>| !entry.is_ok_and(|e| is_unfinished(&e.file_name()));
    fs::read_dir(folder).is_ok_and(|entries| !entries.into_iter().any(counts))
}

/// The file that is locked. It means nothing by being there.
const LOCK: &str = ".lock";

/// Held by the one process that writes into a run's folder. The system takes it back when the process ends,
/// however it does.
#[derive(Debug)]
pub struct Lock {
    /// Locked as long as it is open.
    _file: File,
}

/// Refuses files of a folder that are links, pipes or folders: what a run writes is its own.
///
/// # Errors
/// [`Error::File`].
pub fn check_own(folder: &Path, names: &[&str]) -> Result<()> {
    let foreign = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| !found.is_file());
    match names.iter().map(|name| folder.join(name)).find(foreign) {
        None => Ok(()),
        Some(path) => {
            Err(Error::file(&path, "not a file of its own, so it is not written; move or delete it"))
        }
    }
}

/// Takes the lock of a run's folder.
///
/// # Errors
/// [`Error::Usage`] when another process holds it; [`Error::File`] when the file is a link or none;
/// [`Error::Io`] when the file cannot be made. Where the file system has no locks, a warning is logged and
/// there is none.
pub fn lock(folder: &Path) -> Result<Lock> {
    check_own(folder, &[LOCK])?;
    let lock = try_lock(&folder.join(LOCK))?;
    lock.ok_or_else(|| {
        Error::usage(format!("{}: another process is training in this folder", folder.display()))
    })
}

/// Takes the lock that this file is; none when another process holds it.
///
/// # Errors
/// [`Error::Io`] when the file cannot be made. Where the file system has no locks, a warning is logged and
/// there is none.
pub fn try_lock(path: &Path) -> Result<Option<Lock>> {
    // Nothing is written into it, and what is there stays.
    let opened = File::options().write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(Error::io(path, "cannot create"))?;
    Ok(take(&file, path)?.then_some(Lock { _file: file }))
}

/// Locks an open file until it is closed everywhere, in processes that have got it as well; whether no other
/// process holds it.
///
/// # Errors
/// [`Error::Io`]. Where the file system has no locks, a warning is logged and there is none.
pub fn take(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            log::warn!("{}: {error}; make sure that no other process trains in this folder", path.display());
            Ok(true)
        }
        Err(TryLockError::Error(error)) => Err(Error::io(path, "cannot lock")(error)),
    }
}

/// Whether another process trains in this folder.
///
/// # Errors
/// Those of [`lock`], but for that.
pub fn is_locked(folder: &Path) -> Result<bool> {
    check_own(folder, &[LOCK])?;
    Ok(try_lock(&folder.join(LOCK))?.is_none())
}

/// Waits for the lock of a folder, which is made if it is not there.
///
/// # Errors
/// [`Error::Io`] and [`Error::File`].
pub fn wait_for_lock(folder: &Path) -> Result<Lock> {
    fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    check_own(folder, &[LOCK])?;
    let path = folder.join(LOCK);
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(Error::io(&path, "cannot create"))?;
    match file.lock() {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(Error::io(&path, "cannot lock")(error)),
        _ => Ok(Lock { _file: file }),
    }
}

/// Whether a folder holds nothing but a lock.
pub fn is_new(folder: &Path) -> bool {
    let counts = |entry: std::io::Result<fs::DirEntry>| {
        !entry.is_ok_and(|e| is_unfinished(&e.file_name()) || e.file_name() == LOCK)
    };
    fs::read_dir(folder).is_ok_and(|entries| !entries.into_iter().any(counts))
}

/// Creates a folder that is no run's, as [`create`] does. `fill` must put something into it: a rename would
/// replace an empty folder of another process.
///
/// # Errors
/// Those of [`create`].
pub fn create_new(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    check_new(path)?;
    if path.is_dir() {
        return fill_empty(path, fill);
    }
    let parent = atomic::folder_of(path);
    fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create the folder"))?;
    let mut hidden = filled(parent, path, fill)?;
    if place(&mut hidden, path)? { Ok(path.to_owned()) } else { Err(taken(path)) }
}

/// Fills an empty folder, which stays what it is: a mount, a link, or one with permissions of its own. What
/// `fill` makes is moved into it when all of it is there, in the order of the names' bytes: a run's settings
/// come after its lock and its checkpoint.
fn fill_empty(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let refused = || Error::io(path, "cannot fill the folder");
    atomic::remove_unfinished(path)?;
    let hidden = filled(path, path, fill)?;
    let names = |folder: &Path| -> std::io::Result<Vec<_>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    if names(path).map_err(refused())?.len() > 1 {
        return Err(taken(path)); // another process has filled it meanwhile
    }
    let mut made = names(hidden.path()).map_err(refused())?;
    made.sort();
    for name in made {
        fs::rename(hidden.path().join(&name), path.join(&name)).map_err(refused())?;
    }
    atomic::sync_folder(path);
    Ok(path.to_owned())
}

fn taken(path: &Path) -> Error {
    let path = path.display();
    Error::usage(format!("{path} exists already; name a new folder, or move or delete this one"))
}

fn create_numbered(parent: &Path, method: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    fs::create_dir_all(parent).map_err(Error::io(parent, "cannot create the folder"))?;
    let mut number = highest(parent, method)? + 1;
    let path = |number| parent.join(format!("{method}-{number:03}"));
    let mut hidden = filled(parent, &path(number), fill)?;
    // Another process may have taken this number since we looked.
    while !place(&mut hidden, &path(number))? {
        number += 1;
    }
    Ok(path(number))
}

/// A hidden folder beside `path` with what `fill` puts into it.
fn filled(parent: &Path, path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Unfinished> {
    let hidden = Unfinished::new(parent, fs::create_dir);
    let (hidden, ()) = hidden.map_err(Error::io(path, "cannot create the folder"))?;
    fill(hidden.path())?;
    Ok(hidden)
}

/// Moves a folder to `path`, unless something is there; whether it did.
fn place(hidden: &mut Unfinished, path: &Path) -> Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false); // the rename below would replace an empty folder
    }
    match hidden.rename(path) {
        Ok(()) => {
            atomic::sync_folder(atomic::folder_of(path));
            Ok(true)
        }
        Err(_) if path.symlink_metadata().is_ok() => Ok(false),
        Err(error) => Err(Error::io(path, "cannot create the folder")(error)),
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

    fn fill(folder: &Path) -> Result<()> {
        let path = folder.join("config.toml");
        fs::write(&path, "x").map_err(Error::io(&path, "cannot write"))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_filled_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let failed = create(Some(&path), "sip", |hidden| {
            fill(hidden)?;
            assert_eq!(names(root.path()).len(), 1, "the folder is not in its place yet");
            assert!(!path.exists() && hidden.parent() == path.parent());
            Err(Error::usage("the pen broke"))
        });
        assert!(failed.unwrap_err().to_string().contains("the pen broke"));
        assert!(names(root.path()).is_empty());
        create(Some(&path), "sip", fill).unwrap();
        assert_eq!(names(root.path()), ["run"]);
        assert_eq!(names(&path), [".lock", "config.toml"]);
        // One that another process makes meanwhile, even an empty one, is not replaced.
        let second = root.path().join("second");
        let refused = create(Some(&second), "sip", |hidden| {
            fs::create_dir(&second).unwrap();
            fill(hidden)
        });
        assert!(refused.unwrap_err().to_string().contains("exists already"));
        assert!(names(&second).is_empty());
        assert_eq!(names(root.path()), ["run", "second"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_an_ordinary_new_folder() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let root = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (root.path().join("ours"), root.path().join("ordinary"));
        create(Some(&ours), "sip", fill).unwrap();
        fs::create_dir(&ordinary).unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
    }

    #[test]
    fn a_requested_folder_is_created_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/run");
        assert_eq!(create(Some(&path), "sip", fill).unwrap(), path);
        assert!(path.is_dir());
        let message = create(Some(&path), "sip", fill).unwrap_err();
        assert!(matches!(message, Error::Usage(_)));
        assert!(message.to_string().contains("exists already"));
    }

    #[test]
    fn an_empty_folder_is_used_and_stays_what_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("empty");
        fs::create_dir(&path).unwrap();
        let failed = create(Some(&path), "sip", |_| Err(Error::usage("the pen broke")));
        assert!(failed.is_err() && names(&path).is_empty());
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
            fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
            let before = fs::metadata(&path).unwrap();
            symlink(&path, root.path().join("link")).unwrap();
            create(Some(&root.path().join("link")), "sip", fill).unwrap();
            let after = fs::metadata(&path).unwrap();
            assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
            assert_eq!(names(&path), [".lock", "config.toml"]);
        }
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        let refused = create(Some(&other), "sip", |hidden| {
            fs::write(other.join("mine"), "x").unwrap();
            fill(hidden)
        });
        assert!(refused.unwrap_err().to_string().contains("exists already"));
        assert_eq!(names(&other), ["mine"]);
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(create(Some(&file), "sip", fill), Err(Error::Usage(_))));
        assert!(matches!(create(Some(&file.join("run")), "sip", fill), Err(Error::Io { .. })));
        assert!(matches!(create_numbered(&file, "sip", fill), Err(Error::Io { .. })));
        assert!(matches!(create(Some(Path::new("")), "sip", fill), Err(Error::Io { .. })));
    }

    #[test]
    fn numbers_go_on_from_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        assert_eq!(create_numbered(&runs, "sip", fill).unwrap(), runs.join("sip-001"));
        assert_eq!(create_numbered(&runs, "sip", fill).unwrap(), runs.join("sip-002"));
        assert_eq!(create_numbered(&runs, "gd", fill).unwrap(), runs.join("gd-001"));
        for other in ["sip-041", "sip-best", "sip-99999999999999999999", "x"] {
            fs::create_dir(runs.join(other)).unwrap();
        }
        assert_eq!(create_numbered(&runs, "sip", fill).unwrap(), runs.join("sip-042"));
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
                std::thread::spawn(move || create_numbered(&parent, "gd", fill).unwrap())
            })
            .collect();
        let mut paths: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 8);
    }
}
