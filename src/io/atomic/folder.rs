//! The folder that a file is written in.

use std::fs::File;
use std::path::Path;

/// The folder that `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    // The parent of a bare file name is the empty path, which no system call accepts.
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the rename itself durable, where the system can: only unix opens folders, and some file systems
/// refuse to sync them. The file is in place and whole by then, so a refusal is no error.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
