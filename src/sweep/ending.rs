//! How a run ended, as the process that had started it has noted.

use crate::io::atomic;
use crate::model::settings::choice::choice;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

choice! {
    /// What became of a run.
    pub enum Outcome {
        /// All its steps are done.
        Done = "done",
        /// A loss was not finite: the settings do not train.
        Diverged = "diverged",
        /// It ended otherwise; it is tried again when the sweep goes on.
        Failed = "failed",
        /// Others were better at a rung.
        Dropped = "dropped",
        /// It has begun, and goes on with the sweep.
        Stopped = "stopped",
        /// It has not begun.
        Waiting = "waiting",
    }
}

/// A note beside the folder of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// [`Outcome::Done`], [`Outcome::Diverged`] or [`Outcome::Failed`].
    pub outcome: Outcome,
    /// What the run said last, where it is not done; else empty.
    pub message: String,
}

impl Ending {
    /// Whether there is nothing left to do.
    pub fn is_final(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Diverged)
    }

    /// Reads the note; none where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`].
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io(path, "cannot read"))?,
        };
        let parsed = toml::from_str(&text);
        parsed.map(Some).map_err(|_| Error::file(path, "damaged; delete it, and the run is tried again"))
    }

    /// Writes the note.
    ///
    /// # Errors
    /// Those of [`atomic::write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::file(path, e.to_string()))?;
        atomic::write(path, |file| file.write_all(text.as_bytes()))
    }
}
