//! What belongs to a file besides its bytes, for the file that takes its place.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// Gives `file` the owner, the permissions and, in builds with the feature `cli`, the extended attributes
/// (among them access control lists) of the file at `path`, of which `there` is known.
///
/// # Errors
/// The system's, where it does not allow one of them.
#[cfg(unix)]
pub(super) fn hand_on(path: &Path, there: &Metadata, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        fchown(file, Some(there.uid()), Some(there.gid()))?;
    }
    attributes(path, file)?;
    file.set_permissions(there.permissions()) // last: a new owner takes some of them away
}

#[cfg(not(unix))]
pub(super) fn hand_on(_: &Path, there: &Metadata, file: &File) -> io::Result<()> {
    file.set_permissions(there.permissions())
}

#[cfg(all(unix, feature = "cli"))]
fn attributes(path: &Path, file: &File) -> io::Result<()> {
    use xattr::FileExt;
    // Most file systems have none, and some do not know what they are.
    let Ok(names) = xattr::list(path) else { return Ok(()) };
    for name in names {
        let value = xattr::get(path, &name)?.unwrap_or_default();
        // The system's own labels belong to the place and follow from it.
        let is_label = ["security.", "trusted."].iter().any(|of| name.to_string_lossy().starts_with(of));
        match file.set_xattr(&name, &value) {
            Err(error) if !is_label => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(all(unix, not(feature = "cli")))]
fn attributes(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}
