//! The settings of training as flags: every field of [`TrainConfig`] is one, with its default and its range
//! in the help.

use crate::Result;
use crate::model::UNetConfig;
use crate::train::TrainConfig;
use crate::train::config::file;
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::LazyLock;
use toml::Table;

/// The flags of all settings, as they are given on a command line.
pub(crate) struct Settings {
    /// What is given, and the command's defaults.
    pub(crate) config: TrainConfig,
    /// The names of those that are given.
    given: Vec<String>,
}

impl Settings {
    /// The settings that are given, as a file would hold them.
    pub(crate) fn given(&self) -> Result<Table> {
        let mut table = file::table(&self.config)?;
        table.retain(|name, _| self.given.iter().any(|given| given == name));
        Ok(table)
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, Error> {
        let given = file::keys().filter(|name| is_given(name, matches)).map(str::to_owned).collect();
        Ok(Self { config: TrainConfig::from_arg_matches(matches)?, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flags of the settings that decide on the work of a step; the other settings have their defaults.
pub(crate) struct StepSettings {
    pub(crate) config: TrainConfig,
}

/// The names of these settings, besides those of the network.
const STEP: [&str; 9] =
    ["method", "batch", "size", "amount", "operator", "physics", "activations", "levels", "device"];

fn step_flags() -> impl Iterator<Item = Arg> {
    flags().filter(|flag| STEP.iter().chain(UNetConfig::NAMES).any(|name| flag.get_id() == name))
}

impl Args for StepSettings {
    fn augment_args(command: Command) -> Command {
        command.args(step_flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StepSettings {
    /// Clap's derive wants matches that know all flags, so those that are given are parsed again as one of
    /// them, and so are the command's own defaults.
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, Error> {
        let line = step_flags().flat_map(|flag| words(&flag, matches));
        let all = Command::new("settings").no_binary_name(true).args(flags()).try_get_matches_from(line)?;
        Ok(Self { config: TrainConfig::from_arg_matches(&all)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The words of a command line that give this flag what it has in `matches`; none if it has nothing there.
fn words(flag: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let (name, long) = (flag.get_id().as_str(), flag.get_long().expect("settings have long flags"));
    if !flag.get_action().takes_values() {
        return is_given(name, matches).then(|| format!("--{long}").into()).into_iter().collect();
    }
    let values = matches.get_raw(name).into_iter().flatten();
    values
        .map(|value| [OsString::from(format!("--{long}=")), value.to_owned()].into_iter().collect())
        .collect()
}

fn is_given(name: &str, matches: &ArgMatches) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

/// The defaults in words.
static DEFAULTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let table = file::table(&TrainConfig::default()).expect("files can hold the defaults");
    table.iter().map(|(name, value)| (name.clone(), file::words(Some(value)))).collect()
});

/// The flag of every field. Its default is the field's, and its help ends in the field's range.
pub(crate) fn flags() -> impl Iterator<Item = Arg> {
    let command = TrainConfig::augment_args(Command::new("settings"));
    let flags: Vec<Arg> = command.get_arguments().cloned().collect();
    flags.into_iter().map(|flag| {
        let name = flag.get_id().to_string();
        let flag = match TrainConfig::RANGES.iter().find(|(with_range, _)| *with_range == name) {
            Some((_, range)) => {
                let help = flag.get_help().cloned().unwrap_or_default();
                flag.help(format!("{help} [{range}]"))
            }
            None => flag,
        };
        match DEFAULTS.get(&name) {
            Some(default) => flag.required(false).default_value(default.as_str()),
            None => flag,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Settings {
        let command = Settings::augment_args(Command::new("test").no_binary_name(true));
        Settings::from_arg_matches(&command.try_get_matches_from(line.split_whitespace()).unwrap()).unwrap()
    }

    fn of_step(line: &str) -> TrainConfig {
        let command = StepSettings::augment_args(Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(line.split_whitespace()).unwrap();
        StepSettings::from_arg_matches(&matches).unwrap().config
    }

    #[test]
    fn every_setting_is_a_flag_of_the_same_name() {
        let flags: Vec<Arg> = flags().collect();
        assert_eq!(flags.len(), file::keys().count());
        for (name, flag) in file::keys().zip(&flags) {
            let long = flag.get_long().unwrap();
            assert!(flags.iter().any(|flag| flag.get_id() == name), "{name}");
            assert_eq!(long.replace('-', "_"), flag.get_id().as_str());
            assert!(flag.get_help().is_some(), "{long}");
        }
        assert!(STEP.iter().all(|name| flags.iter().any(|flag| flag.get_id() == name)));
    }

    #[test]
    fn a_line_without_flags_gives_the_defaults_and_nothing_is_given() {
        let settings = parsed("");
        assert_eq!(settings.config, TrainConfig::default());
        assert!(settings.given().unwrap().is_empty());
        assert_eq!(of_step(""), TrainConfig::default());
    }

    #[test]
    fn what_is_given_is_what_a_file_would_hold() {
        let line =
            "--steps 50 --filters 8,16 --batch-norm off --res-blocks --lr 2e-3 --size 16x32 --device 0";
        let text = "steps = 50\nfilters = [8, 16]\nbatch_norm = \"off\"\nres_blocks = true\nlr = 0.002\n\
                    size = \"16x32\"\ndevice = \"0\"\n";
        assert_eq!(parsed(line).given().unwrap(), text.parse::<Table>().unwrap());
    }

    #[test]
    fn the_flags_of_a_step_are_read_as_those_of_training() {
        let line =
            "--batch 3 --filters 8,16 --levels 2 --res-blocks --batch-norm off --method gd --physics f64";
        assert_eq!(of_step(line), parsed(line).config);
        let command = || StepSettings::augment_args(Command::new("test").no_binary_name(true));
        assert!(command().try_get_matches_from(["--lr", "1"]).is_err());
        // A command can have another default for a flag.
        let changed = command().mut_arg("batch", |batch| batch.default_value("7"));
        let none: [&str; 0] = [];
        let matches = changed.try_get_matches_from(none).unwrap();
        let config = StepSettings::from_arg_matches(&matches).unwrap().config;
        assert_eq!(config, TrainConfig { batch: 7, ..TrainConfig::default() });
    }
}
