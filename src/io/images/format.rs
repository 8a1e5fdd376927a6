//! What the names of picture files say. Nothing here opens a picture.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Png,
    Tiff,
    Jpeg,
    Gif,
    WebP,
    Bmp,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_lowercase().as_str() {
            "png" => Some(Self::Png),
            "tif" | "tiff" => Some(Self::Tiff),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "gif" => Some(Self::Gif),
            "webp" => Some(Self::WebP),
            "bmp" | "dib" => Some(Self::Bmp),
            _ => None,
        }
    }
}

/// The pictures in a folder, by name.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read, [`Error::File`] when it holds none.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder, "cannot read"))? {
        let path = entry.map_err(Error::io(folder, "cannot read"))?.path();
        if has_picture_name(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::file(folder, "this folder holds no picture (.png, .jpg, .tiff)"));
    }
    Ok(files)
}

/// Whether the file's name says that it is a picture that can be read.
pub fn has_picture_name(path: &Path) -> bool {
    Format::of(path).is_some()
}

/// The name of what is computed from a picture of this name: its own, or that of a PNG file for formats that
/// are not written, and for JPEG, to which nothing shall be lost again.
pub fn written_name(name: &Path) -> PathBuf {
    match Format::of(name) {
        Some(Format::Jpeg | Format::Gif | Format::WebP | Format::Bmp) => name.with_extension("png"),
        Some(Format::Png | Format::Tiff) | None => name.to_owned(),
    }
}
