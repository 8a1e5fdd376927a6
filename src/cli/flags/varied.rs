//! The settings of training as flags of a sweep, each with a list or a range of values.

use crate::cli::flags::numbers;
use crate::cli::flags::settings::{Settings, flags};
use crate::cli::terminal::messages::note;
use crate::sweep::Setting;
use crate::sweep::combine::{Choice, SEED};
use crate::sweep::values::Values;
use crate::train::TrainConfig;
use crate::train::config::file;
use crate::train::config::paths::{NamedFiles, OPERATOR};
use crate::{Error, Result};
use clap::builder::ValueParser;
use clap::error::{Error as ClapError, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// What is given of every setting, as it was typed.
pub(crate) struct Varied(BTreeMap<String, String>);

/// Settings that a sweep refuses, and why.
const REFUSED: [(&str, &str); 1] = [(
    "save_gradients",
    "every run would write the same file; leave it out, and ask for it with train --resume on one run",
)];

/// A place in the help.
const FIRST: usize = 100;

fn is_switch(flag: &Arg) -> bool {
    !flag.get_action().takes_values()
}

/// What a switch can be.
const SWITCH: [(&str, bool); 4] = [("on", true), ("off", false), ("true", true), ("false", false)];

impl Args for Varied {
    fn augment_args(command: Command) -> Command {
        // Behind those of the sweep itself.
        command.args(flags().enumerate().map(|(place, flag)| {
            let flag = flag.display_order(FIRST + place);
            let name = flag.get_id().as_str();
            let hidden = REFUSED.iter().any(|(refused, _)| *refused == name);
            let choices: Vec<String> =
                flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            if is_switch(&flag) {
                let flag = flag.action(ArgAction::Set).num_args(0..=1).default_missing_value("on");
                return flag.value_name("on|off").value_parser(ValueParser::string()).hide(hidden);
            }
            let flag = match flag.get_help().cloned() {
                Some(help) if !choices.is_empty() => {
                    flag.help(format!("{help} [possible values: {}]", choices.join(", ")))
                }
                _ => flag,
            };
            let flag = flag.action(ArgAction::Set).num_args(1).value_delimiter(None);
            flag.value_parser(ValueParser::string()).hide(hidden)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Varied {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, ClapError> {
        let given = file::keys().filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine));
        let text = |name: &str| Some((name.to_owned(), matches.get_one::<String>(name)?.clone()));
        Ok(Self(given.filter_map(text).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), ClapError> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Varied {
    /// The settings that are given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of every setting that is given here or in the `table` of the file `path`, seeds last. Flags
    /// come before the file.
    pub(crate) fn settings(&self, mut table: Table, path: &Path) -> Result<Vec<Setting>> {
        let mut settings = Vec::new();
        let flags: Vec<Arg> = flags().collect();
        let levels = table.get("levels").and_then(Value::as_integer);
        for name in file::keys() {
            let flag = flags.iter().find(|flag| flag.get_id() == name).expect("every setting is a flag");
            let kind = |text: &str| takes(flag, text);
            let in_file = table.remove(name);
            let values = match (self.0.get(name), in_file) {
                // A file whose name has commas is one value.
                (Some(text), _) if TrainConfig::FILES.contains(&name) && Path::new(text).exists() => {
                    Values::Listed(vec![text.clone()])
                }
                (Some(text), _) => {
                    let wrong = |what: String| Error::usage(format!("{}: {what}", name.replace('_', "-")));
                    let values = Values::parse(text, &kind).map_err(wrong)?;
                    check_commas(name, text, &values, &kind).map_err(wrong)?;
                    values
                }
                (None, Some(value)) => {
                    let is_one = is_one_list(flag, &value, levels);
                    if is_one {
                        note!(
                            "{name} = {value}: one network with a number per level, as levels = {} says",
                            value.as_array().map_or(0, Vec::len)
                        );
                    }
                    let texts = texts(
                        name,
                        if is_one { Value::Array(vec![value.clone()]) } else { value.clone() },
                        path,
                    )?;
                    let wrong = |what: String| Error::file(path, format!("{name} = {value}: {what}"));
                    let values = Values::of(texts.clone().into_iter(), &kind).map_err(wrong)?;
                    if let Some(text) = texts.iter().find(|text| !text.contains("..") && !kind(text)) {
                        return Err(wrong(format!("{text} must be {}", file::must_be(name))));
                    }
                    values
                }
                (None, None) => continue,
            };
            if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
                return Err(Error::usage(format!("{}: {why}", name.replace('_', "-"))));
            }
            settings.push(Setting { name: name.to_owned(), values });
        }
        settings.sort_by_key(|setting| setting.name == SEED); // stable
        Ok(settings)
    }
}

/// Refuses parts of an operator that are none, with what may have been meant.
fn check_commas(
    name: &str,
    text: &str,
    values: &Values,
    kind: &dyn Fn(&str) -> bool,
) -> std::result::Result<(), String> {
    let Values::Listed(parts) = values else { return Ok(()) };
    match parts.iter().find(|part| name == OPERATOR && parts.len() > 1 && !kind(part)) {
        None => Ok(()),
        Some(part) => Err(format!(
            "{part} in {text} is none; an operator with commas stands in brackets, as in \
             '[motion:5,30],disk:3'"
        )),
    }
}

/// Whether a text is a value of a flag.
fn takes(flag: &Arg, text: &str) -> bool {
    if is_switch(flag) {
        return SWITCH.iter().any(|(name, _)| *name == text);
    }
    let long = flag.get_long().expect("settings have long flags");
    let parsed = command().try_get_matches_from([format!("--{long}={text}")]);
    let is_none = |kind| matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue);
    !parsed.is_err_and(|error| is_none(error.kind())) // another flag that is missing is no matter here
}

/// The settings alone as a command line.
fn command() -> Command {
    numbers::number_args(Settings::augment_args(Command::new("sweep").no_binary_name(true)))
}

/// Whether a list in a file is one value: that of a run's file, which has a number for each of its levels.
fn is_one_list(flag: &Arg, value: &Value, levels: Option<i64>) -> bool {
    let Some(list) = value.as_array().filter(|_| flag.get_value_delimiter().is_some()) else { return false };
    list.len() > 1 && list.iter().all(Value::is_integer) && levels == Some(list.len() as i64)
}

/// What a file says of a setting, as flags have it, with the paths that are meant.
fn texts(name: &str, value: Value, path: &Path) -> Result<Vec<String>> {
    let members = match value {
        Value::Array(members) => members,
        one => vec![one],
    };
    if members.is_empty() {
        return Err(Error::file(path, format!("{name} = []: holds no value; leave it out, or name one")));
    }
    let located = |member: Value| {
        let mut table = Table::from_iter([(name.to_owned(), member)]);
        NamedFiles::locate(&mut table, path, &TrainConfig::FILES);
        file::words(table.get(name))
    };
    Ok(members.into_iter().map(located).collect())
}

/// The settings of every run, as `unheat train` reads them, with whole paths.
///
/// # Errors
/// [`Error::Usage`] for values that are none, or that do not go together.
pub(crate) fn read(choices: &[Choice]) -> Result<Vec<Table>> {
    // Made once: there may be thousands of runs.
    let (mut command, switches) = (command(), flags().filter(is_switch).collect::<Vec<Arg>>());
    let is_switch = |name: &str| switches.iter().any(|flag| flag.get_id() == name);
    choices.iter().map(|choice| read_one(&mut command, &is_switch, choice)).collect()
}

fn read_one(command: &mut Command, is_switch: &dyn Fn(&str) -> bool, choice: &Choice) -> Result<Table> {
    let (mut words, mut set) = (Vec::new(), Vec::new());
    for (name, text) in choice {
        let long = name.replace('_', "-");
        if !is_switch(name) {
            words.push(format!("--{long}={text}"));
            continue;
        }
        let Some((_, is_on)) = SWITCH.iter().find(|(name, _)| name == text) else {
            return Err(Error::usage(format!("{long} {text}: must be on or off")));
        };
        words.extend(is_on.then(|| format!("--{long}")));
        set.push((name.clone(), Value::from(*is_on))); // off is a value of its own
    }
    let refused = |error: ClapError| Error::usage(one_line(&error));
    let matches = command.try_get_matches_from_mut(words).map_err(refused)?;
    let settings = Settings::from_arg_matches(&matches).map_err(refused)?;
    let mut table = file::table(&settings.config.located()?)?;
    let given = settings.given()?;
    table.retain(|name, _| given.contains_key(name));
    table.extend(set);
    Ok(table)
}

/// What clap says, in a line.
fn one_line(error: &ClapError) -> String {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}
