//! `unheat man`.

use crate::Error;
use crate::cli::errors::outcome::Outcome;
use crate::cli::terminal::messages::print_line;
use clap::{Args, Command};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder for unheat.1, unheat-train.1 and the others; made if it is missing, pages in it are replaced
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(arguments: Arguments, program: Command) -> Outcome {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot create the folder"))?;
    clap_mangen::generate_to(program, folder).map_err(Error::io(folder, "cannot write the manual pages"))?;
    print_line!(
        "the manual pages are in {}; read one with: man -l {}",
        folder.display(),
        folder.join("unheat.1").display()
    );
    Ok(ExitCode::SUCCESS)
}
