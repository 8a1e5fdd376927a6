//! Settings as TOML: a run's `config.toml`, and the files of `--config`.

use crate::io::arrays::{npy, weights};
use crate::io::contents;
use crate::io::images::format::is_pictures;
use crate::model::settings::{on_off, one_of};
use crate::model::{DType, UNetConfig};
use crate::train::config::TrainConfig;
use crate::train::config::paths::NamedFiles;
use crate::train::config::size::Size;
use crate::{Error, Result};
use std::path::Path;
use toml::de::DeTable;
use toml::{Table, Value};

/// The names of all settings, as files have them.
pub fn keys() -> impl Iterator<Item = &'static str> {
    let own = TrainConfig::NAMES.iter().copied().filter(|name| *name != "net");
    own.chain(UNetConfig::NAMES.iter().copied())
}

/// What to say about a key that is none of the `known` ones: the most similar of them.
#[cfg(feature = "cli")]
fn advice(key: &str, known: &[&str]) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(known, key);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    format!("do you mean `{}`?", nearest.expect("there are settings, and they have names"))
}

/// What to say about a key that is none of the `known` ones: all of them.
#[cfg(not(feature = "cli"))]
fn advice(_: &str, known: &[&str]) -> String {
    format!("there are {}", known.join(", "))
}

/// Reads a file of settings. Its keys are those of [`TrainConfig`], and `others`.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] for what is not TOML, and for unknown keys, with the line and the nearest
/// known key.
pub fn read(path: &Path, others: &[&str]) -> Result<Table> {
    if path.is_dir() {
        let file = path.join("config.toml");
        let what = format!("a folder; name a file of settings, such as {}", file.display());
        return Err(Error::file(path, what));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path, "cannot read"))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let found = contents::describe(path).unwrap_or("no text");
        Error::file(path, format!("{found}; name a file of settings, such as a run's config.toml"))
    })?;
    let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let syntax = |e: toml::de::Error| {
        let line = e.span().map_or(1, |span| line(span.start));
        Error::file(path, format!("line {line}: {}", e.message()))
    };
    let mut known: Vec<&str> = keys().collect();
    known.extend(others);
    let table = DeTable::parse(&text).map_err(syntax)?;
    if let Some(key) = table.get_ref().keys().find(|key| known.iter().all(|known| known != key.get_ref())) {
        let is_section = table.get_ref().get(key).is_some_and(|value| value.get_ref().is_table());
        let (line, key) = (line(key.span().start), key.get_ref());
        if is_section {
            let what = format!("line {line}: `{key}` is a section; write settings without sections");
            return Err(Error::file(path, what));
        }
        let advice = advice(&key.replace('-', "_").to_lowercase(), &known);
        return Err(Error::file(path, format!("line {line}: `{key}` is no setting; {advice}")));
    }
    text.parse().map_err(syntax)
}

/// As [`read`], with the paths in it as they are meant: counted from the file's folder. An `output` among
/// `others` is a path as well.
///
/// # Errors
/// As there.
pub fn read_located(path: &Path, others: &[&str]) -> Result<(Table, NamedFiles)> {
    let mut table = read(path, others)?;
    let keys: Vec<&str> = TrainConfig::FILES.into_iter().chain(["output"]).collect();
    let named = NamedFiles::locate(&mut table, path, &keys);
    Ok((table, named))
}

/// What the value of a setting must be, in the words of a person and not in those of serde.
pub(crate) fn must_be(key: &str) -> String {
    // Of these the type does not tell all.
    match key {
        "batch_norm" => return one_of(&[true, false].map(on_off::name)),
        "physics" => return one_of(&DType::PHYSICS.map(DType::name)),
        "activations" => return one_of(&DType::ACTIVATIONS.map(DType::name)),
        _ => {}
    }
    let mut all = TrainConfig::WORDS.iter().chain(UNetConfig::WORDS);
    all.find(|(name, _)| *name == key).map_or("another value".to_owned(), |(_, words)| words())
}

/// The configuration that `table`, read from `path`, holds; what it leaves out has its default.
///
/// # Errors
/// [`Error::File`] for a value of the wrong type, naming it.
pub fn config(table: &Table, path: &Path) -> Result<TrainConfig> {
    let defaults = self::table(&TrainConfig::default())?;
    let with = |some: Table| defaults.clone().into_iter().chain(some).collect::<Table>();
    // Key by key first, so that the error can name one.
    let files = TrainConfig::FILES;
    for (key, value) in table {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        let is_nameless = value.as_str() == Some("") && files.iter().any(|name| name == key);
        if is_nameless || with(one).try_into::<TrainConfig>().is_err() {
            return Err(Error::file(path, format!("{key} = {value}: must be {}", must_be(key))));
        }
    }
    with(table.clone()).try_into().map_err(|e| Error::file(path, e.message()))
}

/// As [`config`], but what `table` leaves out is that of the weights and data that it names, where it is
/// known from them: the architecture, what the network is shown, and the size of the grid.
///
/// # Errors
/// As there, and where those files cannot be read.
pub fn config_with_files(table: &Table, path: &Path) -> Result<TrainConfig> {
    let config = config(table, path)?;
    let mut found = Table::new();
    if let Some(path) = &config.weights {
        let (net, _, trained_for) = weights::read_all(path)?;
        found = architecture(&net.config)?;
        let shown = trained_for.and_then(|trained_for| trained_for.tikhonov);
        found.extend(shown.map(|lambda| ("tikhonov".to_owned(), lambda.into())));
    }
    let fields = config.data.as_ref().or(config.observations.as_ref()).filter(|path| !is_pictures(path));
    if let (Some(path), false) = (fields, table.contains_key("size")) {
        let [_, nx, ny] = npy::shape(path)?;
        found.insert("size".to_owned(), Size { nx, ny }.to_string().into());
    }
    found.extend(table.clone());
    self::config(&found, path)
}

/// The settings of a network, `levels` among them.
pub(crate) fn architecture(net: &UNetConfig) -> Result<Table> {
    let mut table = Table::try_from(net).map_err(unwritable)?;
    table.insert("levels".to_owned(), Value::Integer(net.levels() as i64));
    Ok(table)
}

/// A setting's value as a flag has it, without the quotes and brackets of TOML; `none` where it is not set.
pub fn words(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Float(number)) => number.to_string(),
        Some(Value::Array(list)) => list.iter().map(|v| words(Some(v))).collect::<Vec<_>>().join(","),
        Some(other) => other.to_string(),
    }
}

/// The settings as a table.
///
/// # Errors
/// [`Error::Usage`] for a value that TOML cannot hold.
pub fn table(config: &TrainConfig) -> Result<Table> {
    let mut paths = config.files().map(|(_, path)| path);
    if let Some(path) = paths.find(|path| path.to_str().is_none()) {
        let path = path.display();
        return Err(Error::usage(format!("{path}: the name is not UTF-8, so config.toml cannot hold it")));
    }
    // JSON has all numbers of 64 bits, TOML only those with a sign.
    let all = serde_json::to_value(config).map_err(unwritable)?;
    for (name, value) in all.as_object().into_iter().flatten() {
        if value.as_u64().is_some_and(|value| i64::try_from(value).is_err()) {
            let flag = name.replace('_', "-");
            return Err(Error::usage(format!(
                "{flag} {value}: must be below 2^63, or config.toml cannot hold it"
            )));
        }
    }
    Table::try_from(config).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::usage(format!("these settings cannot be written as TOML: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operator::amounts::Amounts;

    fn read_text(text: &str) -> Result<TrainConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        config(&read(&path, &["output"])?, &path)
    }

    #[test]
    fn every_configuration_survives_a_file() {
        let full = TrainConfig {
            amount: Amounts([2.5, 1.0]),
            net: UNetConfig { filters: vec![8, 16], batch_norm: false, ..UNetConfig::default() },
            levels: 2,
            weights: Some("w.safetensors".into()),
            data: Some("x.npy".into()),
            shuffle: true,
            lr_decay: Some(0.1),
            ..TrainConfig::default()
        };
        for config in [TrainConfig::default(), full] {
            assert_eq!(read_text(&toml::to_string(&config).unwrap()).unwrap(), config);
            assert_eq!(read_text(&table(&config).unwrap().to_string()).unwrap(), config);
        }
        assert_eq!(read_text("").unwrap(), TrainConfig::default());
        assert_eq!(read_text("amount = 2\n").unwrap().amount, 2.0.into());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, complaint) in [
            ("stepz = 3", "line 1: `stepz` is no setting; do you mean `steps`?"),
            ("steps = 3\n\nbach = 4", "line 3: `bach` is no setting; do you mean `batch`?"),
            ("net = 3", "`net` is no setting"),
            ("batch_norm = true", "batch_norm = true: must be \"on\" or \"off\", in quotes"),
            ("batch_norm = \"no\"", "must be \"on\" or \"off\", in quotes"),
            ("LR = 3", "do you mean `lr`?"),
            ("Batch-Norm = 3", "do you mean `batch_norm`?"),
            ("[train]\nlr = 3", "line 1: `train` is a section"),
            ("filters = \"8\"", "a whole number such as 16, or a list of them"),
            ("lr_shedule = 3", "do you mean `lr_schedule`?"),
            ("save-gradients = 3", "do you mean `save_gradients`?"),
            ("out = 3", "do you mean `output`?"),
            ("batch = \"many\"", "batch = \"many\": must be a whole number"),
            ("batch = -1", "batch = -1"),
            ("size = \"64\"", "write it like \"64x64\""),
            ("physics = \"a\\nb\"", "must be \"f32\" or \"f64\", in quotes"),
            ("\"a\\nb\" = 3", "`a b` is no setting"),
            ("method = \"sgd\"", "must be \"sip\", \"gd\" or \"supervised\", in quotes"),
            ("steps = 3\nbatch 4", "line 2"),
            ("steps = 3\nsteps = 4", "line 2"),
        ] {
            let error = read_text(text).unwrap_err();
            let message = error.to_string();
            assert!(matches!(error, Error::File { .. }) && message.contains(complaint), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
        let one = read_text("filters = 8").unwrap();
        assert_eq!(one.net.filters, [8]);
    }

    /// Every setting with values of every type: what is refused is refused in one line of plain words that
    /// names the setting and its value.
    #[test]
    fn no_wrong_type_is_answered_in_the_words_of_a_programmer() {
        let values = [
            "3",
            "-3",
            "0.5",
            "inf",
            "nan",
            "true",
            "\"50\"",
            "\"fast\"",
            "\"\"",
            "[]",
            "[1, \"a\"]",
            "[[1]]",
            "{ a = 1 }",
            "1979-05-27",
            "9223372036854775807",
        ];
        let jargon = [
            "invalid",
            "variant",
            "expected",
            "sequence",
            "i64",
            "u64",
            "f64`",
            "usize",
            "struct",
            "serde",
            "untagged",
            "integer",
            "boolean",
            "another value",
        ];
        let (mut refused, mut taken) = (0, 0);
        for key in keys() {
            for value in values {
                let Err(error) = read_text(&format!("{key} = {value}")).and_then(|config| {
                    // What is of the right type may be impossible all the same.
                    config.plan().map(drop)
                }) else {
                    taken += 1;
                    continue;
                };
                refused += 1;
                let said = error.to_string();
                let words = said.replace(value, "");
                let flag = key.replace('_', "-");
                assert!(!said.contains('\n') && !jargon.iter().any(|word| words.contains(word)), "{said}");
                let named = [key, &flag, value.trim_matches('"')].iter().any(|name| said.contains(name));
                assert!(named && !said.starts_with(':'), "{key}: {said}");
            }
        }
        println!("{refused} wrong values refused, {taken} taken");
        assert!(refused > 300 && taken > 20, "{refused} {taken}");
    }
}
