//! `unheat compare`: several methods side by side, and a report on them.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::terminal::interrupt;
use crate::cli::terminal::messages::{note, print_line};
use crate::cli::terminal::progress::Display;
use crate::cli::train;
use crate::engine::Device;
use crate::io::run_folder;
use crate::io::tables::metrics;
use crate::model::{Method, Objective, StepSpec};
use crate::restore::Classic;
use crate::train::comparison::report::{self, Trained};
use crate::train::comparison::{Score, Trial};
use crate::train::{Resumed, TrainConfig};
use crate::trust::Work;
use crate::{Error, Result};
use clap::Args;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use toml::Table;

/// Samples per step by default: three trainings take minutes even in software.
pub(super) const BATCH: &str = "32";

#[derive(Args)]
#[group(skip)] // or its name would be that of train's
pub(super) struct Arguments {
    /// The methods to train, one after the other on the same data from the same weights
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::ALL)]
    methods: Vec<Method>,
    #[command(flatten)]
    train: train::Arguments,
}

pub(super) fn run(mut arguments: Arguments) -> Outcome {
    let given = arguments.train.settings.given()?;
    if given.contains_key("method") {
        return Err(Error::usage(
            "method: compare trains several; list them with --methods sip,gd,supervised",
        ));
    }
    let mut methods: Vec<Method> = Vec::new();
    for &method in &arguments.methods {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let (config, resumed) = match arguments.train.resume.take() {
        None => (arguments.train.config()?, None),
        Some(folder) => (settings_of(&folder, &methods)?, Some(folder)),
    };
    for &method in &methods {
        // What is impossible is said before anything is trained.
        TrainConfig { method, ..config.clone() }.plan()?;
    }
    let mut plan = config.plan()?;
    arguments.train.output.as_deref().map_or(Ok(()), run_folder::check_new)?;
    let left_out = train::tell(&config, &plan);
    let trial = Trial::new(&config, &mut plan)?;
    let device = arguments.train.open(&config, &plan)?;
    for &method in &methods {
        let objective = Objective { method, ..plan.step.objective };
        let step = StepSpec { objective, ..plan.step.clone() };
        arguments.train.preparation.test(&device, &Work::Training(&step))?;
    }
    let folder = match resumed {
        Some(folder) => folder,
        None => run_folder::create(arguments.train.output.as_deref(), "compare", |_| Ok(()))?,
    };

    let caught = interrupt::catch()?;
    let (mut trained, mut scores) = (Vec::new(), Vec::new());
    for &method in &methods {
        let config = TrainConfig { method, ..config.clone() };
        let run = folder.join(method.name());
        note!("{}:", method.title());
        if !train_one(&arguments.train, &config, &given, &run, &device, &caught)? {
            note!("stopped; to go on: unheat compare --resume {}", folder.display());
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
        let rows = metrics::read(&run.join("metrics.csv"))?;
        let weights = run.join("weights.safetensors");
        let score = trial.network(method.title(), &weights, &device, config.samples_at_once())?;
        let seconds_per_step = rows.last().map(|row| row.seconds / rows.len() as f64);
        scores.push(Score { seconds_per_step, ..score });
        trained.push(Trained { name: method.title().to_owned(), rows });
    }
    report::curves(&folder.join("curves.png"), &config, &trained)?;
    report::reconstructions(&folder.join("reconstructions.png"), &trial, &scores)?;
    note!("classical methods on the same fields");
    for method in Classic::ALL {
        scores.push(trial.classic(method, &device, config.physics)?);
    }
    report::write(&folder, &config, &device.describe(), &trial, &scores)?;
    for score in &scores {
        print_line!("{:18} x loss {}", score.name, score.x_l2);
    }
    print_line!("the report is in {}", folder.join("report.html").display());
    Ok(done(false, left_out))
}

/// The settings of a comparison that goes on: those of its first run, which all share but for the method.
fn settings_of(folder: &Path, methods: &[Method]) -> Result<TrainConfig> {
    let run =
        methods.iter().map(|method| folder.join(method.name())).find(|run| run.join("config.toml").is_file());
    let Some(run) = run else {
        let folder = folder.display();
        let message =
            format!("{folder}: holds no run of these methods to go on with; name a comparison's folder");
        return Err(Error::usage(message));
    };
    Ok(Resumed::open(&run)?.config)
}

/// Trains one method, or goes on with it; whether it has come to its end.
fn train_one(
    arguments: &train::Arguments,
    config: &TrainConfig,
    given: &Table,
    folder: &Path,
    device: &Device,
    caught: &Arc<AtomicBool>,
) -> Result<bool> {
    let outcome = if folder.exists() {
        let run = Resumed::open(folder)?;
        let config = train::changed(&run, folder, given.clone())?;
        if run.step() == config.steps {
            return Ok(true);
        }
        let plan = run.plan(&config)?;
        let mut display = Display::new(arguments.watched(&config, device, run.step()), caught.clone());
        let outcome = crate::train::resume(run, &config, plan, device, &mut display);
        display.finish();
        outcome?
    } else {
        let mut display = Display::new(arguments.watched(config, device, 0), caught.clone());
        let outcome = crate::train::train(config, config.plan()?, device, Some(folder), &mut display);
        display.finish();
        outcome?
    };
    Ok(outcome.steps >= config.steps)
}
