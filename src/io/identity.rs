//! Whether two paths name the same file, however they are written.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What a path names. Two paths have equal identities if what is written to one is read from the other:
/// through links, `..`, another case where the file system ignores that, and also where there is no file
/// yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file or folder that is there, by the numbers of its device and of itself.
    There(u64, u64),
    /// A place, by its absolute path without links.
    Place(PathBuf),
}

impl Identity {
    /// The identity of what `path` names, or would name once it is made.
    pub fn of(path: &Path) -> Self {
        let found = path.metadata().ok().and_then(|found| numbers(&found));
        found.map_or_else(|| Self::Place(place(path, LINKS)), |(device, file)| Self::There(device, file))
    }
}

/// Symbolic links in a row that are followed; a circle of them names nothing.
const LINKS: usize = 40;

#[cfg(unix)]
fn numbers(found: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((found.dev(), found.ino()))
}

/// Other systems tell by the path alone: two hard links are two files there.
#[cfg(not(unix))]
fn numbers(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// The absolute path without links, of which the last parts need not exist.
fn place(path: &Path, links: usize) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let Some(parent) = path.parent() else { return path };
    if let (Ok(to), 1..) = (fs::read_link(&path), links) {
        return place(&parent.join(to), links - 1);
    }
    let parent = place(parent, links);
    match path.components().next_back() {
        Some(Component::Normal(name)) if ignores_case(&parent) => parent.join(name.to_ascii_lowercase()),
        Some(Component::Normal(name)) => parent.join(name),
        Some(Component::ParentDir) => parent.parent().unwrap_or(&parent).to_owned(),
        _ => parent,
    }
}

/// Whether a folder takes names that differ in case for one: its own name, or that of something in it, is
/// found in the other case too.
fn ignores_case(folder: &Path) -> bool {
    let inside = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let has_letters = |path: &PathBuf| swapped(path).is_some_and(|other| other != *path);
    let Some(path) = inside.chain([folder.to_owned()]).find(has_letters) else { return false };
    let other = swapped(&path).and_then(|other| other.metadata().ok());
    match (path.metadata().ok(), other) {
        (Some(found), Some(other)) => numbers(&found) == numbers(&other),
        _ => false,
    }
}

/// A path whose last part has its letters in the other case.
fn swapped(path: &Path) -> Option<PathBuf> {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let name: String = path.file_name()?.to_str()?.chars().map(swap).collect();
    Some(path.with_file_name(OsString::from(name)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn one_file_has_one_identity_however_it_is_named() {
        let room = tempfile::tempdir().unwrap();
        let path = |name: &str| room.path().join(name);
        fs::create_dir_all(path("deep/er")).unwrap();
        fs::write(path("a"), "x").unwrap();
        fs::write(path("b"), "x").unwrap();
        symlink(path("a"), path("link")).unwrap();
        symlink("deep", path("folder")).unwrap();
        fs::hard_link(path("a"), path("hard")).unwrap();
        symlink("nothing", path("dangling")).unwrap();
        symlink("round", path("round")).unwrap();
        let same = |a: &str, b: &str| Identity::of(&path(a)) == Identity::of(&path(b));
        for other in
            ["link", "hard", "./a", "deep/../a", "deep/er/../../a", "folder/../a", "folder/er/../../a"]
        {
            assert!(same("a", other), "{other}");
        }
        for (one, other) in [
            ("new", "./new"),
            ("new", "deep/../new"),
            ("deep/new", "folder/new"),
            ("no/such/new", "no/../no/such/./new"),
            ("dangling", "nothing"),
            ("deep", "folder"),
            ("round", "round"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("new", "other"), ("deep/new", "new"), ("new", "New"), ("a", "deep")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
        assert_eq!(Identity::of(Path::new("x")), Identity::of(&std::env::current_dir().unwrap().join("x")));
    }

    #[test]
    fn case_counts_where_the_folder_says_so() {
        let room = tempfile::tempdir().unwrap();
        assert!(!ignores_case(room.path()));
        fs::write(room.path().join("abc"), "").unwrap();
        assert!(!ignores_case(room.path()));
        // What a folder that ignores case looks like: the other name finds the same file.
        fs::hard_link(room.path().join("abc"), room.path().join("ABC")).unwrap();
        assert!(ignores_case(room.path()));
    }
}
