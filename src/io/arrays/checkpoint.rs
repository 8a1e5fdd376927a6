//! A run's state as a safetensors file with a checksum: any changed bit of it is noticed.

use crate::io::arrays::checksum;
use crate::io::arrays::fingerprint::Fingerprints;
use crate::io::arrays::tensors::{self, Data, Tensor, TensorsAndMetadata};
use crate::model::Snapshot;
use crate::model::unet::init::State;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the format that is written. Version 1, which has no fingerprints, is read as well.
const FORMAT: u32 = 2;

/// The metadata's key.
pub(crate) const KEY: &str = "unheat checkpoint";

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps that are done, which is also the number of the next. Data are drawn by this number.
    pub step: u64,
    /// The settings that led here, as TOML.
    pub settings: String,
    /// What the files hold that the run began with; none where an earlier version wrote none.
    pub fingerprints: Option<Fingerprints>,
    /// Network and optimiser.
    pub snapshot: Snapshot,
}

/// What is in the metadata, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: u32,
    step: u64,
    updates: u64,
    batches_tracked: i64,
    settings: String,
    /// From format 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprints: Option<Fingerprints>,
    /// As in [`checksum`], of everything else.
    checksum: u32,
}

impl About {
    /// The checksum that belongs to these fields and to the tensors.
    fn expected_checksum(&self, tensors: &[Tensor]) -> u32 {
        let Self { format, step, updates, batches_tracked, settings, fingerprints, checksum: _ } = self;
        let mut text = format!("{format} {step} {updates} {batches_tracked} {settings:?}");
        if let Some(fingerprints) = fingerprints {
            text += &serde_json::to_string(fingerprints).unwrap_or_default();
        }
        checksum::of(&text, tensors)
    }
}

/// Writes `checkpoint`, atomically. Equal checkpoints make equal bytes; one without fingerprints is written
/// as it was read, in format 1.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written; one that was there before is untouched.
pub fn write(path: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let Snapshot { state, first_moments, second_moments, updates, last_good_params } = &checkpoint.snapshot;
    let arrays = [&state.params, &state.buffers, first_moments, second_moments, last_good_params];
    let tensor = |(name, values): (&str, &Vec<f32>)| Tensor {
        name: name.to_owned(),
        shape: vec![values.len()],
        data: Data::F32(values.clone()),
    };
    let mut tensors: Vec<Tensor> = NAMES.into_iter().zip(arrays).map(tensor).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name)); // as they are read
    let mut about = About {
        format: if checkpoint.fingerprints.is_some() { FORMAT } else { 1 },
        step: checkpoint.step,
        updates: *updates,
        batches_tracked: state.batches_tracked,
        settings: checkpoint.settings.clone(),
        fingerprints: checkpoint.fingerprints.clone(),
        checksum: 0,
    };
    about.checksum = about.expected_checksum(&tensors);
    let about = serde_json::to_string(&about).map_err(|e| Error::file(path, e.to_string()))?;
    tensors::write(path, &tensors, Some((KEY, &about)))
}

/// The tensors: parameters, running statistics, Adam's moments, the parameters before the last update (the
/// last good ones).
const NAMES: [&str; 5] = ["params", "running_statistics", "first_moments", "second_moments", "kept_params"];

/// Reads what [`write()`] has written.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is not exactly what was written, or is
/// of another version's format.
pub fn read(path: &Path) -> Result<Checkpoint> {
    of_tensors(path, tensors::read(path)?)
}

/// The checkpoint in the tensors and the metadata of a file that is called `path`.
pub(crate) fn of_tensors(path: &Path, (tensors, metadata): TensorsAndMetadata) -> Result<Checkpoint> {
    let damaged = |what: &str| Error::file(path, format!("{what}: this checkpoint is damaged"));
    let text = metadata.get(KEY).ok_or_else(|| damaged("its metadata is missing"))?;
    let about: serde_json::Value = serde_json::from_str(text).map_err(|_| damaged("bad metadata"))?;
    if about["format"] != 1 && about["format"] != FORMAT {
        let format = &about["format"];
        let what = format!(
            "format {format}: this unheat reads checkpoints of formats 1 to {FORMAT}; use the version that \
             wrote it"
        );
        return Err(Error::file(path, what));
    }
    let about: About = serde_json::from_value(about).map_err(|_| damaged("bad metadata"))?;
    if about.fingerprints.is_some() != (about.format == FORMAT) {
        return Err(damaged("its format is not that of its metadata"));
    }
    if about.checksum != about.expected_checksum(&tensors) {
        return Err(damaged("the checksum is wrong"));
    }
    let array = |name: &str| match tensors.iter().find(|tensor| tensor.name == name).map(|t| &t.data) {
        Some(Data::F32(values)) => Ok(values.clone()),
        _ => Err(damaged(&format!("tensor `{name}` is missing"))),
    };
    let [params, buffers, first_moments, second_moments, last_good_params] = NAMES.map(array);
    let About { step, settings, fingerprints, updates, batches_tracked, .. } = about;
    let snapshot = Snapshot {
        state: State { params: params?, buffers: buffers?, batches_tracked },
        first_moments: first_moments?,
        second_moments: second_moments?,
        updates,
        last_good_params: last_good_params?,
    };
    Ok(Checkpoint { step, settings, fingerprints, snapshot })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::arrays::fingerprint::{Fingerprint, Item, Kind};

    fn sample() -> Checkpoint {
        let item = Item::new([1, 2], [0.5, 1.0].into_iter());
        let fingerprint = Fingerprint::new(Kind::Field, &[item]);
        Checkpoint {
            step: 7,
            settings: "lr = 0.001\n".to_owned(),
            fingerprints: Some(Fingerprints::from([("data".to_owned(), fingerprint)])),
            snapshot: Snapshot {
                state: State { params: vec![1.0, -0.0], buffers: vec![0.5], batches_tracked: 9 },
                first_moments: vec![1e-30, 2.0],
                second_moments: vec![f32::INFINITY, 3.0],
                updates: 7,
                last_good_params: vec![4.0, 5.0],
            },
        }
    }

    #[test]
    fn what_is_written_is_read_and_equal_checkpoints_make_equal_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        let none = || Some(Fingerprints::new());
        for fingerprints in [sample().fingerprints, none(), None] {
            let checkpoint = Checkpoint { fingerprints, ..sample() };
            write(&paths[0], &checkpoint).unwrap();
            let found = read(&paths[0]).unwrap();
            assert_eq!(found, checkpoint);
            write(&paths[1], &found).unwrap();
            assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
        }
    }

    /// Every bit of the file, one after the other. What is accepted must be exactly what was written: only a
    /// bit that means nothing, such as a blank after the header, may pass.
    #[test]
    fn no_changed_bit_passes_for_another_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        write(&path, &sample()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let payload = whole.len() - 4 * (2 + 1 + 2 + 2 + 2);
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            match read(&path) {
                Ok(found) => assert!(found == sample() && bit / 8 < payload, "bit {bit}"),
                Err(error) => assert!(matches!(error, Error::File { .. }), "bit {bit}: {error}"),
            }
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(Error::File { .. })), "{length} bytes");
        }
    }

    #[test]
    fn another_format_and_other_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        tensors::write(&path, &[], Some((KEY, "{\"format\":3,\"new\":true}"))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("format 3: this unheat reads"));
        tensors::write(&path, &[], Some(("unheat", "{}"))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("metadata is missing"));
    }
}
