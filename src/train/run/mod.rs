//! The training loop: takes data, keeps the engine busy, writes what arrives.

mod finish;

use crate::engine::device::Device;
use crate::engine::trainer::Trainer;
use crate::io::arrays::checkpoint::Checkpoint;
use crate::io::atomic;
use crate::io::identity::Identity;
use crate::io::run_folder::{self, Lock};
use crate::model::{Snapshot, TrainedFor};
use crate::train::config::TrainConfig;
use crate::train::metrics_log::MetricsLog;
use crate::train::plan::Plan;
use crate::train::preview::Previewer;
use crate::train::progress::{Outcome, Progress};
use crate::train::recovery::Recovery;
use crate::train::resume::{OWN, Resumed, lasting};
use crate::train::validation::Validation;
use crate::train::{checkpoint, results};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Losses are asked for at least this often, so that slow devices show progress too.
const REFRESH: Duration = Duration::from_millis(250);

/// Trains as `config` says, from its `plan`, and leaves everything in `folder`, which must not exist (none: a
/// new one in `runs/`). Without the crate's feature `pictures` the folder holds no `curves.png` and no
/// `reconstruction.png`; all else is the same byte for byte.
///
/// # Errors
/// [`Error::Usage`] before anything is written: the batch does not fit the device, or a folder is in the way
/// or missing. [`Error::NonFinite`] when a loss is not finite: the folder then holds the metrics so far and
/// the last good weights. [`Error::Stopped`] when a file cannot be written or the device fails again and
/// again: [`resume`] can go on once that is mended.
pub fn train(
    config: &TrainConfig,
    plan: Plan,
    device: &Device,
    folder: Option<&Path>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    check_gradients(config, folder)?;
    let config = &config.located()?;
    let trainer = plan.trainer(device)?;
    let start = Snapshot::before(plan.start.clone());
    // A folder that is there can be gone on with, whenever this process is killed: on the same data, from the
    // same weights.
    let folder = run_folder::create(folder, config.method.name(), |folder| {
        results::config(&folder.join("config.toml"), &config.settled(), &device.describe())?;
        checkpoint::save(folder, &checkpoint_of(config, &plan, 0, start.clone())?)
    })?;
    let lock = run_folder::lock(&folder)?;
    let recovery = Recovery::new(0, start);
    Run::new(config, plan, device, folder, lock, recovery, progress)?.train_on(trainer)
}

/// Goes on with a run, bit for bit as if it had never stopped. `config` is the run's own but for
/// [`crate::train::resume::CHANGEABLE`] settings, `plan` comes from [`Resumed::plan`].
///
/// # Errors
/// As for [`train`]; also when rows of `metrics.csv` before the checkpoint are missing.
pub fn resume(
    resumed: Resumed,
    config: &TrainConfig,
    plan: Plan,
    device: &Device,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    check_gradients(config, Some(&resumed.folder))?;
    let config = &config.located()?;
    let mut trainer = plan.trainer(device)?;
    let done = resumed.step();
    let start = match resumed.checkpoint {
        Some(checkpoint) => checkpoint.snapshot,
        None => Snapshot::before(plan.start.clone()),
    };
    trainer.restore(&start);
    let recovery = Recovery::new(done, start);
    let Resumed { folder, lock, .. } = resumed;
    Run::new(config, plan, device, folder, lock, recovery, progress)?.train_on(trainer)
}

/// The checkpoint of a run after `step` steps.
fn checkpoint_of(config: &TrainConfig, plan: &Plan, step: u64, snapshot: Snapshot) -> Result<Checkpoint> {
    let settings = lasting(config)?.to_string();
    Ok(Checkpoint { step, settings, fingerprints: Some(plan.fingerprints.clone()), snapshot })
}

/// Refuses a file for the gradients that could not be written at the end.
fn check_gradients(config: &TrainConfig, folder: Option<&Path>) -> Result<()> {
    let Some(path) = &config.save_gradients else { return Ok(()) };
    if path.extension().is_none_or(|ending| ending != "safetensors") {
        let message = format!("{}: gradients are written as safetensors; name such a file", path.display());
        return Err(Error::usage(message));
    }
    let is_to_be_made = folder.is_some_and(|folder| path.parent() == Some(folder) && !folder.exists());
    if !is_to_be_made {
        atomic::check(path)?;
    }
    let place = Identity::of(path);
    let is_own = |file: &&str| {
        path.file_name().is_some_and(|name| *name == **file)
            || folder.is_some_and(|folder| Identity::of(&folder.join(file)) == place)
    };
    if OWN.iter().any(is_own) {
        let message = format!("{}: this name is for a file of the run; name another", path.display());
        return Err(Error::usage(message));
    }
    Ok(())
}

/// A run in its folder, after `done` steps. Its engine is passed along, since it may have to be replaced.
struct Run<'a> {
    config: TrainConfig,
    plan: Plan,
    trained_for: TrainedFor,
    device: Device,
    folder: PathBuf,
    _lock: Lock,
    metrics: MetricsLog,
    validation: Option<Validation>,
    /// Made when first wanted.
    previewer: Option<Previewer>,
    recovery: Recovery,
    progress: &'a mut dyn Progress,
    /// Steps done when this process began.
    first: u64,
    done: u64,
    /// Steps before the last checkpoint.
    saved: u64,
}

impl<'a> Run<'a> {
    fn new(
        config: &TrainConfig,
        mut plan: Plan,
        device: &Device,
        folder: PathBuf,
        lock: Lock,
        recovery: Recovery,
        progress: &'a mut dyn Progress,
    ) -> Result<Self> {
        let (config, device, done) = (config.settled(), device.clone(), recovery.step);
        let metrics = MetricsLog::resume(&folder, done, &config)?;
        let trained_for = plan.trained_for()?;
        let validation = Validation::resume(&folder, done, &config, &plan, trained_for.clone(), &device)?;
        results::config(&folder.join("config.toml"), &config, &device.describe())?;
        let (first, saved) = (done, done);
        Ok(Self {
            config,
            plan,
            trained_for,
            device,
            folder,
            _lock: lock,
            metrics,
            validation,
            previewer: None,
            recovery,
            progress,
            first,
            done,
            saved,
        })
    }

    fn train_on(mut self, mut trainer: Trainer) -> Result<Outcome> {
        loop {
            let error = match self.steps(&mut trainer) {
                Err(error) => error,
                outcome => return outcome,
            };
            drop(trainer); // its memory first
            trainer = self.recover(error).map_err(|error| self.stopped(error))?;
        }
    }

    /// Returns to the last state on the host, on a device opened anew.
    fn recover(&mut self, error: Error) -> Result<Trainer> {
        let what = error.to_string();
        let build = |device: &Device| self.plan.trainer(device);
        let (device, mut trainer) = self.recovery.restart(error, &self.device, build)?;
        trainer.restore(&self.recovery.snapshot);
        self.device = device;
        if let Some(validation) = &mut self.validation {
            validation.move_to(&self.device);
        }
        self.previewer = None; // of the device that failed
        self.done = self.recovery.step;
        self.metrics.rewind(self.done);
        self.progress.recovered(&what, self.done, &self.device);
        Ok(trainer)
    }

    /// Says how to go on after an error that may pass.
    fn stopped(&self, cause: Error) -> Error {
        match cause {
            Error::Io { .. } | Error::File { .. } | Error::Device(_) | Error::OutOfMemory(_)
                if self.folder.join("config.toml").exists() =>
            {
                Error::Stopped { cause: cause.into(), folder: self.folder.clone() }
            }
            other => other,
        }
    }

    fn steps(&mut self, trainer: &mut Trainer) -> Result<Outcome> {
        let mut last_request = Instant::now();
        loop {
            self.look_and_save(trainer)?;
            if self.done == self.config.steps || self.metrics.failed.is_some() {
                return self.finish(trainer);
            }
            if self.progress.interrupted(self.done) {
                return self.pause(trainer);
            }
            trainer.submit(&self.plan.data.batch(self.done))?;
            self.done += 1;
            if last_request.elapsed() > REFRESH {
                trainer.request_losses()?;
                last_request = Instant::now();
            }
            self.metrics.add(trainer, false, self.progress)?;
            if let Some((dispatch, time)) = trainer.too_long() {
                self.progress.too_long(&dispatch, time);
            }
        }
    }

    /// What is due after the steps so far, unless it was done before the device failed.
    fn look_and_save(&mut self, trainer: &mut Trainer) -> Result<()> {
        if self.validation.as_ref().is_some_and(|validation| validation.is_due(self.done)) {
            self.validate(trainer)?;
        }
        let every = self.config.checkpoint_every;
        let is_due = every > 0 && self.done.is_multiple_of(every);
        if is_due && self.done > self.saved && self.done < self.config.steps {
            self.save(trainer)?;
        }
        if self.done > self.first && self.progress.wants_preview() {
            self.preview(trainer)?;
        }
        if self.recovery.is_due(&self.device) {
            self.settle(trainer)?;
        }
        Ok(())
    }

    /// Waits for the steps so far and returns the state after them, unless a number in it or a loss is not
    /// finite.
    fn settle(&mut self, trainer: &mut Trainer) -> Result<Option<Snapshot>> {
        self.metrics.add(trainer, true, self.progress)?;
        if !self.metrics.is_complete(self.done) {
            return Err(Error::Device("the losses of some steps never came".to_owned()));
        }
        if self.metrics.failed.is_some() {
            return Ok(None);
        }
        let snapshot = Some(trainer.snapshot()?).filter(|snapshot| snapshot.state.is_finite());
        if let Some(snapshot) = &snapshot {
            self.recovery.keep(self.done, snapshot);
        }
        Ok(snapshot)
    }

    fn validate(&mut self, trainer: &mut Trainer) -> Result<()> {
        let (Some(snapshot), Some(validation)) = (self.settle(trainer)?, &mut self.validation) else {
            return Ok(());
        };
        self.progress.validated(&validation.look(self.done, &snapshot.state)?);
        Ok(())
    }

    fn preview(&mut self, trainer: &mut Trainer) -> Result<()> {
        let Some(snapshot) = self.settle(trainer)? else { return Ok(()) };
        if self.previewer.is_none() {
            self.previewer = Some(Previewer::new(&self.config, &mut self.plan, &self.device)?);
        }
        if let Some(previewer) = &self.previewer {
            self.progress.preview(&previewer.look(&snapshot.state)?);
        }
        Ok(())
    }
}
