//! `unheat completions`.

use crate::cli::Outcome;
use crate::cli::messages::say;
use clap::Args;
use clap_complete::{Shell, generate};
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: Arguments) -> Outcome {
    let mut script = Vec::new(); // clap's own writing to a closed pipe would panic
    generate(arguments.shell, &mut crate::cli::command(), "unheat", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
