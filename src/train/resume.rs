//! A run's folder, opened to go on with it.

use crate::io::arrays::checkpoint::Checkpoint;
use crate::io::arrays::fingerprint::Fingerprints;
use crate::io::atomic;
use crate::io::run_folder::{self, Lock};
use crate::model::Method;
use crate::train::checkpoint;
use crate::train::config::paths::NamedFiles;
use crate::train::config::{TrainConfig, file};
use crate::train::plan::Plan;
use crate::train::same_data::{self, DATA};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use toml::Table;

/// The settings that may change when a run goes on. Only the device can change its numbers, by rounding.
pub const CHANGEABLE: [&str; 7] =
    ["steps", "max_dispatch_ms", "checkpoint_every", "jsonl", "save_gradients", "strict", "device"];

/// Weights that a run began with, and which its checkpoint has since.
const WEIGHTS: &str = "weights";

/// What a run writes into its folder.
pub(crate) const OWN: [&str; 10] = [
    "config.toml",
    "metrics.csv",
    "metrics.jsonl",
    "validation.csv",
    "weights.safetensors",
    "weights.best.safetensors",
    checkpoint::FILE,
    checkpoint::PREVIOUS,
    "curves.png",
    "reconstruction.png",
];

/// A run that is to go on, and that no other process can go on with meanwhile.
pub struct Resumed {
    pub(crate) folder: PathBuf,
    pub(crate) lock: Lock,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The run's settings, from its `config.toml`.
    pub config: TrainConfig,
    named: NamedFiles,
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
            return Err(Error::usage(format!("{}: {}", folder.display(), no_run(folder))));
        }
        run_folder::check_own(folder, &OWN)?;
        let lock = run_folder::lock(folder)?;
        atomic::remove_unfinished(folder)?;
        let (table, named) = file::read_located(&path, &[])?;
        let config = file::config(&table, &path)?;
        let checkpoint = checkpoint::load(folder)?;
        if let Some(checkpoint) = &checkpoint {
            check_settings(&path, &config, checkpoint)?;
            if checkpoint.step == config.steps {
                checkpoint::drop_previous(folder)?; // in case that the process was killed just before
            }
        }
        Ok(Self { folder: folder.to_owned(), lock, checkpoint, config, named })
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step)
    }

    /// What the files held that the run began with, if that is known.
    pub fn began_with(&self) -> Option<&Fingerprints> {
        self.checkpoint.as_ref()?.fingerprints.as_ref()
    }

    /// Checks every value, as [`TrainConfig::plan`] does, and that the files hold what the run began with;
    /// the weights are those of the checkpoint.
    ///
    /// # Errors
    /// As there; [`Error::File`] when the checkpoint belongs to another network, or a file holds other data.
    pub fn plan(&self, config: &TrainConfig) -> Result<Plan> {
        self.plan_unexplained(config).map_err(|error| self.named.explain(error))
    }

    fn plan_unexplained(&self, config: &TrainConfig) -> Result<Plan> {
        let planned = match &self.checkpoint {
            None => config.plan(),
            Some(checkpoint) => self.plan_from(checkpoint, config),
        };
        let Some(began) = self.began_with() else {
            if let Some((name, path)) = config.files().find(|(name, _)| DATA.contains(name)) {
                log::warn!(
                    "{}: whether it is the {name} that the run began with cannot be checked, since {}",
                    path.display(),
                    match self.checkpoint {
                        Some(_) => "an earlier version has written the checkpoint",
                        None => "there is no checkpoint",
                    }
                );
            }
            return planned;
        };
        // Other data may be refused for what follows from them, such as their size: that they are others is
        // what is to be said.
        let found = match &planned {
            Ok(plan) => Ok(plan.fingerprints.clone()),
            Err(_) => same_data::fingerprints(config),
        };
        if let Ok(found) = found {
            same_data::check(&self.folder.join("config.toml"), config, began, &found)?;
        }
        let mut plan = planned?;
        plan.fingerprints = began.clone();
        Ok(plan)
    }

    fn plan_from(&self, checkpoint: &Checkpoint, config: &TrainConfig) -> Result<Plan> {
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

/// Why a path names no run, and what to name instead.
fn no_run(path: &Path) -> String {
    let has_settings = |folder: &Path| folder.join("config.toml").is_file();
    if !path.exists() {
        return "there is no such folder; name a run's folder".to_owned();
    }
    if path.is_file() {
        return match path.parent().filter(|folder| has_settings(folder)) {
            Some(folder) => format!("a file of a run; name its folder, {}", folder.display()),
            None => "a file; name a run's folder".to_owned(),
        };
    }
    let methods = Method::ALL.map(|method| path.join(method.name()));
    if methods.iter().any(|folder| has_settings(folder)) {
        return format!("a comparison; to go on: unheat compare --resume {}", path.display());
    }
    "has no config.toml, so there is no run to go on with; name a run's folder".to_owned()
}

/// The settings that decide what a run computes, for its checkpoints.
pub(crate) fn lasting(config: &TrainConfig) -> Result<Table> {
    let mut config = config.settled();
    // What the files of an operator hold has a fingerprint of its own.
    config.operator = config.operator.map(|operator| operator.without_names());
    let mut table = file::table(&config)?;
    let may_differ = |key: &str| CHANGEABLE.contains(&key) || DATA.contains(&key) || key == WEIGHTS;
    table.retain(|key, _| !may_differ(key));
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
        for name in CHANGEABLE.iter().chain(&DATA).chain([&WEIGHTS]) {
            assert!(file::keys().any(|key| key == *name), "{name}");
        }
    }
}
