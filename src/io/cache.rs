//! Small files that save work and may be deleted at any time, in the user's cache folder.

use crate::io::atomic;
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The environment variable that names another folder.
pub const FOLDER_VARIABLE: &str = "UNHEAT_CACHE_DIR";

/// Larger files are not ours.
const MOST_BYTES: u64 = 1 << 20;

/// What `UNHEAT_CACHE_DIR` names, else `unheat` in the system's folder: `$XDG_CACHE_HOME` or `~/.cache`,
/// `~/Library/Caches`, `%LOCALAPPDATA%`. None where the system names none.
pub fn folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if !folder.is_empty() => Some(PathBuf::from(folder)),
        _ => system_folder().map(|folder| folder.join("unheat")),
    }
}

/// The system's folder for files that may be deleted at any time.
fn system_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|path| path.is_absolute());
    if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
    }
}

/// The text of a file, none where there is no such file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read or is no text, [`Error::File`] where it is no file or larger than a
/// mebibyte.
pub fn read(path: &Path) -> Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io(path, "cannot open"))?,
    };
    if !file.metadata().map_err(Error::io(path, "cannot open"))?.is_file() {
        return Err(Error::file(path, "not a regular file"));
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(Error::io(path, "cannot read"))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Error::file(path, "larger than anything that unheat keeps"));
    }
    Ok(Some(text))
}

/// Writes the file whole or not at all, and its folder where that is missing.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    }
    atomic::write(path, |file| file.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/a.toml");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, "first").unwrap();
        write(&path, "second").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("second"));
        assert!(read(folder.path()).is_err(), "a folder");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path).is_err(), "no text");
        std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("larger"));
    }

    #[test]
    fn a_file_in_the_way_of_the_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::write(&taken, "").unwrap();
        assert!(write(&taken.join("a.toml"), "").is_err());
    }
}
