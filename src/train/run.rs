//! The training loop: takes data, keeps the engine busy, writes what arrives.

use super::compute::Compute;
use super::config::{Plan, TrainConfig};
use super::engine::Engine;
use super::report;
use super::summary::{Statistics, row};
use crate::io::metrics::{MetricsFile, Row};
use crate::io::{atomic, run_folder, weights};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a run writes into its folder.
const FILES: [&str; 5] =
    ["config.toml", "metrics.csv", "weights.safetensors", "curves.png", "reconstruction.png"];

/// Losses are asked for at least this often, so that slow devices show progress too.
const REFRESH: Duration = Duration::from_millis(250);

/// Gets told how training goes.
pub trait Progress {
    /// The metrics of a step have arrived, in step order.
    fn step(&mut self, row: &Row, steps: u64);
}

/// What a finished run leaves.
pub struct Outcome {
    /// The run's folder.
    pub folder: PathBuf,
    /// x_l2 over the batch of the last step.
    pub x_l2: Statistics,
    /// Time of the loop.
    pub seconds: f64,
}

/// Trains as `config` says, from its `plan`, and leaves everything in `folder`, which must not exist (none: a new one in `runs/`).
///
/// # Errors
/// [`Error::Usage`] before anything is written: the batch does not fit the device, or a folder is in the way or
/// missing. [`Error::NonFinite`] when a loss is not finite: the folder then holds the metrics so far and the last
/// good weights.
pub fn train(
    config: &TrainConfig,
    mut plan: Plan,
    compute: &Compute,
    folder: Option<&Path>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    if let Some(path) = &config.save_gradients {
        if path.parent() != folder {
            atomic::check_folder(path)?; // the run's own folder is about to be made
        }
        atomic::check_target(path)?;
        if path.file_name().is_some_and(|name| FILES.iter().any(|file| name == *file)) {
            let message = format!("{}: this name is for a file of the run; name another", path.display());
            return Err(Error::usage(message));
        }
    }
    let mut engine = Engine::new(compute, &plan, config)?;
    let folder = run_folder::create(folder, config.method.name())?;
    report::config(&folder.join("config.toml"), config, &compute.describe())?;

    let mut journal = Journal::new(&folder, config.steps)?;
    let mut last_request = Instant::now();
    for step in 0..config.steps {
        engine.submit(&plan.data.batch(step))?;
        if last_request.elapsed() > REFRESH {
            engine.request_losses()?;
            last_request = Instant::now();
        }
        journal.add(&mut engine, false, progress)?;
        if journal.failed {
            break;
        }
    }
    journal.add(&mut engine, true, progress)?;

    let weights_path = folder.join("weights.safetensors");
    let state = engine.state()?;
    if journal.failed || !state.is_finite() {
        let step = journal.rows.len() as u64;
        let kept = engine.kept_state(plan.start.batches_tracked + step as i64)?;
        weights::write(&weights_path, &plan.net, &kept)?;
        report::curves(&folder.join("curves.png"), config, &journal.rows)?;
        let hint = format!("the last good weights are in {}; try a smaller --lr", weights_path.display());
        return Err(Error::NonFinite { step, hint });
    }
    weights::write(&weights_path, &plan.net, &state)?;
    if let Some(path) = &config.save_gradients {
        weights::write_gradients(path, &plan.net, &engine.gradients()?)?;
    }
    report::curves(&folder.join("curves.png"), config, &journal.rows)?;
    let examples = engine.predict(&plan.data.examples())?;
    report::reconstruction(&folder.join("reconstruction.png"), config, &examples)?;
    let seconds = journal.rows.last().map_or(0.0, |row| row.seconds);
    Ok(Outcome { folder, x_l2: journal.last, seconds })
}

/// Turns losses into rows of `metrics.csv`, as they arrive.
struct Journal {
    file: MetricsFile,
    rows: Vec<Row>,
    steps: u64,
    start: Instant,
    last: Statistics,
    failed: bool,
}

impl Journal {
    fn new(folder: &Path, steps: u64) -> Result<Self> {
        let file = MetricsFile::create(&folder.join("metrics.csv"))?;
        let last = Statistics { mean: f64::NAN, std: f64::NAN, min: f64::NAN, max: f64::NAN };
        Ok(Self { file, rows: Vec::new(), steps, start: Instant::now(), last, failed: false })
    }

    /// Stops for good at the first step whose losses are not finite.
    fn add(&mut self, engine: &mut Engine, all: bool, progress: &mut dyn Progress) -> Result<()> {
        for losses in engine.losses(all)? {
            self.failed |= !losses.is_finite();
            if self.failed {
                return Ok(());
            }
            let row = row(self.rows.len() as u64, &losses, self.start.elapsed().as_secs_f64());
            self.last = Statistics::of(&losses.x_l2);
            self.file.append(&row)?;
            progress.step(&row, self.steps);
            self.rows.push(row);
        }
        Ok(())
    }
}
