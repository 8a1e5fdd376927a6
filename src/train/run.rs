//! The training loop: takes data, keeps the engine busy, writes what arrives.

use super::compute::Compute;
use super::config::TrainConfig;
use super::engine::Engine;
use super::journal::Journal;
use super::plan::Plan;
use super::preview::{Preview, Previewer};
use super::resume::{Resumed, lasting};
use super::summary::Statistics;
use super::validation::Validation;
use super::{checkpoint, report};
use crate::io::checkpoint::Checkpoint;
use crate::io::metrics::Row;
use crate::io::run_folder::{self, Lock};
use crate::io::{atomic, validation, weights};
use crate::model::Snapshot;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a run writes into its folder.
const FILES: [&str; 10] = [
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

/// Losses are asked for at least this often, so that slow devices show progress too.
const REFRESH: Duration = Duration::from_millis(250);

/// Gets told how training goes, and may end it.
pub trait Progress {
    /// The metrics of a step have arrived, in step order.
    fn step(&mut self, row: &Row, steps: u64);

    /// The network was tried on the held-out fields.
    fn validated(&mut self, _: &validation::Row) {}

    /// Whether to show what the network makes of an example now. Asked after every step; training waits meanwhile.
    fn wants_preview(&mut self) -> bool {
        false
    }

    /// What was asked for.
    fn preview(&mut self, _: &Preview) {}

    /// Whether to stop after the step at hand, with a checkpoint. Asked before every step.
    fn interrupted(&mut self) -> bool {
        false
    }
}

/// What a run leaves.
pub struct Outcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// Steps that are done: all, unless [`Progress`] has ended the run.
    pub steps: u64,
    /// x_l2 over the batch of the last step; NaN where x* is unknown.
    pub x_l2: Statistics,
    /// Time of the loop, that before an interruption too.
    pub seconds: f64,
}

/// Trains as `config` says, from its `plan`, and leaves everything in `folder`, which must not exist (none: a new one
/// in `runs/`).
///
/// # Errors
/// [`Error::Usage`] before anything is written: the batch does not fit the device, or a folder is in the way or
/// missing. [`Error::NonFinite`] when a loss is not finite: the folder then holds the metrics so far and the last
/// good weights.
pub fn train(
    config: &TrainConfig,
    plan: Plan,
    compute: &Compute,
    folder: Option<&Path>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    check_gradients(config, folder)?;
    let engine = Engine::new(compute, &plan, config)?;
    let folder = run_folder::create(folder, config.method.name())?;
    let lock = run_folder::lock(&folder)?;
    Run::new(config, plan, engine, compute, folder, lock, 0)?.train_on(progress)
}

/// Goes on with a run, bit for bit as if it had never stopped. `config` is the run's own but for
/// [`super::resume::CHANGEABLE`] settings, `plan` comes from [`Resumed::plan`].
///
/// # Errors
/// As for [`train`]; also when rows of `metrics.csv` before the checkpoint are missing.
pub fn resume(
    resumed: Resumed,
    config: &TrainConfig,
    plan: Plan,
    compute: &Compute,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    check_gradients(config, None)?;
    let mut engine = Engine::new(compute, &plan, config)?;
    let done = resumed.step();
    if let Some(checkpoint) = &resumed.checkpoint {
        engine.restore(&checkpoint.snapshot);
    }
    Run::new(config, plan, engine, compute, resumed.folder, resumed.lock, done)?.train_on(progress)
}

/// Refuses a file for the gradients that could not be written at the end.
fn check_gradients(config: &TrainConfig, folder: Option<&Path>) -> Result<()> {
    let Some(path) = &config.save_gradients else { return Ok(()) };
    if path.parent() != folder {
        atomic::check_folder(path)?; // the run's own folder is about to be made
    }
    atomic::check_target(path)?;
    if path.file_name().is_some_and(|name| FILES.iter().any(|file| name == *file)) {
        let message = format!("{}: this name is for a file of the run; name another", path.display());
        return Err(Error::usage(message));
    }
    Ok(())
}

/// A run in its folder, after `done` steps.
struct Run {
    config: TrainConfig,
    plan: Plan,
    engine: Engine,
    folder: PathBuf,
    _lock: Lock,
    journal: Journal,
    validation: Option<Validation>,
    compute: Compute,
    /// Made when first wanted.
    previewer: Option<Previewer>,
    /// Steps done when this process began.
    first: u64,
    done: u64,
}

impl Run {
    fn new(
        config: &TrainConfig,
        plan: Plan,
        engine: Engine,
        compute: &Compute,
        folder: PathBuf,
        lock: Lock,
        done: u64,
    ) -> Result<Self> {
        let config = config.settled();
        let journal = Journal::resume(&folder, done, &config)?;
        let validation = Validation::resume(&folder, done, &config, &plan, compute)?;
        report::config(&folder.join("config.toml"), &config, &compute.describe())?;
        Ok(Self {
            config,
            plan,
            engine,
            folder,
            _lock: lock,
            journal,
            validation,
            compute: compute.clone(),
            previewer: None,
            first: done,
            done,
        })
    }

    fn train_on(mut self, progress: &mut dyn Progress) -> Result<Outcome> {
        let mut last_request = Instant::now();
        while self.done < self.config.steps && !self.journal.failed {
            if progress.interrupted() {
                return self.pause(progress);
            }
            self.engine.submit(&self.plan.data.batch(self.done))?;
            self.done += 1;
            if last_request.elapsed() > REFRESH {
                self.engine.request_losses()?;
                last_request = Instant::now();
            }
            self.journal.add(&mut self.engine, false, progress)?;
            if self.validation.as_ref().is_some_and(|validation| validation.is_due(self.done)) {
                self.validate(progress)?;
            }
            if progress.wants_preview() {
                self.preview(progress)?;
            }
            let every = self.config.checkpoint_every;
            if every > 0 && self.done.is_multiple_of(every) && self.done < self.config.steps {
                self.save(progress)?;
            }
        }
        self.finish(progress)
    }

    /// Waits for the steps so far and returns the state after them, unless a number in it or a loss is not finite.
    fn settle(&mut self, progress: &mut dyn Progress) -> Result<Option<Snapshot>> {
        self.journal.add(&mut self.engine, true, progress)?;
        if self.journal.failed {
            return Ok(None);
        }
        Ok(Some(self.engine.snapshot()?).filter(|snapshot| snapshot.state.is_finite()))
    }

    fn validate(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let (Some(snapshot), Some(validation)) = (self.settle(progress)?, &mut self.validation) else {
            return Ok(());
        };
        progress.validated(&validation.look(self.done, &snapshot.state)?);
        Ok(())
    }

    fn preview(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let Some(snapshot) = self.settle(progress)? else { return Ok(()) };
        if self.previewer.is_none() {
            self.previewer = Some(Previewer::new(&self.config, &mut self.plan, &self.compute)?);
        }
        if let Some(previewer) = &self.previewer {
            progress.preview(&previewer.look(&snapshot.state)?);
        }
        Ok(())
    }

    /// Writes a checkpoint, unless training has failed: then the last good one stays.
    fn save(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let Some(snapshot) = self.settle(progress)? else { return Ok(()) };
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)
    }

    /// Tables reach the disk before the checkpoint that says how far they are.
    fn checkpoint(&self, snapshot: Snapshot) -> Result<Checkpoint> {
        self.journal.sync()?;
        self.validation.as_ref().map_or(Ok(()), Validation::sync)?;
        let settings = lasting(&self.config)?.to_string();
        Ok(Checkpoint { step: self.done, settings, snapshot })
    }

    /// Stops before the end, such that [`resume`] goes on here.
    fn pause(mut self, progress: &mut dyn Progress) -> Result<Outcome> {
        let Some(snapshot) = self.settle(progress)? else { return Err(self.fail()?) };
        weights::write(&self.folder.join("weights.safetensors"), &self.plan.net, &snapshot.state)?;
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)?;
        Ok(self.outcome())
    }

    /// Writes what a run leaves. The last checkpoint is the last file: where it is, the others are.
    fn finish(mut self, progress: &mut dyn Progress) -> Result<Outcome> {
        let Some(snapshot) = self.settle(progress)? else { return Err(self.fail()?) };
        let file = |name: &str| self.folder.join(name);
        weights::write(&file("weights.safetensors"), &self.plan.net, &snapshot.state)?;
        if let Some(path) = &self.config.save_gradients {
            weights::write_gradients(path, &self.plan.net, &self.engine.gradients()?)?;
        }
        report::curves(&file("curves.png"), &self.config, &self.journal.rows)?;
        let examples = self.engine.predict(&self.plan.data.examples())?;
        report::reconstruction(&file("reconstruction.png"), &self.config, &examples)?;
        checkpoint::save(&self.folder, &self.checkpoint(snapshot)?)?;
        checkpoint::drop_previous(&self.folder)?;
        Ok(self.outcome())
    }

    /// Writes the last good weights, and returns what to say.
    fn fail(&mut self) -> Result<Error> {
        let path = self.folder.join("weights.safetensors");
        let step = self.journal.rows.len() as u64;
        let kept = self.engine.kept_state(self.plan.start.batches_tracked + (step - self.first) as i64)?;
        weights::write(&path, &self.plan.net, &kept)?;
        report::curves(&self.folder.join("curves.png"), &self.config, &self.journal.rows)?;
        let hint = format!("the last good weights are in {}; try a smaller --lr", path.display());
        Ok(Error::NonFinite { step, hint })
    }

    fn outcome(self) -> Outcome {
        let seconds = self.journal.seconds();
        Outcome { folder: self.folder, steps: self.done, x_l2: self.journal.last, seconds }
    }
}
