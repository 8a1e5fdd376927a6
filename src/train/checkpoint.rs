//! The checkpoint of a run's folder, and the one before it.

use crate::io::arrays::checkpoint::{self, Checkpoint};
use crate::io::atomic;
use crate::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The last checkpoint.
pub const FILE: &str = "checkpoint.safetensors";

/// The one before, kept for the case that the last cannot be read.
pub const PREVIOUS: &str = "checkpoint.previous.safetensors";

/// Writes a checkpoint, and keeps the one before it, provided that it can be read: a damaged one never takes
/// a good one's place. Whenever the process is killed, one of the two is whole.
pub fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let (last, previous) = (folder.join(FILE), folder.join(PREVIOUS));
    let is_good = checkpoint::read(&last).is_ok();
    if is_good {
        fs::rename(&last, &previous).map_err(Error::io(&last, "cannot rename"))?;
    }
    checkpoint::write(&last, checkpoint)?;
    if is_good {
        atomic::hand_on(&previous, &last);
    }
    Ok(())
}

/// Removes the checkpoint before the last of a finished run, once the last can be read.
///
/// # Errors
/// Those of reading it; [`Error::Io`] when the other cannot be removed.
pub fn drop_previous(folder: &Path) -> Result<()> {
    checkpoint::read(&folder.join(FILE))?;
    let previous = folder.join(PREVIOUS);
    match fs::remove_file(&previous) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(&previous, "cannot remove")(error))
        }
        _ => Ok(()),
    }
}

/// The last checkpoint; where it cannot be read, the one before it, with a warning in the log; none if there
/// is none.
///
/// # Errors
/// [`Error::Io`] and [`Error::File`] when there is something, and none of it can be read.
pub fn load(folder: &Path) -> Result<Option<Checkpoint>> {
    let (last, previous) = (folder.join(FILE), folder.join(PREVIOUS));
    let error = match checkpoint::read(&last) {
        Ok(checkpoint) => return Ok(Some(checkpoint)),
        Err(error) => error,
    };
    let missing = is_missing(&error);
    match checkpoint::read(&previous) {
        Ok(checkpoint) => {
            if !missing {
                log::warn!("{error}; going on from {}, step {}", previous.display(), checkpoint.step);
            }
            Ok(Some(checkpoint))
        }
        Err(none) if is_missing(&none) && missing => Ok(None),
        Err(none) if is_missing(&none) => Err(error),
        Err(other) => Err(other),
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::init::State;
    use crate::model::{Snapshot, UNet, UNetConfig};

    fn checkpoint(step: u64) -> Checkpoint {
        let net = UNet::new(&UNetConfig { filters: vec![8], ..Default::default() });
        let state = State::new(&net, step);
        let zeros = vec![0.0; net.param_count];
        let snapshot = Snapshot {
            last_good_params: state.params.clone(),
            state,
            first_moments: zeros.clone(),
            second_moments: zeros,
            updates: step,
        };
        Checkpoint { step, settings: String::new(), fingerprints: None, snapshot }
    }

    fn spoil(path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn checkpoints_keep_their_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (folder, path) = (folder.path(), folder.path().join(FILE));
        save(folder, &checkpoint(1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        save(folder, &checkpoint(2)).unwrap();
        for name in [FILE, PREVIOUS] {
            assert_eq!(fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn one_of_two_is_always_good() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let step = || load(folder).unwrap().map(|checkpoint| checkpoint.step);
        assert_eq!(step(), None);
        for i in 1..=3 {
            save(folder, &checkpoint(i)).unwrap();
            assert_eq!(step(), Some(i));
        }
        spoil(&folder.join(FILE));
        assert_eq!(step(), Some(2));
        // The damaged one is replaced, and the good one stays.
        save(folder, &checkpoint(4)).unwrap();
        assert_eq!(step(), Some(4));
        fs::remove_file(folder.join(FILE)).unwrap();
        assert_eq!(step(), Some(2), "killed between the two files");
        spoil(&folder.join(PREVIOUS));
        assert!(load(folder).unwrap_err().to_string().contains("checksum"));
        assert!(drop_previous(folder).is_err());
        save(folder, &checkpoint(5)).unwrap();
        drop_previous(folder).unwrap();
        assert_eq!(step(), Some(5));
        assert!(!folder.join(PREVIOUS).exists());
        spoil(&folder.join(FILE));
        assert!(load(folder).unwrap_err().to_string().contains(FILE));
    }
}
