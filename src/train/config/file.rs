//! Settings as TOML: a run's `config.toml`, and the files of `--config`.

use crate::train::config::TrainConfig;
use crate::{Error, Result};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor, value};
use serde::forward_to_deserialize_any;
use std::path::Path;
use toml::Table;

/// Reads a file of settings. Its keys are those of [`TrainConfig`], and `others`.
///
/// # Errors
/// [`Error::Io`]; [`Error::File`] for what is not TOML, and for unknown keys, with the nearest known one.
pub fn read(path: &Path, others: &[&str]) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "cannot read"))?;
    let table: Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::file(path, format!("line {line}: {}", e.message()))
    })?;
    let known = || keys::<TrainConfig>().iter().chain(others);
    if let Some(unknown) = table.keys().find(|key| known().all(|known| known != key)) {
        let likeness = |known: &str| strsim::jaro_winkler(known, &unknown.replace('-', "_"));
        let nearest =
            known().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).expect("settings have names");
        return Err(Error::file(path, format!("`{unknown}` is no setting; do you mean `{nearest}`?")));
    }
    Ok(table)
}

/// The configuration that `table`, read from `path`, holds; what it leaves out has its default.
///
/// # Errors
/// [`Error::File`] for a value of the wrong type, naming it.
pub fn config(table: &Table, path: &Path) -> Result<TrainConfig> {
    // Key by key first, so that the error can name one.
    for (key, value) in table {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        one.try_into::<TrainConfig>()
            .map_err(|e| Error::file(path, format!("{key} = {value}: {}", e.message())))?;
    }
    table.clone().try_into().map_err(|e| Error::file(path, e.message()))
}

/// The settings as a table.
///
/// # Errors
/// [`Error::Usage`] for a value that TOML cannot hold.
pub fn table(config: &TrainConfig) -> Result<Table> {
    config.check_names()?;
    Table::try_from(config)
        .map_err(|e| Error::usage(format!("these settings cannot be written as TOML: {e}")))
}

/// The names of a struct's fields, as serde knows them.
fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &[&str] = &[];
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

/// Is told the fields of the struct that somebody wants, and gives nothing.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> std::result::Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only the fields of structs are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> std::result::Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<TrainConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        config(&read(&path, &["output"])?, &path)
    }

    #[test]
    fn every_configuration_survives_a_file() {
        let full = TrainConfig {
            amount: 2.5,
            filters: vec![8, 16],
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
        assert_eq!(read_text("amount = 2\n").unwrap().amount, 2.0);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, complaint) in [
            ("stepz = 3", "`stepz` is no setting; do you mean `steps`?"),
            ("lr_shedule = 3", "do you mean `lr_schedule`?"),
            ("save-gradients = 3", "do you mean `save_gradients`?"),
            ("out = 3", "do you mean `output`?"),
            ("batch = \"many\"", "batch = \"many\""),
            ("batch = -1", "batch = -1"),
            ("size = \"64\"", "write it like 64x64"),
            ("physics = \"a\\nb\"", "unknown variant `a b`"),
            ("\"a\\nb\" = 3", "`a b` is no setting"),
            ("method = \"sgd\"", "unknown variant `sgd`"),
            ("steps = 3\nbatch 4", "line 2"),
            ("steps = 3\nsteps = 4", "line 2"),
        ] {
            let error = read_text(text).unwrap_err();
            let message = error.to_string();
            assert!(matches!(error, Error::File { .. }) && message.contains(complaint), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
