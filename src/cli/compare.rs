//! `unheat compare`: several methods side by side, and a report on them.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::group;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::messages::{note, print_line};
use crate::cli::terminal::progress::Display;
use crate::cli::train;
use crate::engine::Device;
use crate::io::arrays::fingerprint::Fingerprints;
use crate::io::run_folder;
use crate::io::tables::metrics;
use crate::model::{Method, Objective, StepSpec};
use crate::restore::Classic;
use crate::train::comparison::report::{self, Trained};
use crate::train::comparison::{Score, Trial};
use crate::train::config::file;
use crate::train::resume::lasting;
use crate::train::{Plan, Resumed, TrainConfig, same_data};
use crate::trust::Work;
use crate::{Error, Result};
use clap::{Args, Command};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use toml::Table;

/// Samples per step by default: three trainings take minutes even in software.
pub(super) const BATCH: &str = "32";

/// The settings of a single training that make no sense for several, and why. Their flags are not shown.
const REFUSED: [(&str, &str); 2] = [
    ("method", "compare trains several; list them with --methods sip,gd,supervised"),
    (
        "save_gradients",
        "every method would write the same file; leave it out, and ask for it with train --resume on one run",
    ),
];

/// The command without the flags that it refuses.
pub(super) fn without_refused(command: Command) -> Command {
    let flags = REFUSED.map(|(flag, _)| flag);
    let command = flags.iter().fold(command, |command, flag| command.mut_arg(flag, |flag| flag.hide(true)));
    command.mut_arg("resume", |resume| resume.help(train::resume_help("comparison", &flags)))
}

fn refuse(given: &Table) -> Result<()> {
    match REFUSED.iter().find(|(flag, _)| given.contains_key(*flag)) {
        Some((flag, why)) => Err(Error::usage(format!("{}: {why}", flag.replace('_', "-")))),
        None => Ok(()),
    }
}

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
    group::check_alone()?;
    let given = arguments.train.settings.given()?;
    refuse(&given)?;
    let mut methods: Vec<Method> = Vec::new();
    for &method in &arguments.methods {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    let resumed = arguments.train.resume.take();
    let (config, mut plan) = match &resumed {
        Some(folder) => begun(folder, &methods, &given)?,
        None => {
            let (config, named) = arguments.train.config()?;
            // A run's file names its method, which is no request to have it alone.
            let mut said = file::table(&config)?;
            said.remove("method");
            refuse(&said)?;
            let plan = config.plan().map_err(|error| named.explain(error))?;
            (config, plan)
        }
    };
    let first = plan.fingerprints.clone();
    for &method in &methods {
        // What is impossible is said before anything is trained.
        if resumed.as_ref().is_none_or(|folder| !folder.join(method.name()).exists()) {
            starting(&TrainConfig { method, ..config.clone() }, &first)?;
        }
    }
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
        Some(folder) => {
            let own = ["curves.png", "reconstructions.png", "report.md", "report.html"];
            run_folder::check_own(&folder, &own)?;
            folder
        }
        None => run_folder::create(arguments.train.output.as_deref(), "compare", |_| Ok(()))?,
    };

    let caught = arguments.train.interruption()?;
    let (mut trained, mut scores) = (Vec::new(), Vec::new());
    for &method in &methods {
        let config = TrainConfig { method, ..config.clone() };
        let run = folder.join(method.name());
        note!("{}:", method.title());
        if !train_one(&arguments.train, &config, &first, &given, &run, &device, &caught)? {
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
    report::reconstructions(&folder.join("reconstructions.png"), &config, &trial, &scores)?;
    note!("classical methods on the same fields");
    for method in Classic::ALL.into_iter().filter(|method| method.suits(plan.step.operator.factors())) {
        scores.push(trial.classic(method, &device, config.physics)?);
    }
    report::write(&folder, &config, &device.describe(), &trial, &scores)?;
    for score in &scores {
        print_line!("{:18} x loss {}", score.name, score.x_l2);
    }
    print_line!("the report is in {}", folder.join("report.html").display());
    Ok(done(false, left_out))
}

/// The settings of a comparison that goes on, with what is `given` anew, and their plan: those of its first
/// run, which all share but for the method.
fn begun(folder: &Path, methods: &[Method], given: &Table) -> Result<(TrainConfig, Plan)> {
    let run =
        methods.iter().map(|method| folder.join(method.name())).find(|run| run.join("config.toml").is_file());
    let Some(run) = run else {
        let is_run = folder.join("config.toml").is_file();
        let folder = folder.display();
        return Err(Error::usage(if is_run {
            format!("{folder}: a single run; to go on: unheat train --resume {folder}")
        } else {
            format!("{folder}: holds no run of these methods to go on with; name a comparison's folder")
        }));
    };
    let opened = Resumed::open(&run)?;
    let config = train::changed(&opened, &run, given.clone())?;
    let plan = opened.plan(&config)?;
    Ok((config, plan))
}

/// The plan of a method that has no run yet. All methods share the data and the weights of the first, even if
/// files are replaced while that is trained.
fn starting(config: &TrainConfig, first: &Fingerprints) -> Result<Plan> {
    let plan = config.plan()?;
    same_data::check_start(config, first, &plan.fingerprints)?;
    Ok(plan)
}

/// Refuses a run that belongs to another comparison: of another method, with other settings or on other data.
fn same_comparison(run: &Resumed, config: &TrainConfig, first: &Fingerprints, folder: &Path) -> Result<()> {
    let [own, wanted] = [lasting(&run.config)?, lasting(config)?];
    let mut keys = own.keys().chain(wanted.keys());
    let refused = |what: String| {
        let what = format!("{what}: it is a run of another comparison; move it away, or name it no longer");
        Err(Error::file(folder, what))
    };
    if let Some(key) = keys.find(|&key| own.get(key) != wanted.get(key)) {
        let [own, wanted] = [own.get(key), wanted.get(key)].map(file::words);
        return refused(format!("has {key} {own}, the comparison has {wanted}"));
    }
    match run.began_with() {
        Some(own) if own != first => {
            refused("began with other data or weights than the first one".to_owned())
        }
        _ => Ok(()),
    }
}

/// Trains one method, or goes on with it; whether it has come to its end.
fn train_one(
    arguments: &train::Arguments,
    config: &TrainConfig,
    first: &Fingerprints,
    given: &Table,
    folder: &Path,
    device: &Device,
    caught: &Arc<AtomicBool>,
) -> Result<bool> {
    let outcome = if folder.exists() {
        let run = Resumed::open(folder)?;
        same_comparison(&run, config, first, folder)?;
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
        let outcome =
            crate::train::train(config, starting(config, first)?, device, Some(folder), &mut display);
        display.finish();
        outcome?
    };
    Ok(outcome.steps >= config.steps)
}
