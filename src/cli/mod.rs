//! The command line: one file per command, each turning what a person typed into library calls. What they
//! share is in the rooms `errors`, `flags`, `files` and `terminal`.

mod bench;
mod check;
mod compare;
mod devices;
mod diffuse;
mod errors;
mod files;
mod findings;
mod flags;
mod generate;
mod group;
mod invert;
mod reconstruct;
mod restore;
mod shaders;
mod shell;
mod sweep;
mod terminal;
mod train;

use crate::Result;
use crate::cli::errors::outcome::Outcome;
use crate::cli::errors::{advice, mistakes, outcome};
use crate::cli::files::named::Files;
use crate::cli::flags::numbers;
use crate::cli::shell::{completions, man, version};
use crate::cli::terminal::messages::{self, note};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
#[cfg(unix)]
use signal_hook::consts::signal::SIGXFSZ;
use std::io::Write;
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::{Arc, atomic::AtomicBool};

/// What exit codes mean.
const CODES: &str = "Exit codes: 0 done; 1 failed; 2 impossible request; 3 doubtful result, with --strict; 4 \
                     done, but some\nmembers of a folder were left out, or runs of a sweep failed; 5 \
                     training diverged;\n130 stopped, with a checkpoint";

/// Train a U-Net through the heat equation, and learn to undo heat conduction.
#[derive(Parser)]
#[command(version, about, propagate_version = true, after_help = CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network and draw what it learned
    Train(train::Arguments),
    /// Train several methods side by side, and report how they and the classical ones compare
    #[command(mut_arg("batch", |batch| batch.default_value(compare::BATCH)))]
    Compare(compare::Arguments),
    /// Train with many combinations of settings, one process each, and report which is best
    #[command(after_help = sweep::NOTES)]
    Sweep(sweep::Arguments),
    /// Undo the diffusion of observed fields or pictures with a trained network
    Reconstruct(reconstruct::Arguments),
    /// List the GPUs and what matters about them
    Devices(devices::Arguments),
    /// Is this GPU and driver right? Compare every kernel with the CPU reference
    #[command(after_help = check::NOTES)]
    Check(check::Arguments),
    /// How fast is training here, where does the time go, and what could this device do at most?
    Bench(bench::Arguments),
    /// Write fields of hot rectangles, random or given, to a .npy file
    #[command(mut_arg("device", |device| device.default_value(generate::DEVICE)))]
    Generate(generate::Arguments),
    /// Diffuse or blur fields or pictures: what an observer sees of them
    #[command(visible_alias = "blur")]
    Diffuse(diffuse::Arguments),
    /// Undo diffusion as far as the noise allows: the SIP update of a residual
    Invert(invert::Arguments),
    /// Undo diffusion without a network: total variation, Wiener, Tikhonov, damped inverse, Richardson-Lucy
    Restore(restore::Arguments),
    /// Write the shaders that a training step and inference run, in WGSL or as a driver gets them
    #[command(mut_arg("device", shaders::device_flag))]
    Shaders(shaders::Arguments),
    /// Print the completions of a shell, to be saved where it looks for them
    Completions(completions::Arguments),
    /// Write the manual pages, one per command
    Man(man::Arguments),
}

/// The command line as it is parsed, completed and described, for whoever wants to know what can be said.
pub fn command() -> clap::Command {
    numbers::explained(Cli::command().mut_subcommand("compare", compare::without_refused))
}

/// Parses the process's arguments and runs the command. Exit code 0 on success, 4 where members of a folder
/// were left out or runs of a sweep failed, 5 where training has diverged, 3 for a doubtful result with
/// `--strict`, 2 for a request that cannot be met, 130 where a signal has stopped it, 1 for everything else.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error,unheat=warn")).init();
    // A limit on the size of files is an error of the write, which is told, and no end without a word.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::<AtomicBool>::default());
    if let Some(done) = group::work() {
        return done;
    }
    let program = command().long_version(version::LONG.as_str());
    let matches =
        program.try_get_matches().unwrap_or_else(|error| answer(&mistakes::advised(error, &command())));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit());
    let outcome = check_files(&matches).and_then(|()| run(cli.command));
    outcome.unwrap_or_else(|error| {
        note!("unheat: {error}{}", advice::advice(&error));
        outcome::exit_code(&error)
    })
}

/// Prints what clap has to say, help or a complaint, and ends the program.
fn answer(said: &clap::Error) -> ! {
    if said.use_stderr() {
        said.exit()
    }
    // Help that cannot be printed is none, which clap would not notice.
    said.print()
        .and_then(|()| std::io::stdout().flush())
        .unwrap_or_else(|error| messages::unprintable(&error));
    std::process::exit(0)
}

/// Refuses files that are written and read at once, before anything is read for long.
fn check_files(matches: &ArgMatches) -> Result<()> {
    let program = command();
    let named =
        matches.subcommand().and_then(|(name, matches)| Some((program.find_subcommand(name)?, matches)));
    let Some((command, matches)) = named else { return Ok(()) };
    let files = Files::of(command, matches);
    if files.write_to_standard_output() {
        messages::leave_standard_output();
    }
    files.check_streams(command.get_name())?;
    files.check()
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Train(arguments) => train::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Sweep(arguments) => sweep::run(arguments),
        Command::Reconstruct(arguments) => reconstruct::run(arguments),
        Command::Devices(arguments) => devices::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Generate(arguments) => generate::run(arguments),
        Command::Diffuse(arguments) => diffuse::run(arguments),
        Command::Invert(arguments) => invert::run(arguments),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Shaders(arguments) => shaders::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, self::command()),
        Command::Man(arguments) => man::run(arguments, self::command()),
    }
}
