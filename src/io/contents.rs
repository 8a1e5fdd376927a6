//! What a file holds, judged by its beginning: an error about the wrong file can say what it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest part of a file that is looked at.
pub(crate) const MOST: u64 = 1 << 16;

/// The description of an array.
pub(crate) const ARRAY: &str = "a .npy array";

/// That of PyTorch's own files, which are programs for Python and are read by it alone.
pub(crate) const TORCH: &str = "a file of torch.save";

/// What `path` is, such as "a .npy array"; none where nobody knows.
pub fn describe(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some(if path.join("config.toml").is_file() { "a run's folder" } else { "a folder" });
    }
    if !path.is_file() {
        return None; // a pipe would wait for somebody to write
    }
    let mut start = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut start).ok()?;
    of_start(path, &start)
}

/// What a file of this name is that begins with `start`: the first [`MOST`] bytes, or the whole of it.
pub(crate) fn of_start(path: &Path, start: &[u8]) -> Option<&'static str> {
    let start = &start[..start.len().min(MOST as usize)];
    let begins = |magic: &[u8]| start.starts_with(magic);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") if begins(b"PK") => return Some("a .npz archive of several arrays"),
        _ => {}
    }
    // The length of a short header and its JSON. The length may look like the first bytes of a pickle.
    if start.get(4..9) == Some(b"\0\0\0\0{") {
        Some(of_tensors(&String::from_utf8_lossy(&start[8..])))
    } else if begins(b"\x93NUMPY") {
        Some(ARRAY)
    } else if begins(b"PK\x03\x04") || begins(b"\x80\x02") || begins(b"\x80\x04") {
        Some(TORCH)
    } else if begins(b"\x89PNG") || begins(b"\xff\xd8\xff") || begins(b"II*\0") || begins(b"MM\0*") {
        Some("a picture")
    } else {
        None
    }
}

/// What a safetensors file holds, by its header.
fn of_tensors(header: &str) -> &'static str {
    let has = |name: &str| header.contains(name);
    if has("unheat checkpoint") {
        "a run's checkpoint"
    } else if has("\"half_size\"") && has("\"strength\"") {
        "rectangles (--save-rectangles)"
    } else if !has("outc.weight\"") && !has("inc.") {
        "a safetensors file"
    } else if has("\"unheat\"") && has("checksum") && !has("padding") {
        "gradients (--save-gradients)"
    } else {
        "a network's weights"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            describe(&path)
        };
        let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        assert_eq!(of(b"\x93NUMPY\x01\x00"), Some("a .npy array"));
        assert_eq!(of(b"PK\x03\x04archive/data.pkl"), Some(TORCH));
        assert_eq!(of(b"\x80\x02}q\x00"), Some(TORCH));
        assert_eq!(of(b"\x89PNG\r\n"), Some("a picture"));
        assert_eq!(
            of(&header("{\"__metadata__\":{\"unheat checkpoint\":\"\"}}")),
            Some("a run's checkpoint")
        );
        assert_eq!(of(&header("{\"inc.double_conv.0.weight\":{}}")), Some("a network's weights"));
        let gradients = "{\"__metadata__\":{\"unheat\":\"{checksum}\"},\"inc.double_conv.0.weight\":{}}";
        assert_eq!(of(&header(gradients)), Some("gradients (--save-gradients)"));
        for length in [0, 0x280, 0x480, 0x4b50, 0xd8ff] {
            let padded = format!("{:length$}", "{\"x\":{}}");
            assert_eq!(of(&header(&padded)), Some("a safetensors file"), "{length}");
        }
        for unknown in ["", "steps = 3\n", "hello"] {
            assert_eq!(of(unknown.as_bytes()), None, "{unknown}");
        }
        assert_eq!(describe(folder.path()), Some("a folder"));
        assert_eq!(describe(&folder.path().join("none")), None);
    }
}
