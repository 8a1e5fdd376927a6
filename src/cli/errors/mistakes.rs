//! What clap's answers to a mistyped command line lack: how to say it right.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command};
use std::path::Path;

/// The error with a tip, where clap has none: a bare word gets the flag that it should follow, a flag without
/// its command the commands that have it.
pub(crate) fn advised(mut error: Error, program: &Command) -> Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return error };
    let has_tip =
        [ContextKind::SuggestedArg, ContextKind::Suggested].into_iter().any(|kind| error.get(kind).is_some());
    if error.kind() != ErrorKind::UnknownArgument || has_tip {
        return error;
    }
    let command = std::env::args_os().nth(1).and_then(|name| program.find_subcommand(name));
    let tip = match (command, word.starts_with('-')) {
        (Some(_), false) if word.parse::<f64>().is_ok() => {
            Some("write lists with commas, as in 8,16, and sizes with an x, as in 64x32".to_owned())
        }
        (Some(command), false) => flag_for(command, word).map(|flag| format!("say '--{flag} {word}'")),
        (None, true) => commands_with(program, word),
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

/// The flag that somebody has most likely left out before `word`.
fn flag_for(command: &Command, word: &str) -> Option<&'static str> {
    let candidates: &[&str] = if Path::new(word).join("config.toml").is_file() {
        &["resume", "input"]
    } else if Path::new(word).exists() || word.contains(['.', '/', '\\']) {
        &["input", "data", "compare", "output"]
    } else {
        &["input", "device"]
    };
    let has = |flag: &str| command.get_arguments().any(|argument| is(argument, flag));
    candidates.iter().copied().find(|flag| has(flag))
}

fn commands_with(program: &Command, word: &str) -> Option<String> {
    let flag = word.strip_prefix("--")?;
    let has = |command: &&Command| command.get_arguments().any(|argument| is(argument, flag));
    let commands: Vec<String> = program
        .get_subcommands()
        .filter(has)
        .map(|command| format!("'unheat {} {word}'", command.get_name()))
        .collect();
    (!commands.is_empty()).then(|| format!("name a command first: {}", commands.join(", ")))
}

fn is(argument: &Arg, flag: &str) -> bool {
    argument.get_long() == Some(flag)
}
