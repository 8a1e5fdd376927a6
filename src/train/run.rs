//! The training loop: draws data, keeps the engine busy, writes what arrives.

use super::compute::Compute;
use super::config::TrainConfig;
use super::engine::Engine;
use super::report;
use super::summary::{Statistics, row};
use crate::io::metrics::{MetricsFile, Row};
use crate::io::{run_folder, weights};
use crate::model::init::State;
use crate::model::rectangles::draw_batch;
use crate::model::rng::Purpose;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Trains as `config` says and leaves everything in `folder`, which must not exist (none: a new one in `runs/`).
///
/// # Errors
/// [`Error::Usage`] for impossible settings, before anything is written. [`Error::NonFinite`] when a loss is not
/// finite: the folder then holds the metrics so far and the last good weights.
pub fn train(
    config: &TrainConfig,
    compute: &Compute,
    folder: Option<&Path>,
    progress: &mut dyn Progress,
) -> Result<Outcome> {
    let plan = config.plan()?;
    let start = State::new(&plan.net, config.seed);
    let mut engine = Engine::new(compute, &plan, config.method, config.physics, config.batch, &start)?;
    let folder = run_folder::create(folder, config.method.name())?;
    report::config(&folder.join("config.toml"), config)?;

    let (nx, ny) = (plan.heat.nx, plan.heat.ny);
    let draw = |purpose, step| draw_batch(purpose, config.seed, step, config.batch, nx, ny);
    let mut journal = Journal::new(&folder, config.steps)?;
    let mut last_request = Instant::now();
    for step in 0..config.steps {
        engine.submit(&draw(Purpose::Rectangles, step))?;
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
    if journal.failed {
        let step = journal.rows.len() as u64;
        weights::write(&weights_path, &plan.net, &engine.kept_state(step as i64)?)?;
        report::curves(&folder.join("curves.png"), config, &journal.rows)?;
        let hint = format!("the last good weights are in {}; try a smaller --lr", weights_path.display());
        return Err(Error::NonFinite { step, hint });
    }
    weights::write(&weights_path, &plan.net, &engine.state()?)?;
    report::curves(&folder.join("curves.png"), config, &journal.rows)?;
    let examples = engine.predict(&draw(Purpose::Examples, 0))?;
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
