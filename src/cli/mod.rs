//! The command line: one file per command, each turning what a person typed into library calls.

mod advice;
mod arrays;
mod bench;
mod check;
mod compare;
mod completions;
mod devices;
mod diffuse;
mod generate;
mod interrupt;
mod invert;
mod man;
mod messages;
mod mistakes;
mod numbers;
mod progress;
mod reconstruct;
mod restoration_report;
mod restore;
mod settings;
mod sources;
mod train;
mod tune;
mod view;

use crate::{Error, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use messages::note;
use std::process::ExitCode;

/// Train a U-Net through the heat equation, and learn to undo heat conduction.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network and draw what it learned
    Train(train::Arguments),
    /// Train several methods side by side, and report how they and the classical ones compare (batches of 32 unless
    /// --batch says otherwise)
    Compare(compare::Arguments),
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
    Generate(generate::Arguments),
    /// Diffuse fields or pictures: what an observer sees of them
    Diffuse(diffuse::Arguments),
    /// Undo diffusion as far as the noise allows: the SIP update of a residual
    Invert(invert::Arguments),
    /// Undo diffusion without a network, by a classical method: damped inverse, Tikhonov, Richardson-Lucy
    Restore(restore::Arguments),
    /// Print the completions of a shell, to be saved where it looks for them
    Completions(completions::Arguments),
    /// Write the manual pages, one per command
    Man(man::Arguments),
}

/// The command line as it is parsed, completed and described.
fn command() -> clap::Command {
    numbers::explained(Cli::command())
}

/// Parses the process's arguments and runs the command. Exit code 0 on success, 2 for a request that cannot be
/// met, 1 for everything else.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error,unheat=warn")).init();
    let matches = command().try_get_matches().unwrap_or_else(|error| mistakes::advised(error).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit());
    let (_, said) = matches.subcommand().expect("clap demands a command");
    let result = match cli.command {
        Command::Train(arguments) => train::run(arguments, said),
        Command::Compare(arguments) => compare::run(arguments, said),
        Command::Reconstruct(arguments) => reconstruct::run(arguments),
        Command::Devices(arguments) => devices::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Generate(arguments) => generate::run(arguments),
        Command::Diffuse(arguments) => diffuse::run(arguments),
        Command::Invert(arguments) => invert::run(arguments),
        Command::Restore(arguments) => restore::run(arguments),
        Command::Completions(arguments) => completions::run(arguments),
        Command::Man(arguments) => man::run(arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            note!("unheat: {error}{}", advice::advice(&error));
            let impossible =
                matches!(error, Error::Usage(_) | Error::Unsupported { .. } | Error::BatchTooLarge { .. });
            ExitCode::from(if impossible { 2 } else { 1 })
        }
    }
}

/// What a command returns.
type Outcome = Result<ExitCode>;
