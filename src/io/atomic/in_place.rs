//! Writing into a file that is there and cannot be replaced: a mount of its own, or one in a folder where
//! nothing can be made.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// Makes `bytes` the content of the file at `path`, and returns when they are on the disk.
///
/// What is beyond the old length is written first: where the disk is full, the file stays as it was. A crash
/// meanwhile leaves a mixture.
pub(super) fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let before = file.metadata()?.len();
    let kept = bytes.len().min(usize::try_from(before).unwrap_or(usize::MAX));
    file.seek(SeekFrom::End(0))?;
    let longer = file.write_all(&bytes[kept..]).and_then(|()| file.sync_all());
    if let Err(error) = longer {
        file.set_len(before)?;
        return Err(error);
    }
    file.rewind()?;
    file.write_all(&bytes[..kept])?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_and_shorter_contents_take_the_old_ones_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "0123456789").unwrap();
        for text in ["abc", "", "abcdefghijklmnop", "xyz"] {
            overwrite(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(overwrite(&folder.path().join("none"), b"x").is_err());
    }
}
