//! `unheat sweep`: many combinations of settings, each trained in a process of its own.

use crate::cli::errors::outcome::{Outcome, done};
use crate::cli::files::named::Files;
use crate::cli::flags::tuning::Preparation;
use crate::cli::flags::varied::{self, Varied};
use crate::cli::terminal::interrupt;
use crate::cli::terminal::messages::{note, print_line};
use crate::cli::terminal::progress::Counter;
use crate::engine::ranks::environment::Rank;
use crate::io::run_folder;
use crate::sweep::combine::combine;
use crate::sweep::devices::{Crew, DEVICE};
use crate::sweep::ending::{self, Ending};
use crate::sweep::folder::{self, RunFiles};
use crate::sweep::process::{Claim, Launcher, beginning, code};
use crate::sweep::run::shell_line;
use crate::sweep::work::{Watcher, Work};
use crate::sweep::{Halving, Run, Sweep, Way, report, results};
use crate::train::TrainConfig;
use crate::train::checkpoint;
use crate::train::config::{absolute, file};
use crate::{Error, Result};
use clap::Args;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use toml::{Table, Value};

/// What every setting may be, after the help.
pub(super) const NOTES: &str = "\
Every setting of `unheat train` may be a list or a range; those that differ are combined:
  a list      --lr 1e-4,3e-4,1e-3, or with commas in a value --filters '8,[16,32,64,128]'
  a range     --seed 0..4 (whole numbers), --lr 1e-4..1e-2:5:log (5 numbers with equal ratios, without
              :log with equal distances)
  draws       --random 20 --lr 1e-4..1e-2:log (any number in between)";

#[derive(Args)]
#[group(skip)] // or its name would be that of train's
pub(super) struct Arguments {
    /// Take the settings and their values from this file, where no flag says otherwise. Its keys are the
    /// flags with _ for -; a list such as lr = [1e-4, 1e-3] and a range such as seed = "0..4" are values to
    /// combine
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Go on with the sweep in this folder: finished runs stay, stopped ones go on, failed ones are tried
    /// again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "output", "zip", "random", "keep_best"])]
    resume: Option<PathBuf>,
    /// Take the first values of all lists together, the second ones, and so on, instead of all combinations
    #[arg(long)]
    zip: bool,
    /// Draw N combinations at random, one value of every list and range, each with every seed
    #[arg(long, value_name = "N", conflicts_with = "zip")]
    random: Option<usize>,
    /// Seed of the draws of --random
    #[arg(long, value_name = "S")]
    random_seed: Option<u64>,
    /// After --after steps let the best share of the runs go on, after as many steps again divided by it the
    /// best share of those, and so on (successive halving); runs that differ by their seeds alone are judged
    /// by their mean
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["list", "task"])]
    keep_best: Option<f64>,
    /// Steps before the first decision of --keep-best
    #[arg(long, value_name = "STEPS")]
    after: Option<u64>,
    /// Runs at once [default: one per GPU, or one on the CPU]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print the command of every run that is left to do, one per line, and train none. The folder is made,
    /// so that --resume can report once they are done
    #[arg(long, conflicts_with = "task")]
    list: bool,
    /// Train run N alone, counted from 1, as one task of a cluster's job array does
    #[arg(long, value_name = "N")]
    task: Option<usize>,
    #[command(flatten)]
    varied: Varied,
    #[command(flatten)]
    preparation: Preparation,
    /// Folder for the results; it must not exist, but for --task and --list [default: a new one in runs/]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What a file may say besides settings.
const OWN: [&str; 9] =
    ["output", "zip", "random", "random_seed", "keep_best", "after", "jobs", "no_tune", "no_self_test"];

impl Arguments {
    /// Takes what is no setting out of the file's table, where no flag says it.
    fn take_own(&mut self, table: &mut Table, path: &Path) -> Result<()> {
        let wrong = |key: &str, value: &Value, what: &str| {
            Err(Error::file(path, format!("{key} = {value}: must be {what}")))
        };
        // Of two ways to combine values the one that was typed counts.
        let (has_way, mut zip) = (self.zip || self.random.is_some(), false);
        let Preparation { tuning, no_self_test } = &mut self.preparation;
        let switches = [("zip", &mut zip), ("no_tune", &mut tuning.no_tune), ("no_self_test", no_self_test)];
        for (key, flag) in switches {
            match table.remove(key) {
                None => {}
                Some(Value::Boolean(value)) => *flag |= value,
                Some(other) => return wrong(key, &other, "true or false"),
            }
        }
        let mut numbers = [("random", None), ("random_seed", None), ("after", None), ("jobs", None)];
        for (key, number) in &mut numbers {
            *number = match table.remove(*key) {
                None => None,
                Some(Value::Integer(value)) if value >= 0 => Some(value as u64),
                Some(other) => return wrong(key, &other, "a whole number from 0 on"),
            };
        }
        let [random, random_seed, after, jobs] = numbers.map(|(_, number)| number);
        if !has_way {
            (self.zip, self.random) = (zip, random.map(|count| count as usize));
        }
        self.random_seed = self.random_seed.or(random_seed);
        self.after = self.after.or(after);
        self.jobs = self.jobs.or(jobs.map(|count| count as usize));
        match table.remove("keep_best") {
            None => {}
            Some(Value::Float(share)) => self.keep_best = self.keep_best.or(Some(share)),
            Some(Value::Integer(share)) => self.keep_best = self.keep_best.or(Some(share as f64)),
            Some(other) => return wrong("keep_best", &other, "a share, such as 0.5"),
        }
        match table.remove("output") {
            None => {}
            Some(Value::String(output)) => self.output = self.output.take().or(Some(output.into())),
            Some(other) => return wrong("output", &other, "a name in quotes"),
        }
        Ok(())
    }

    /// Refuses what does not go together, from wherever it comes.
    fn check(&self) -> Result<()> {
        if self.zip && self.random.is_some() {
            return Err(Error::usage("zip: is one way to combine values, random another; leave one out"));
        }
        if self.random == Some(0) {
            return Err(Error::usage("random 0: must be at least 1"));
        }
        if self.random.is_none() && self.random_seed.is_some() {
            return Err(Error::usage("random-seed: is for --random N; add that, or leave it out"));
        }
        if self.keep_best.is_some() != self.after.is_some() {
            return Err(Error::usage("keep-best and after: need each other; add the other one"));
        }
        Ok(())
    }

    /// The sweep that is asked for.
    fn sweep(&mut self) -> Result<Sweep> {
        let path = self.config.clone().unwrap_or_else(|| "the flags".into());
        let mut table = Table::new();
        if self.config.is_some() {
            let own = path.parent().unwrap_or(Path::new(""));
            if path.file_name().is_some_and(|name| name == folder::FILE) && Sweep::read(own).is_ok() {
                let (path, own) = (path.display(), shell_line(&[own.display().to_string()]));
                return Err(Error::usage(format!(
                    "{path}: holds the runs of a sweep; to go on with it: unheat sweep --resume {own}"
                )));
            }
            table = file::read(&path, &OWN)?;
            if let Some(Value::String(output)) = table.get_mut("output") {
                *output = path.parent().unwrap_or(Path::new("")).join(&*output).display().to_string();
            }
            self.take_own(&mut table, &path)?;
        }
        self.check()?;
        let settings = self.varied.settings(table, &path)?;
        let way = match (self.random, self.zip) {
            (Some(count), _) => Way::Random { count, seed: self.random_seed.unwrap_or(0) },
            (None, true) => Way::Zip,
            (None, false) => Way::Product,
        };
        let choices = combine(&settings, way).map_err(Error::usage)?;
        let (wanted, mut tables) = (choices.len(), Vec::<Table>::new());
        let mut seen = HashSet::new();
        for table in varied::read(&choices)? {
            if seen.insert(table.to_string()) {
                tables.push(table);
            }
        }
        if tables.len() < wanted {
            note!(
                "{} of {wanted} combinations are the same as others; each is trained once",
                wanted - tables.len()
            );
        }
        if let Way::Random { count, .. } = way {
            let seeds = settings.iter().find(|setting| setting.name == crate::sweep::combine::SEED);
            let seeds = seeds.map_or(1, |seeds| seeds.values.listed().map_or(1, |list| list.len()));
            if tables.len() < count * seeds {
                note!(
                    "random {count}: there are no more than {} different combinations",
                    tables.len() / seeds
                );
            }
        }
        let halving = self.keep_best.zip(self.after).map(|(keep_best, after)| Halving { keep_best, after });
        Ok(Sweep::new(tables, halving, self.handed_on()))
    }

    /// Flags for every run.
    fn handed_on(&self) -> Vec<String> {
        let Preparation { tuning, no_self_test } = &self.preparation;
        let flags = [("--no-tune", tuning.no_tune), ("--no-self-test", *no_self_test)];
        flags.into_iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| flag.to_owned()).collect()
    }
}

/// Reads the settings of every run, and refuses those that cannot be trained before any is.
fn configs(sweep: &Sweep, by: &Path, folder: Option<&Path>) -> Result<Vec<TrainConfig>> {
    let mut seen = HashSet::new();
    let mut configs = Vec::new();
    for run in &sweep.runs {
        // What is wrong with a file is the same for every run.
        let named = |error: Error| match (run.describe(&sweep.varied), error) {
            (words, Error::Usage(said)) if !words.is_empty() => {
                Error::usage(format!("run {:03} ({words}): {said}", run.number))
            }
            (_, error) => error,
        };
        let config = run.config(by).map_err(named)?;
        Files::of_training(&config, folder).check().map_err(named)?;
        config.spec().map_err(named)?;
        // Files take time to read, and are the same for most runs.
        let about_files = |name: &str| {
            TrainConfig::FILES.contains(&name)
                || ["size", "validate_every", "shuffle", "method"].contains(&name)
        };
        let mut key = run.settings.clone();
        key.retain(|name, _| about_files(name));
        if seen.insert(key.to_string()) {
            config.plan().map_err(named)?;
        }
        configs.push(config);
    }
    if let Some(halving) = sweep.halving {
        if configs.iter().any(|config| config.steps != configs[0].steps) {
            return Err(Error::usage(
                "keep-best: compares runs with equal steps; let --steps be a single number",
            ));
        }
        halving.check(configs[0].steps)?;
    }
    Ok(configs)
}

/// What a person sees of a sweep while it goes on.
struct Told<'a> {
    sweep: &'a Sweep,
    folder: &'a Path,
    counter: Counter,
    caught: Arc<AtomicBool>,
}

impl Watcher for Told<'_> {
    fn ended(&mut self, run: &Run, ending: &Ending) {
        let words = run.describe(&self.sweep.varied);
        let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
        let progressed = results::Progressed::read(&RunFiles::of(self.folder, run.number).folder);
        let said = match ending.outcome {
            ending::Outcome::Done => format!("loss {:.4}", results::loss_of(self.sweep, &progressed)),
            outcome => format!("{outcome}: {}", ending.message),
        };
        self.counter.advance("");
        let so_far = match self.sweep.halving {
            None => format!(" [{}]", self.counter.so_far()),
            Some(_) => String::new(), // nobody knows how many come to their end
        };
        self.counter.above(|| note!("run {:03}{words}: {said}{so_far}", run.number));
    }

    fn decided(&mut self, steps: u64, left: usize, of: usize) {
        self.counter.above(|| note!("after {steps} steps {left} of {of} runs go on"));
    }

    fn waits(&mut self, run: &Run) {
        self.counter
            .above(|| note!("run {:03} is being trained by another process; waiting for it", run.number));
    }

    fn interrupted(&self) -> bool {
        self.caught.load(Ordering::Relaxed)
    }
}

/// A sweep that goes on; a device may be another one than it was begun on.
fn resumed(arguments: &Arguments, folder: &Path) -> Result<Sweep> {
    let mut sweep = Sweep::read(folder)?;
    if let Some(setting) = arguments.varied.names().find(|name| *name != DEVICE) {
        let (setting, folder) = (setting.replace('_', "-"), folder.display());
        return Err(Error::usage(format!(
            "{setting}: the sweep in {folder} has its settings; leave --{setting} out, or start a new sweep"
        )));
    }
    let device = arguments.varied.settings(Table::new(), Path::new("the flags"))?;
    for setting in device {
        let [one] = &setting.values.listed().map_err(Error::usage)?[..] else {
            return Err(Error::usage("device: a sweep that goes on takes one; name a single one"));
        };
        for run in &mut sweep.runs {
            run.settings.insert(setting.name.clone(), one.clone().into());
        }
    }
    for flag in arguments.handed_on() {
        if !sweep.flags.contains(&flag) {
            sweep.flags.push(flag);
        }
    }
    Ok(sweep)
}

pub(super) fn run(mut arguments: Arguments) -> Outcome {
    let (sweep, by) = match &arguments.resume {
        Some(folder) => (resumed(&arguments, folder)?, folder.join(folder::FILE)),
        None => (arguments.sweep()?, arguments.config.clone().unwrap_or_else(|| "the flags".into())),
    };
    let given = arguments.resume.as_deref().or(arguments.output.as_deref()).map(absolute).transpose()?;
    if let (Some(number), count) = (arguments.task, sweep.runs.len())
        && !(1..=count).contains(&number)
    {
        return Err(Error::usage(format!("task {number}: there are runs from 1 to {count}")));
    }
    if (arguments.task.is_some() || arguments.list) && sweep.halving.is_some() {
        return Err(Error::usage(
            "keep-best: compares runs, which tasks do not see; go on without --task and --list",
        ));
    }
    let configs = configs(&sweep, &by, given.as_deref())?;
    let is_alone = arguments.task.is_some() || arguments.list;
    let rank = if is_alone { None } else { Rank::of_environment() };
    let crew = Crew::of(&sweep, &configs, arguments.jobs, rank)?;
    let shared = [
        (arguments.task.is_some(), "task: tasks"),
        (arguments.list, "list: the listed runs"),
        (rank.is_some(), "output: processes that are started together"),
    ];
    let is_shared = shared.iter().find(|(is_so, _)| *is_so);
    let folder = match (&arguments.resume, given, is_shared) {
        (Some(_), folder, _) => {
            let folder = folder.unwrap_or_default();
            sweep.check_runs(&folder, &configs)?;
            folder
        }
        (None, None, Some((_, who))) => {
            return Err(Error::usage(format!("{who} share a folder; name it with --output")));
        }
        (None, Some(folder), Some(_)) => {
            sweep.create_or_join(&folder)?;
            folder
        }
        (None, folder, None) => sweep.create(folder.as_deref())?,
    };
    match arguments.list {
        true => list(&sweep, &configs, &folder),
        false => train(&arguments, &sweep, &configs, &crew, &folder),
    }
}

/// Prints the commands of the runs that are neither done nor being trained.
fn list(sweep: &Sweep, configs: &[TrainConfig], folder: &Path) -> Outcome {
    for (run, config) in sweep.runs.iter().zip(configs) {
        let files = RunFiles::of(folder, run.number);
        let has_ended = files.ended()?.is_some_and(|ending| ending.is_final());
        let is_there = files.folder.exists();
        let is_done = || {
            let last = checkpoint::load(&files.folder).ok().flatten();
            last.is_some_and(|checkpoint| checkpoint.step == config.steps)
        };
        if is_there && (has_ended || is_done()) {
            continue;
        }
        if files.log.exists() && Claim::take(&files)?.is_none() {
            note!("run {:03} is being trained", run.number);
            continue;
        }
        let mut words = vec!["unheat".to_owned(), "train".to_owned()];
        let own = beginning(&run.flags(), &files);
        words.extend(own.into_iter().map(|word| word.to_string_lossy().into_owned()));
        words.extend(sweep.flags.clone());
        print_line!("{}", shell_line(&words));
    }
    Ok(ExitCode::SUCCESS)
}

/// Trains what is left of all runs, or of one, and reports.
fn train(
    arguments: &Arguments,
    sweep: &Sweep,
    configs: &[TrainConfig],
    crew: &Crew,
    folder: &Path,
) -> Outcome {
    let only = arguments.task;
    let program =
        std::env::current_exe().map_err(Error::io(Path::new("unheat"), "cannot find the program"))?;
    let launcher = Launcher { program, flags: sweep.flags.clone() };
    let steps: Vec<u64> = configs.iter().map(|config| config.steps).collect();
    let first = crew.rank.map_or(0, |rank| rank.number * sweep.runs.len() / rank.count);
    let work = Work { sweep, folder, steps: &steps, crew, launcher: &launcher, first };
    let caught = interrupt::catch()?;
    let left = work.left(only)? as u64;
    if let Some(note) = &crew.note {
        note!("{note}");
    }
    say_what_begins(sweep, crew, folder, only, left);
    let counter = Counter::silent("run", left.max(1));
    let mut told = Told { sweep, folder, counter, caught };
    let came = work.run(only, &mut told)?;
    told.counter.finish();
    if let Some(number) = only {
        return after_task(folder, number, came.to_the_end);
    }
    if crew.rank.is_some_and(|rank| rank.number > 0) {
        return Ok(if came.to_the_end { ExitCode::SUCCESS } else { ExitCode::from(interrupt::EXIT_CODE) });
    }
    let results = results::read(sweep, folder, &steps, &came.rungs)?;
    run_folder::check_own(folder, &folder::OWN)?;
    report::write(folder, sweep, &results)?;
    let rows = &results.rows;
    if !came.to_the_end {
        let (counts, folder) = (report::counts(rows.iter()), folder.display().to_string());
        note!("stopped with {counts}; to go on: unheat sweep --resume {}", shell_line(&[folder]));
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    for (run, row) in sweep.runs.iter().zip(rows) {
        if row.outcome == ending::Outcome::Done && !row.message.is_empty() {
            note!("unheat: warning: run {:03}: {}; it counts nowhere", run.number, row.message);
        }
    }
    if let Some(best) = report::best(rows) {
        print_line!("{}", report::said_of_best(sweep, rows, &report::groups(sweep, rows), best));
    }
    print_line!("{}; the report is in {}", report::counts(rows.iter()), folder.join("report.html").display());
    let has = |outcome| rows.iter().any(|row| row.outcome == outcome);
    Ok(match has(ending::Outcome::Failed) {
        false if !has(ending::Outcome::Done) => ExitCode::from(code::DIVERGED as u8),
        has_failed => done(false, has_failed),
    })
}

fn say_what_begins(sweep: &Sweep, crew: &Crew, folder: &Path, only: Option<usize>, left: u64) {
    let (count, jobs) = (sweep.runs.len(), crew.jobs);
    let names: Vec<&str> = crew.places.iter().map(|place| place.name.as_str()).collect();
    let flags: Vec<String> = sweep.varied.iter().map(|name| name.replace('_', "-")).collect();
    let flags = if flags.is_empty() { "one setting each".to_owned() } else { flags.join(", ") };
    let processes = crew.rank.map_or(String::new(), |rank| format!(" in each of {} processes", rank.count));
    let runs = report::runs(count);
    match only {
        Some(number) if left == 0 => note!("run {number:03} of {count} has ended already"),
        Some(number) => note!("run {number:03} of {count}, in {}", folder.display()),
        None if crew.rank.is_some_and(|rank| rank.number > 0) => {}
        None => note!(
            "{runs} ({flags}), {left} of them to train, {jobs} at a time on {}{processes}; they go to {}",
            names.join(", "),
            folder.display()
        ),
    }
}

/// What a task says at its end, when others may still be at work. Its exit code is that of the run.
fn after_task(folder: &Path, number: usize, is_done: bool) -> Outcome {
    let shown = shell_line(&[folder.display().to_string()]);
    if !is_done {
        note!("stopped; to go on: unheat sweep --resume {shown} --task {number}");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    print_line!("when all tasks have ended, this makes the report: unheat sweep --resume {shown}");
    let ending = RunFiles::of(folder, number).ended()?;
    Ok(match ending.map(|ending| ending.outcome) {
        Some(ending::Outcome::Failed) => ExitCode::FAILURE,
        Some(ending::Outcome::Diverged) => ExitCode::from(code::DIVERGED as u8),
        _ => ExitCode::SUCCESS,
    })
}
