//! `unheat completions`.

use crate::cli::errors::outcome::Outcome;
use crate::cli::terminal::messages::print_line;
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: Arguments, mut program: Command) -> Outcome {
    let mut script = Vec::new(); // clap's own writing to a closed pipe would panic
    generate(arguments.shell, &mut program, "unheat", &mut script);
    print_line!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
