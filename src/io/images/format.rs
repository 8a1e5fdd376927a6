//! What the names of picture files say. Nothing here opens a picture.

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
        match ending(path).as_str() {
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

/// Endings of pictures that are not read.
const OTHERS: [&str; 41] = [
    "3fr", "arw", "avif", "cr2", "cr3", "crw", "dcm", "dcr", "dds", "dng", "emf", "eps", "exr", "ff", "fits",
    "hdr", "heic", "heif", "ico", "iiq", "j2k", "jls", "jp2", "jxl", "jxr", "nef", "nrw", "orf", "pbm",
    "pcx", "pef", "pgm", "ppm", "psb", "psd", "qoi", "raf", "rw2", "svg", "tga", "xcf",
];

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Whether the file's name says that it is a picture of a format that is not read.
pub(crate) fn is_of_another_format(path: &Path) -> bool {
    OTHERS.contains(&ending(path).as_str())
}

/// Whether the file's name says that it is a picture that can be read.
pub fn has_picture_name(path: &Path) -> bool {
    Format::of(path).is_some()
}

/// Whether a path names pictures and not an array: a folder, or a picture.
pub fn is_pictures(path: &Path) -> bool {
    path.is_dir() || has_picture_name(path)
}

/// The name of what is computed from a picture of this name: its own, or that of a PNG file for formats that
/// are not written or not told by the name, and for JPEG, to which nothing shall be lost again.
pub fn written_name(name: &Path) -> PathBuf {
    match Format::of(name) {
        Some(Format::Png | Format::Tiff) => name.to_owned(),
        _ => name.with_extension("png"),
    }
}
