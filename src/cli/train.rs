//! `unheat train`.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::named::Files;
use crate::cli::files::sources::left_out_words;
use crate::cli::flags::device;
use crate::cli::flags::settings::Settings;
use crate::cli::flags::tuning::Preparation;
use crate::cli::group;
use crate::cli::terminal::interrupt;
use crate::cli::terminal::messages::{note, print_line};
use crate::cli::terminal::progress::{Display, Watched};
use crate::engine::{Device, DeviceChoice};
use crate::io::run_folder;
use crate::model::operator::formula::Formula;
use crate::train::config::paths::{NamedFiles, OPERATOR};
use crate::train::config::{absolute, file};
use crate::train::resume::CHANGEABLE;
use crate::train::run::resume;
use crate::train::same_data::DATA;
use crate::train::{Plan, Resumed, TrainConfig, train};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use toml::{Table, Value};

#[derive(Args)]
pub(super) struct Arguments {
    /// Take the settings from this file, where no flag says otherwise. Its keys are the flags with _ for -,
    /// its paths count from its folder; every run leaves such a file, config.toml
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["config", "output"],
        help = resume_help("run", &[]),
    )]
    pub(super) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(super) settings: Settings,
    #[command(flatten)]
    pub(super) preparation: Preparation,
    /// Show curves, speed and the current reconstruction on the whole terminal; q stops with a checkpoint.
    /// Without a terminal, plain lines. Training is the same bit for bit
    #[arg(long)]
    view: bool,
    /// Stop with a checkpoint after step N; the settings, and with them the schedule, stay those of the whole
    /// run
    #[arg(long, value_name = "N")]
    pause_at: Option<u64>,
    /// Stop with a checkpoint when standard input ends: for programs that start this one, which stops with
    /// them then
    #[arg(long)]
    stop_at_eof: bool,
    /// Folder for the results; it must not exist [default: a new one in runs/]
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

/// The help of `--resume` for a run or a comparison, which `refuses` some settings.
pub(super) fn resume_help(what: &str, refuses: &[&str]) -> String {
    let names = CHANGEABLE.iter().filter(|name| !refuses.contains(name));
    let flags: Vec<String> = names.map(|name| format!("--{}", name.replace('_', "-"))).collect();
    let (last, others) = flags.split_last().expect("some settings may change");
    format!(
        "Go on with the {what} in this folder, bit for bit as if it had never stopped. Its settings are \
         kept; {} and {last} may be others. Data that have moved can be named anew, if they are what they \
         were",
        others.join(", ")
    )
}

impl Arguments {
    /// The configuration: flags come before the file of settings, that before what the files of weights and
    /// data hold, and that before the defaults.
    ///
    /// With it come the files that the file of settings names, to explain errors about them.
    pub(super) fn config(&mut self) -> Result<(TrainConfig, NamedFiles)> {
        let path = self.config.clone().unwrap_or_else(|| "the flags".into());
        let (mut table, named) = match self.config {
            None => (Table::new(), NamedFiles::default()),
            Some(_) => {
                let own = ["output", "no_tune", "no_self_test", "view"];
                let (table, named) = file::read_located(&path, &own)?;
                (self.take_own(table, &path)?, named)
            }
        };
        table.extend(self.settings.given()?);
        // A command can have another default for this one.
        table.entry("batch").or_insert((self.settings.config.batch as i64).into());
        Files::of_training(&file::config(&table, &path)?, self.output.as_deref()).check()?;
        let config = file::config_with_files(&table, &path).map_err(|error| named.explain(error))?;
        Ok((config, named))
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
        let Preparation { tuning, no_self_test } = &mut self.preparation;
        let no_tune = &mut tuning.no_tune;
        for (key, flag) in [("no_tune", no_tune), ("no_self_test", no_self_test), ("view", &mut self.view)] {
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
        Watched { view: self.view.then(title), done, steps: config.steps, pause_at: self.pause_at }
    }

    /// A flag that is set when the run is to stop.
    pub(super) fn interruption(&self) -> Result<Arc<AtomicBool>> {
        let caught = interrupt::catch()?;
        group::explain(&caught);
        if self.stop_at_eof {
            let caught = caught.clone();
            std::thread::spawn(move || {
                // What comes means nothing; an error ends it as well.
                let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                caught.store(true, Ordering::Relaxed);
            });
        }
        Ok(caught)
    }

    /// Opens the device, finds its fastest variants, and tests whether it is right.
    pub(super) fn open(&self, config: &TrainConfig, plan: &Plan) -> Result<Device> {
        let Ok(asked) = config.device.parse::<DeviceChoice>();
        let choice = group::choice(asked);
        let device = device::open(&choice)?;
        plan.check(&device)?; // what does not fit is refused before anything is said or measured
        if plan.is_judged_by_what_it_has_seen() {
            note!(
                "unheat: warning: --validation-data holds what --data holds: the network is judged by what \
                 it has seen"
            );
        }
        if let (Device::Cpu, DeviceChoice::Auto) = (&device, &choice) {
            note!(
                "no GPU found: training on the {} (to run the shaders in software: --device llvmpipe)",
                device.describe()
            );
        } else {
            note!("training on {}", device.describe());
        }
        self.preparation.prepare(&device, &plan.step)?;
        Ok(device)
    }
}

/// The settings of a run that goes on, with those that are given and may change.
pub(super) fn changed(run: &Resumed, folder: &Path, given: Table) -> Result<TrainConfig> {
    let mut table = file::table(&run.config.located()?)?;
    for (key, mut value) in given {
        let found = table.get(&key);
        let moves = DATA.contains(&key.as_str()) && found.is_some();
        if let (true, Some(path)) = (moves || key == "weights", value.as_str()) {
            value = absolute(Path::new(path))?.display().to_string().into();
        }
        let moves = moves || key == OPERATOR && relocated(&mut value, found)?;
        if moves {
            table.insert(key, value); // whether it holds the same shows when it is read
            continue;
        }
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

/// Gives an operator whole paths, and returns whether it is another one at most by the names of its files.
fn relocated(value: &mut Value, found: Option<&Value>) -> Result<bool> {
    let formula = |value: &Value| value.as_str().and_then(|text| text.parse::<Formula>().ok());
    let (Some(asked), Some(found)) = (formula(value), found.and_then(formula)) else { return Ok(false) };
    *value = asked.renamed(absolute)?.to_string().into();
    Ok(asked.without_names() == found.without_names())
}

pub(super) fn run(mut arguments: Arguments) -> Outcome {
    // First of all: others wait for it, and it decides on how many cores files are read.
    let group = group::join()?;
    let Some(folder) = arguments.resume.take() else {
        let (mut config, named) = arguments.config()?;
        if config.micro_batch.is_none() {
            config.micro_batch = group::micro_batch(config.batch)?;
        }
        // Impossible settings are refused before any device is opened.
        let mut plan = config.plan().map_err(|error| named.explain(error))?;
        arguments.output.as_deref().map_or(Ok(()), run_folder::check_new)?;
        let left_out = tell(&config, &plan);
        plan.group = group;
        let device = arguments.open(&config, &plan)?;
        let mut display = Display::new(arguments.watched(&config, &device, 0), arguments.interruption()?);
        let outcome = train(&config, plan, &device, arguments.output.as_deref(), &mut display);
        return report(display, outcome, config.steps, left_out);
    };
    let run = Resumed::open(&folder)?;
    let config = changed(&run, &folder, arguments.settings.given()?)?;
    if run.step() == config.steps {
        let (folder, steps) = (folder.display(), config.steps);
        print_line!("{folder}: all {steps} steps are done; to go on, add --steps with a larger number");
        return Ok(ExitCode::SUCCESS);
    }
    let mut plan = run.plan(&config)?;
    let left_out = tell(&config, &plan);
    plan.group = group;
    let device = arguments.open(&config, &plan)?;
    note!("going on after step {} of {}", run.step(), config.steps);
    let watched = arguments.watched(&config, &device, run.step());
    let mut display = Display::new(watched, arguments.interruption()?);
    let outcome = resume(run, &config, plan, &device, &mut display);
    report(display, outcome, config.steps, left_out)
}

/// Says what the data are and what of them is not used; whether anything is missing of them.
pub(super) fn tell(config: &TrainConfig, plan: &Plan) -> bool {
    plan.left_out.iter().for_each(|left| note!("unheat: {left}"));
    let losses = plan.left_out.iter().filter(|left| left.is_loss).count();
    if let (Some(path), Some(found)) = (config.data.as_ref().or(config.observations.as_ref()), plan.found) {
        let path = path.display();
        note!("{path}: {}{}", found.describe(), left_out_words(losses));
        // Weights have been trained for values of their own.
        if let (Some(warning), None) = (found.warning(), &config.weights) {
            note!("unheat: warning: {path}: {warning}");
        }
    }
    losses > 0
}

fn report(
    display: Display,
    outcome: Result<crate::train::Outcome>,
    steps: u64,
    has_left_out: bool,
) -> Outcome {
    display.finish();
    let outcome = outcome?;
    let folder = outcome.folder.display();
    if outcome.steps < steps {
        note!("stopped after {} of {steps} steps; to go on: unheat train --resume {folder}", outcome.steps);
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    if outcome.skipped > 0 {
        print_line!("{} of {steps} steps were skipped: a loss or gradient was not finite", outcome.skipped);
    }
    if !outcome.x_l2.mean.is_nan() {
        print_line!("x loss of the last step: {}", outcome.x_l2);
    }
    print_line!("{steps} steps in {:.1} s; weights, metrics and pictures are in {folder}", outcome.seconds);
    Ok(done(false, has_left_out))
}
