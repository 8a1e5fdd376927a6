//! What a page asks for, in the words of the command line's flags.

use serde_json::{Map, Value as Json};
use std::path::Path;
use toml::{Table, Value};
use unheat::model::{Activation, Method, Objective, StepSpec, TrainedFor, UNetConfig};
use unheat::train::config::file;
use unheat::{Error, Result, TrainConfig};
use wasm_bindgen::prelude::wasm_bindgen;

/// A training's settings, and the methods that are trained side by side with them.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: TrainConfig,
    pub(crate) methods: Vec<Method>,
    /// What an engine is built for, by the first method.
    spec: StepSpec,
}

/// Settings of files, which the command line alone reads and writes.
const ELSEWHERE: [&str; 10] = [
    "weights",
    "data",
    "observations",
    "shuffle",
    "strict",
    "checkpoint_every",
    "validate_every",
    "validation_data",
    "jsonl",
    "save_gradients",
];

/// Settings in metres and seconds: a page's amounts are in cells² alone.
const UNITS: [&str; 3] = ["diffusivity", "time", "pixel"];

/// What the page itself heeds.
const OF_THE_PAGE: [&str; 2] = ["device", "run"];

/// The names of what may be set, as the page has them.
fn names() -> impl Iterator<Item = &'static str> {
    let known =
        file::keys().filter(|key| !ELSEWHERE.contains(key) && !UNITS.contains(key) && *key != "method");
    known.chain(["methods"])
}

/// The names of the activations that there are, joined by commas.
#[wasm_bindgen]
pub fn activations() -> String {
    Activation::ALL.map(Activation::name).join(",")
}

impl Settings {
    /// Reads settings from a JSON object; `_` and `-` are the same in names, and numbers may be texts. The
    /// architecture is that of `loaded` weights, where a file brings some along, and so is what their network
    /// was shown, unless the settings say.
    ///
    /// # Errors
    /// [`Error::Usage`] with the first that is unknown or impossible.
    pub(crate) fn read(json: &str, loaded: Option<(&UNetConfig, Option<&TrainedFor>)>) -> Result<Self> {
        let object: Map<String, Json> =
            serde_json::from_str(json).map_err(|error| Error::usage(format!("settings: {error}")))?;
        let (mut table, mut methods) = (Table::new(), vec![Method::Sip, Method::Gd]);
        for (key, value) in &object {
            let key = key.replace('-', "_");
            match key.as_str() {
                "method" | "methods" => methods = self::methods(value)?,
                key if OF_THE_PAGE.contains(&key) => {}
                key if ELSEWHERE.contains(&key) => {
                    return Err(Error::usage(format!(
                        "{key}: is for the command line; a page has no files of its own"
                    )));
                }
                key if UNITS.contains(&key) => {
                    let what = "is for the command line; a page knows amounts in cells² alone";
                    return Err(Error::usage(format!("{key}: {what}")));
                }
                key if names().any(|name| name == key) => {
                    table.insert(key.to_owned(), typed(key, value)?);
                }
                _ => {
                    let names: Vec<&str> = names().collect();
                    return Err(Error::usage(format!(
                        "`{key}` is no setting; there are {}",
                        names.join(", ")
                    )));
                }
            }
        }
        let mut config = file::config(&table, Path::new("settings")).map_err(bare)?;
        if config.files().next().is_some() {
            return Err(Error::usage("operator: a page has no files, and so no psf"));
        }
        if let Some((net, trained_for)) = loaded {
            (config.levels, config.net) = (net.levels(), net.clone());
            config.tikhonov = config.tikhonov.or(trained_for.and_then(|told| told.tikhonov));
        }
        config.method = methods[0];
        let spec = config.spec()?; // nothing that may be impossible depends on the method
        config.net = spec.net.config.clone();
        Ok(Self { config, methods, spec })
    }

    /// What the engine of a method is built for. Methods differ in the training signal alone, and share
    /// tables.
    pub(crate) fn spec(&self, method: Method) -> StepSpec {
        let objective = Objective { method, ..self.spec.objective };
        StepSpec { objective, ..self.spec.clone() }
    }

    /// Every setting in force, as a JSON object.
    ///
    /// # Errors
    /// [`Error::Usage`] for what JSON cannot hold.
    pub(crate) fn in_force(&self) -> Result<Json> {
        let mut all = serde_json::to_value(&self.config).map_err(|error| Error::usage(error.to_string()))?;
        if let Some(object) = all.as_object_mut() {
            object.retain(|key, _| names().any(|name| name == key) && !OF_THE_PAGE.contains(&key.as_str()));
            let methods: Vec<&str> = self.methods.iter().map(|method| method.name()).collect();
            object.insert("methods".to_owned(), methods.join(",").into());
        }
        Ok(all)
    }
}

/// `sip,gd`, or a list of names.
fn methods(value: &Json) -> Result<Vec<Method>> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Array(list) => {
            list.iter().map(|name| name.as_str().unwrap_or("?")).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    let mut methods = Vec::new();
    for name in text.split(',').map(str::trim) {
        let method = name.parse::<Method>().map_err(|error| Error::usage(format!("methods {error}")))?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    Ok(methods)
}

/// A value in the type that its setting has. Addresses know nothing but texts, so the first type that a text
/// can be read as and the setting takes is meant.
fn typed(key: &str, value: &Json) -> Result<Value> {
    let text = match value {
        Json::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let whole = |text: &str| text.trim().parse::<i64>().ok().map(Value::Integer);
    let inner = text.trim_matches(['[', ']']);
    let list = || inner.split(',').map(whole).collect::<Option<Vec<_>>>().map(Value::Array);
    let number = text.parse::<f64>().ok();
    let readings = [
        whole(&text),
        number.filter(|v| v.fract() == 0.0 && v.abs() < 1e15).map(|v| Value::Integer(v as i64)),
        number.map(Value::Float),
        text.parse::<bool>().ok().map(Value::Boolean),
        Some(Value::String(text.clone())),
        list(),
    ];
    let takes = |value: &Value| {
        let one = Table::from_iter([(key.to_owned(), value.clone())]);
        file::config(&one, Path::new("settings")).map(drop)
    };
    let mut refused = None;
    for reading in readings.into_iter().flatten() {
        match takes(&reading) {
            Ok(()) => return Ok(reading),
            Err(error) => refused = refused.or(Some((reading, error))),
        }
    }
    match refused {
        _ if text.is_empty() => Err(Error::usage(format!("{key} has no value"))),
        None => Err(Error::usage(format!("{key} {text}: is nothing that can be read"))),
        // As it was written.
        Some((reading, error)) => Err(match bare(error) {
            Error::Usage(line) => Error::usage(line.replacen(
                &format!("{key} {}", file::words(Some(&reading))),
                &format!("{key} {text}"),
                1,
            )),
            other => other,
        }),
    }
}

/// What is wrong with a setting, without the name of a file: there is none.
fn bare(error: Error) -> Error {
    match error {
        Error::File { what, .. } => {
            let plain =
                what.replace(", without quotes", "").replace(", in quotes", "").replace(" in quotes;", ";");
            Error::usage(plain.replace('"', "").replacen(" = ", " ", 1))
        }
        other => other,
    }
}
