//! What the fuzz targets share: the readers take names of files.

use std::cell::RefCell;
use std::io::{Seek, Write};
use std::path::Path;

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new(tempfile::NamedTempFile::new().unwrap());
}

/// Lets `read` read a file that holds `data`.
pub fn as_file<T>(data: &[u8], read: impl Fn(&Path) -> unheat::Result<T>) {
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(data).unwrap();
        if let Err(error) = read(file.path()) {
            assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
        }
    });
}
