//! What a folder of pictures holds, and what of it is of no use. Nothing here opens what could block: a pipe
//! waits for a writer.

use crate::io::images::format::{has_picture_name, is_of_another_format};
use crate::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// What systems and programs leave in folders besides names that begin with a dot.
const OWN_FILES: [&str; 3] = ["thumbs.db", "ehthumbs.db", "desktop.ini"];

/// The members of a folder, by name.
#[derive(Debug, Default)]
pub struct Listing {
    /// Regular files that are pictures by name or by content; they may still be damaged.
    pub pictures: Vec<PathBuf>,
    /// All others.
    pub left_out: Vec<LeftOut>,
}

/// A member of a folder that is not used.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
    /// Whether it may have been meant as a picture: notes beside pictures are no loss.
    pub is_loss: bool,
}

impl LeftOut {
    /// A picture that is not used because of this error about it; other errors come back.
    ///
    /// # Errors
    /// The error, unless it is [`Error::File`] or [`Error::Io`].
    pub fn of(path: &Path, error: Error) -> Result<Self> {
        let why = match error {
            Error::File { what, path: about } if about == path => what,
            Error::File { .. } | Error::Io { .. } => error.to_string(),
            other => return Err(other),
        };
        Ok(Self { path: path.to_owned(), why, is_loss: true })
    }

    /// The error that it is where nothing may be left out.
    pub fn error(&self) -> Error {
        Error::file(&self.path, self.why.clone())
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // In the words of errors, which are single lines whatever they name.
        write!(f, "{}: {}", if self.is_loss { "left out" } else { "passed over" }, self.error())
    }
}

/// The pictures in a folder, and what else is there but for what systems leave in folders.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read, [`Error::File`] when it holds no picture.
pub fn list(folder: &Path) -> Result<Listing> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "cannot read"))? {
        paths.push(entry.map_err(Error::io(folder, "cannot read"))?.path());
    }
    paths.retain(|path| !is_of_the_system(path));
    paths.sort();
    let mut listing = Listing::default();
    for path in paths {
        match flaw(&path) {
            None => listing.pictures.push(path),
            Some((why, is_loss)) => listing.left_out.push(LeftOut { path, why: why.into(), is_loss }),
        }
    }
    if listing.pictures.is_empty() {
        let first = listing.left_out.iter().find(|left| left.is_loss);
        let first = first.map_or_else(String::new, |left| {
            let name = left.path.file_name().unwrap_or_default().to_string_lossy();
            format!("; {name}: {}", left.why)
        });
        let what = "this folder holds no picture that can be used (.png, .jpg, .tiff, .gif, .webp, .bmp)";
        return Err(Error::file(folder, format!("{what}{first}")));
    }
    Ok(listing)
}

fn is_of_the_system(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with('.') || OWN_FILES.contains(&name.as_str())
}

/// Why this is no picture, and whether it may have been meant as one.
fn flaw(path: &Path) -> Option<(&'static str, bool)> {
    let facts = match path.metadata() {
        Ok(facts) => facts,
        Err(_) if path.is_symlink() => return Some(("a link to what is not there", true)),
        Err(_) => return Some(("cannot be looked at; check its permissions", true)),
    };
    let is_named = has_picture_name(path);
    if facts.is_dir() {
        Some(("a folder; name it by itself if its pictures are wanted", true))
    } else if !facts.is_file() {
        Some(("not a regular file", true))
    } else if facts.len() == 0 {
        Some(("the file is empty", is_named || is_of_another_format(path)))
    } else if is_named {
        None
    } else {
        by_content(path)
    }
}

/// The same of a file whose name is none of a picture that is read.
fn by_content(path: &Path) -> Option<(&'static str, bool)> {
    match content::is_read(path).or(is_of_another_format(path).then_some(false)) {
        Some(true) => None,
        Some(false) => Some(("a picture of a format that is not read; convert it to PNG", true)),
        None => Some(("not a picture", false)),
    }
}

#[cfg(feature = "pictures")]
mod content {
    use crate::io::images::decode::{self, format};
    use std::io::Read;
    use std::path::Path;

    /// Whether the format that a file's first bytes tell is read; none: it is no picture.
    pub(super) fn is_read(path: &Path) -> Option<bool> {
        let mut start = Vec::new();
        std::fs::File::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
        format(&start).map(decode::is_read)
    }
}

#[cfg(not(feature = "pictures"))]
mod content {
    use std::path::Path;

    /// Without readers names have to do.
    pub(super) fn is_read(_: &Path) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_been_a_picture_is_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("b.png", &b"anything"[..]),
            ("A.JPG", b"anything"),
            ("._b.png", b"anything"),
            (".DS_Store", b"anything"),
            ("Thumbs.db", b"anything"),
            ("Desktop.ini", b"anything"),
            ("notes.txt", b"hello"),
            ("empty.txt", b""),
            ("empty.png", b""),
            ("empty.heic", b""),
            ("c.heic", b"anything"),
            ("d.CR2", b"anything"),
        ] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        std::fs::create_dir(folder.path().join("e.png")).unwrap();
        let listing = list(folder.path()).unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let pictures: Vec<_> = listing.pictures.iter().map(|path| name(path)).collect();
        assert_eq!(pictures, ["A.JPG", "b.png"]);
        let left: Vec<_> = listing.left_out.iter().map(|left| (name(&left.path), left.is_loss)).collect();
        let expected = [
            ("c.heic", true),
            ("d.CR2", true),
            ("e.png", true),
            ("empty.heic", true),
            ("empty.png", true),
            ("empty.txt", false),
            ("notes.txt", false),
        ];
        assert_eq!(left, expected.map(|(name, is_loss)| (name.to_owned(), is_loss)));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_told_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), "anything").unwrap();
        std::os::unix::fs::symlink("a.png", folder.path().join("b.png")).unwrap();
        std::os::unix::fs::symlink("nothing", folder.path().join("c.png")).unwrap();
        let pipe = folder.path().join("d.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let socket = std::os::unix::net::UnixListener::bind(folder.path().join("e.png")).unwrap();
        let listing = list(folder.path()).unwrap();
        assert_eq!(listing.pictures.len(), 2);
        let told: Vec<String> = listing.left_out.iter().map(ToString::to_string).collect();
        assert!(told[0].contains("c.png: a link to what is not there"), "{told:?}");
        assert!(told[1].contains("d.png: not a regular") && told[2].contains("e.png: not a regular"));
        drop(socket);
    }
}
