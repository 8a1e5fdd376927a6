//! `config.toml`, which a run leaves in its folder.

use crate::io::atomic;
use crate::train::config::TrainConfig;
use crate::{Error, Result};
use std::path::Path;

/// Writes `config.toml`: the settings that reproduce the run.
///
/// `device` is what computed; `device = "auto"` may choose another elsewhere, with other rounding.
pub fn config(path: &Path, config: &TrainConfig, device: &str) -> Result<()> {
    let text = toml::to_string(config).map_err(|e| Error::file(path, e.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    let note = format!(
        "# Settings of this run, named like the flags of `unheat train`.\n\
         # unheat {version} on {device}\n{text}"
    );
    atomic::write(path, |file| file.write_all(note.as_bytes()))
}
