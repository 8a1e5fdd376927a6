//! `unheat train`.

use crate::cli::messages::{note, say};
use crate::cli::progress::{Display, Watched};
use crate::cli::settings::Settings;
use crate::cli::tune::Tuning;
use crate::cli::{Outcome, interrupt};
use crate::engine::{Device, DeviceChoice};
use crate::io::arrays::{npy, weights};
use crate::io::run_folder;
use crate::model::ScheduleName;
use crate::train::config::{LR_DECAY, LR_DECAY_EVERY, file};
use crate::train::picture_crops::is_pictures;
use crate::train::resume::CHANGEABLE;
use crate::train::run::resume;
use crate::train::{OnNan, Plan, Resumed, Size, TrainConfig, train};
use crate::{Error, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use toml::{Table, Value};

#[derive(Args)]
pub(super) struct Arguments {
    /// Take the settings from this file, where no flag says otherwise. Its keys are the flags with _ for -; every run
    /// leaves such a file, config.toml
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Go on with the run in this folder, bit for bit as if it had never stopped. Its settings are kept; --steps,
    /// --max-dispatch-ms, --checkpoint-every, --jsonl, --save-gradients and --device may be others
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output"])]
    pub(super) resume: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    tuning: Tuning,
    /// Number of updates
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    steps: u64,
    /// Send the batch through the network in parts of N samples, and add up their gradients before the update: less
    /// memory, for any batch. Batch norm then takes the statistics of each part, so the network is another one
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// Give a GPU its work in pieces that take at most about this long (ms), as far as single dispatches allow: drivers
    /// take a device for hung that is busy for seconds. The speed is measured in the first steps; results stay the same
    /// bit for bit. Software adapters get whole steps
    #[arg(long, value_name = "MS", default_value_t = TrainConfig::default().max_dispatch_ms)]
    max_dispatch_ms: u64,
    /// Diffusion to undo: diffusivity × time, in cells²
    #[arg(long, default_value_t = TrainConfig::default().amount)]
    amount: f64,
    /// Standard deviation of the noise in every cell of the observations, in units of the field: what is added to
    /// them, or what --observations has already
    #[arg(long, value_name = "SIGMA", default_value_t = TrainConfig::default().noise)]
    noise: f64,
    /// What SIP takes a residual to be uncertain by, relative to its norm, besides the noise
    #[arg(long, value_name = "EPSILON", default_value_t = TrainConfig::default().uncertainty)]
    uncertainty: f64,
    /// Learning rate of Adam
    #[arg(long, default_value_t = TrainConfig::default().lr)]
    lr: f64,
    /// Factor of the learning rate in step s = 0, 1, …: 1; ½·(1 + cos(π·s/T)), from step T on 0; or D^⌊s/N⌋
    #[arg(long, default_value_t = TrainConfig::default().lr_schedule, value_name = "constant|cosine|step")]
    lr_schedule: ScheduleName,
    /// T of the cosine schedule [default: --steps, when the run starts]
    #[arg(long, value_name = "T")]
    lr_cosine_steps: Option<u64>,
    #[arg(long, value_name = "D",
        help = format!("D of the step schedule [default: {LR_DECAY}]"))]
    lr_decay: Option<f64>,
    #[arg(long, value_name = "N", help = format!("N of the step schedule [default: {LR_DECAY_EVERY}]"))]
    lr_decay_every: Option<u64>,
    /// What happens to a step whose loss or gradient is not finite: stop ends training with the weights of the last good
    /// step; skip leaves that step out and counts it (its loss_mean is NaN), and ends after 100 in a row
    #[arg(long, value_name = "stop|skip", default_value_t = TrainConfig::default().on_nan)]
    on_nan: OnNan,
    /// Start from these weights, unheat's or PyTorch's, instead of drawing them: the defaults of --levels,
    /// --filters, --padding, --activation, --batch-norm and --res-blocks are then theirs; Adam starts afresh
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
    /// Train on these fields, [count, x, y] or [x, y], in order and again from the start at the end, instead of
    /// random rectangles: the default of --size is then theirs. Or on random pieces of a picture or a folder of them
    /// (PNG, JPEG, TIFF), every colour by itself, mirrored at random
    #[arg(long, value_name = "FILE.npy|FOLDER")]
    data: Option<PathBuf>,
    /// Train on these observations, [count, x, y] or [x, y], whose truth nobody knows: the heat equation alone is the
    /// teacher. Say with --noise how noisy they are; rounding is allowed for. Pictures must be as large as --size
    #[arg(long, value_name = "FILE.npy|FOLDER", conflicts_with = "data")]
    observations: Option<PathBuf>,
    /// Take the fields of --data or --observations in a random order, a new one for every pass
    #[arg(long)]
    shuffle: bool,
    /// Write a checkpoint every N steps, to go on from with --resume; 0: only at the end, and on Ctrl-C
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().checkpoint_every)]
    checkpoint_every: u64,
    /// Every N steps, try the network on held-out fields with its running statistics (validation.csv), and keep the
    /// best weights (weights.best.safetensors); 0: never. Training is the same bit for bit
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().validate_every)]
    validate_every: u64,
    /// The held-out fields, or pictures to cut as many as a batch out of [default: as many random rectangles as a
    /// batch, which training never draws]
    #[arg(long, value_name = "FILE.npy")]
    validation_data: Option<PathBuf>,
    /// Also write the metrics as JSON lines, metrics.jsonl: an object per step, with the columns of metrics.csv
    #[arg(long)]
    jsonl: bool,
    /// Also write the parameter gradients of the last step, named like the parameters
    #[arg(long, value_name = "FILE.safetensors")]
    save_gradients: Option<PathBuf>,
    /// Show curves, speed and the current reconstruction on the whole terminal; q stops with a checkpoint. Without a
    /// terminal, plain lines. Training is the same bit for bit
    #[arg(long)]
    view: bool,
    /// Seed of the initial weights, the rectangles and the shuffling
    #[arg(long, default_value_t = TrainConfig::default().seed)]
    seed: u64,
    /// Folder for the results; it must not exist [default: a new one in runs/]
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

impl Arguments {
    /// The settings that were said, and no defaults.
    pub(super) fn said(&self, matches: &ArgMatches) -> Result<Table> {
        let mut table = file::table(&self.settings.config(TrainConfig {
            steps: self.steps,
            micro_batch: self.micro_batch,
            max_dispatch_ms: self.max_dispatch_ms,
            amount: self.amount,
            noise: self.noise,
            uncertainty: self.uncertainty,
            lr: self.lr,
            lr_schedule: self.lr_schedule,
            lr_cosine_steps: self.lr_cosine_steps,
            lr_decay: self.lr_decay,
            lr_decay_every: self.lr_decay_every,
            on_nan: self.on_nan,
            weights: self.weights.clone(),
            data: self.data.clone(),
            observations: self.observations.clone(),
            shuffle: self.shuffle,
            checkpoint_every: self.checkpoint_every,
            validate_every: self.validate_every,
            validation_data: self.validation_data.clone(),
            jsonl: self.jsonl,
            save_gradients: self.save_gradients.clone(),
            seed: self.seed,
            ..TrainConfig::default()
        }))?;
        table.retain(|key, _| matches.value_source(key) == Some(ValueSource::CommandLine));
        Ok(table)
    }

    /// What is not said comes from the file of settings, then from weights and data, or is the default.
    pub(super) fn config(&mut self, said: Table) -> Result<TrainConfig> {
        let path = self.config.clone().unwrap_or_else(|| "the flags".into());
        let mut table = match self.config {
            None => Table::new(),
            Some(_) => self.take_own(file::read(&path, &["output", "no_tune", "view"])?, &path)?,
        };
        table.extend(said);
        let mut config = file::config(&table, &path)?;
        if let Some(path) = &config.weights {
            let found = weights::read(path)?.0.config;
            let said = |key| table.contains_key(key);
            config.levels = if said("levels") { config.levels } else { found.levels() };
            config.padding = if said("padding") { config.padding } else { found.padding };
            config.activation = if said("activation") { config.activation } else { found.activation };
            config.batch_norm = if said("batch_norm") { config.batch_norm } else { found.batch_norm.into() };
            config.res_blocks = if said("res_blocks") { config.res_blocks } else { found.res_blocks };
            config.filters = if said("filters") { config.filters } else { found.filters };
        }
        let fields = config.data.as_ref().or(config.observations.as_ref());
        if let (Some(path), false) = (fields.filter(|path| !is_pictures(path)), table.contains_key("size")) {
            let [_, nx, ny] = npy::shape(path)?;
            config.size = Size { nx, ny };
        }
        Ok(config)
    }

    /// Takes the flags that are no settings of training out of the file's `table`.
    fn take_own(&mut self, mut table: Table, path: &Path) -> Result<Table> {
        match table.remove("output") {
            None => {}
            Some(Value::String(output)) => self.output = self.output.take().or(Some(output.into())),
            Some(other) => {
                return Err(Error::file(path, format!("output = {other}: must be a name in quotes")));
            }
        }
        for (key, flag) in [("no_tune", &mut self.tuning.no_tune), ("view", &mut self.view)] {
            match table.remove(key) {
                None => {}
                Some(Value::Boolean(value)) => *flag |= value,
                Some(other) => {
                    return Err(Error::file(path, format!("{key} = {other}: must be true or false")));
                }
            }
        }
        Ok(table)
    }

    /// How to watch the run of `config`, of which `done` steps are done.
    pub(super) fn watched(&self, config: &TrainConfig, device: &Device, done: u64) -> Watched {
        let title = || format!("{} on {}", config.method.title(), device.describe());
        Watched { view: self.view.then(title), done, steps: config.steps }
    }

    /// Opens the device and finds its fastest variants.
    pub(super) fn open(&self, config: &TrainConfig, plan: &Plan) -> Result<Device> {
        let Ok(choice) = config.device.parse::<DeviceChoice>();
        let device = Device::open(&choice)?;
        plan.check(&device)?; // what does not fit is refused before anything is said or measured
        if let (Device::Cpu, DeviceChoice::Auto) = (&device, &choice) {
            note!(
                "no GPU found: training on the {} (to run the shaders in software: --device llvmpipe)",
                device.describe()
            );
        } else {
            note!("training on {}", device.describe());
        }
        self.tuning.find(&device, config, plan)?;
        Ok(device)
    }
}

/// The settings of a run that goes on, with what may change and was said.
pub(super) fn changed(run: &Resumed, folder: &Path, said: Table) -> Result<TrainConfig> {
    let mut table = file::table(&run.config)?;
    for (key, value) in said {
        let found = table.get(&key);
        if found != Some(&value) && !CHANGEABLE.contains(&key.as_str()) {
            let found = found.map_or("none".to_owned(), Value::to_string);
            let (flag, folder) = (key.replace('_', "-"), folder.display());
            return Err(Error::usage(format!(
                "{flag} {value}: the run in {folder} has {found}; leave --{flag} out, or start a new run"
            )));
        }
        table.insert(key, value);
    }
    let config = file::config(&table, folder)?;
    if config.steps < run.step() {
        let (steps, done, folder) = (config.steps, run.step(), folder.display());
        return Err(Error::usage(format!("steps {steps}: the run in {folder} has done {done} already")));
    }
    Ok(config)
}

pub(super) fn run(mut arguments: Arguments, matches: &ArgMatches) -> Outcome {
    let said = arguments.said(matches)?;
    let Some(folder) = arguments.resume.take() else {
        let config = arguments.config(said)?;
        let plan = config.plan()?; // impossible settings are refused before any device is opened
        arguments.output.as_deref().map_or(Ok(()), run_folder::check_new)?;
        let device = arguments.open(&config, &plan)?;
        let mut display = Display::new(arguments.watched(&config, &device, 0), interrupt::catch()?)?;
        let outcome = train(&config, plan, &device, arguments.output.as_deref(), &mut display);
        return report(display, outcome, config.steps);
    };
    let run = Resumed::open(&folder)?;
    let config = changed(&run, &folder, said)?;
    if run.step() == config.steps {
        let (folder, steps) = (folder.display(), config.steps);
        say!("{folder}: all {steps} steps are done; to go on, add --steps with a larger number");
        return Ok(ExitCode::SUCCESS);
    }
    let plan = run.plan(&config)?;
    let device = arguments.open(&config, &plan)?;
    note!("going on after step {} of {}", run.step(), config.steps);
    let watched = arguments.watched(&config, &device, run.step());
    let mut display = Display::new(watched, interrupt::catch()?)?;
    let outcome = resume(run, &config, plan, &device, &mut display);
    report(display, outcome, config.steps)
}

fn report(display: Display, outcome: Result<crate::train::Outcome>, steps: u64) -> Outcome {
    display.finish();
    let outcome = outcome?;
    let folder = outcome.folder.display();
    if outcome.steps < steps {
        note!("stopped after {} of {steps} steps; to go on: unheat train --resume {folder}", outcome.steps);
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    if outcome.skipped > 0 {
        say!("{} of {steps} steps were skipped: a loss or gradient was not finite", outcome.skipped);
    }
    if !outcome.x_l2.mean.is_nan() {
        say!("x loss of the last step: {}", outcome.x_l2);
    }
    say!("{steps} steps in {:.1} s; weights, metrics and pictures are in {folder}", outcome.seconds);
    Ok(ExitCode::SUCCESS)
}
