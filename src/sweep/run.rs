//! One run of a sweep: its settings, and the command that trains it.

use crate::Result;
use crate::train::TrainConfig;
use crate::train::config::file;
use std::path::Path;
use toml::{Table, Value};

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Counted from 1.
    pub number: usize,
    /// The settings that are not left to their defaults, with whole paths.
    pub settings: Table,
}

impl Run {
    /// The configuration that these settings lead to; `sweep` is where they stand, for messages.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) for a value of the wrong type, and those of reading the weights
    /// and data that are named.
    pub fn config(&self, sweep: &Path) -> Result<TrainConfig> {
        file::config_with_files(&self.settings, sweep)
    }

    /// The settings as flags of `unheat train`.
    pub fn flags(&self) -> Vec<String> {
        let flag = |(name, value): (&String, &Value)| {
            let name = name.replace('_', "-");
            match value {
                Value::Boolean(true) => Some(format!("--{name}")),
                Value::Boolean(false) => None, // as without the flag
                value => Some(format!("--{name}={}", file::words(Some(value)))),
            }
        };
        self.settings.iter().filter_map(flag).collect()
    }

    /// The values of `varied` settings, in words: "lr 0.001, filters 8".
    pub fn describe<'a>(&self, varied: impl IntoIterator<Item = &'a String>) -> String {
        let told = |name: &String| format!("{} {}", name.replace('_', "-"), self.value(name));
        varied.into_iter().map(told).collect::<Vec<_>>().join(", ")
    }

    /// A setting's value as a flag has it, short.
    pub fn value(&self, name: &str) -> String {
        match self.settings.get(name) {
            Some(Value::Boolean(true)) => "on".to_owned(),
            Some(Value::Boolean(false)) => "off".to_owned(),
            Some(Value::Float(number)) if !(1e-4..1e6).contains(&number.abs()) && *number != 0.0 => {
                format!("{number:e}")
            }
            value => file::words(value),
        }
    }
}

/// A command as a shell reads it, for people and for programs that start others.
pub fn shell_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=.,/:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_words_say_what_the_table_says() {
        let settings = "lr = 0.00001\nfilters = [8, 16]\nshuffle = true\nstrict = false\nmethod = \"gd\"";
        let run = Run { number: 1, settings: settings.parse().unwrap() };
        assert_eq!(run.flags(), ["--filters=8,16", "--lr=0.00001", "--method=gd", "--shuffle"]);
        let varied = ["lr", "filters", "strict"].map(str::to_owned);
        assert_eq!(run.describe(&varied), "lr 1e-5, filters 8,16, strict off");
    }

    #[test]
    fn a_shell_reads_each_word_as_one() {
        let words = ["unheat", "--data=it's here.npy", "--lr=1e-3", ""].map(str::to_owned);
        assert_eq!(shell_line(&words), r"unheat '--data=it'\''s here.npy' --lr=1e-3 ''");
    }
}
