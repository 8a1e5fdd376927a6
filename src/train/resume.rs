//! A run's folder, opened to go on with it.

use crate::io::arrays::checkpoint::Checkpoint;
use crate::io::atomic;
use crate::io::run_folder::{self, Lock};
use crate::train::checkpoint;
use crate::train::config::{TrainConfig, file};
use crate::train::plan::Plan;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use toml::Table;

/// The settings that may change when a run goes on. Only the device can change its numbers, by rounding.
pub const CHANGEABLE: [&str; 7] =
    ["steps", "max_dispatch_ms", "checkpoint_every", "jsonl", "save_gradients", "strict", "device"];

/// Names of files, which may have moved.
const FILES: [&str; 4] = ["weights", "data", "observations", "validation_data"];

/// A run that is to go on, and that no other process can go on with meanwhile.
pub struct Resumed {
    pub(crate) folder: PathBuf,
    pub(crate) lock: Lock,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The run's settings, from its `config.toml`.
    pub config: TrainConfig,
}

impl Resumed {
    /// Takes the folder's lock, and reads its settings and its checkpoint. Nothing but unfinished files is
    /// changed.
    ///
    /// # Errors
    /// [`Error::Usage`] when this is no run's folder, or another process has its lock; [`Error::Io`] and
    /// [`Error::File`] when the files cannot be read, or the settings are not those of the checkpoint.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("config.toml");
        if !path.is_file() {
            let folder = folder.display();
            let message = format!(
                "{folder}: has no config.toml, so there is no run to go on with; name a run's folder"
            );
            return Err(Error::usage(message));
        }
        let lock = run_folder::lock(folder)?;
        atomic::remove_unfinished(folder)?;
        let config = file::config(&file::read(&path, &[])?, &path)?;
        let checkpoint = checkpoint::load(folder)?;
        if let Some(checkpoint) = &checkpoint {
            check_settings(&path, &config, checkpoint)?;
            if checkpoint.step == config.steps {
                checkpoint::drop_previous(folder)?; // in case that the process was killed just before
            }
        }
        Ok(Self { folder: folder.to_owned(), lock, checkpoint, config })
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step)
    }

    /// Checks every value, as [`TrainConfig::plan`] does; the weights are those of the checkpoint.
    ///
    /// # Errors
    /// As there; [`Error::File`] when the checkpoint belongs to another network.
    pub fn plan(&self, config: &TrainConfig) -> Result<Plan> {
        let Some(checkpoint) = &self.checkpoint else { return config.plan() };
        // The file that the run began with may be gone.
        let mut plan = TrainConfig { weights: None, ..config.clone() }.plan()?;
        let snapshot = &checkpoint.snapshot;
        let (params, buffers) = (plan.step.net.param_count, plan.step.net.buffer_count);
        let moments = [&snapshot.first_moments, &snapshot.second_moments, &snapshot.last_good_params];
        if snapshot.state.params.len() != params
            || snapshot.state.buffers.len() != buffers
            || moments.iter().any(|array| array.len() != params)
            || !snapshot.state.is_finite()
        {
            let path = self.folder.join(checkpoint::FILE);
            return Err(Error::file(&path, "holds another network than config.toml describes"));
        }
        plan.start = snapshot.state.clone();
        Ok(plan)
    }
}

/// The settings that decide what a run computes, for its checkpoints.
pub(crate) fn lasting(config: &TrainConfig) -> Result<Table> {
    let mut table = file::table(&config.settled())?;
    table.retain(|key, _| !CHANGEABLE.contains(&key) && !FILES.contains(&key));
    Ok(table)
}

fn check_settings(path: &Path, config: &TrainConfig, checkpoint: &Checkpoint) -> Result<()> {
    let damaged = || Error::file(path, "the checkpoint beside it was made by another version of unheat");
    let made_with: Table = checkpoint.settings.parse().map_err(|_| damaged())?;
    // Through the configuration, so that settings which a later version has added have their defaults.
    let made_with = file::config(&made_with, path).map_err(|_| damaged())?;
    let (made_with, now) = (lasting(&made_with)?, lasting(config)?);
    let show = |value: Option<&toml::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    let mut keys = made_with.keys().chain(now.keys());
    match keys.find(|&key| made_with.get(key) != now.get(key)) {
        None => Ok(()),
        Some(key) => {
            let (was, is) = (show(made_with.get(key)), show(now.get(key)));
            let what = format!(
                "{key} is {is}, but the checkpoint was made with {was}; put it back, or start a new run"
            );
            Err(Error::file(path, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_name_settings() {
        for name in CHANGEABLE.iter().chain(&FILES) {
            assert!(file::keys().any(|key| key == *name), "{name}");
        }
    }
}
