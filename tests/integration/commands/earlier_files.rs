//! Files that an earlier version wrote are read, and what is not a .npy file is written again bit for bit.

use std::path::{Path, PathBuf};
use unheat::Result;
use unheat::engine::Device;
use unheat::engine::operators::rasterise;
use unheat::io::arrays::{checkpoint, npy, rectangles, weights};
use unheat::model::DType;

fn earlier(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier").join(name)
}

/// What `write_again` makes of the file must have its bytes.
fn is_written_again(name: &str, write_again: impl Fn(&Path, &Path) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    write_again(&earlier(name), &copy).unwrap();
    assert!(std::fs::read(earlier(name)).unwrap() == std::fs::read(copy).unwrap(), "{name}");
}

#[test]
fn files_of_an_earlier_version_are_read() {
    is_written_again("weights.safetensors", |path, copy| {
        let (net, state) = weights::read(path)?;
        weights::write(copy, &net, &state, None)
    });
    is_written_again("rectangles.safetensors", |path, copy| {
        rectangles::write(copy, &rectangles::read(path)?)
    });
    is_written_again("checkpoint.safetensors", |path, copy| {
        checkpoint::write(copy, &checkpoint::read(path)?)
    });
}

/// Its header ends in a checksum made of blanks, which every reader of the format skips.
#[test]
fn an_earlier_array_holds_the_rectangles_beside_it() {
    let found = npy::read(&earlier("fields.npy")).unwrap();
    assert_eq!((found.shape, found.rank2), ([2, 8, 8], false));
    let drawn = rectangles::read(&earlier("rectangles.safetensors")).unwrap();
    let fields = rasterise(&Device::Cpu, DType::F32, &drawn.list, drawn.per_sample, 8, 8).unwrap();
    assert_eq!(found.data.into_f64(), fields);
}
