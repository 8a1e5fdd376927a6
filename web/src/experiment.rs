//! Networks in training side by side: the same start, the same data, another training signal each.

use crate::canvases::{Canvases, shown};
use crate::device::{Device, in_scopes};
use crate::failure::thrown;
use crate::settings::Settings;
use crate::training::Training;
use js_sys::{Object, Uint8Array};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use unheat::gpu::Gpu;
use unheat::io::arrays::weights;
use unheat::io::memory::batch::{Purpose, check_shared};
use unheat::model::unet::init::State;
use unheat::model::{Operator, Snapshot, TrainedFor};
use unheat::train::OnNan;
use unheat::train::config::size::Size;
use unheat::train::data::drawn::Drawn;
use unheat::train::summary::row;
use unheat::{Error, Result, gpu};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_time::Instant;

/// The name of the file of weights in messages, where it has none.
const WEIGHTS: &str = "weights.safetensors";

/// Networks in training side by side.
#[wasm_bindgen]
pub struct Experiment {
    settings: Settings,
    /// Whose weights they began with.
    file: Option<String>,
    /// What those weights were trained for, where that is something else.
    remark: Option<String>,
    pub(crate) operator: Operator,
    drawn: Drawn,
    /// What the networks learn to undo, and at which scale.
    pub(crate) trained_for: TrainedFor,
    pub(crate) trainings: Vec<Training>,
    canvases: Canvases,
    /// Steps that are done.
    step: u64,
    /// Seconds of training so far.
    seconds: f64,
}

/// What an experiment goes on from on another device.
#[wasm_bindgen]
pub struct Kept {
    settings: Settings,
    file: Option<String>,
    step: u64,
    seconds: f64,
    /// Of every training, with the step in which it stopped.
    snapshots: Vec<(Snapshot, Option<u64>)>,
}

#[wasm_bindgen]
impl Experiment {
    /// Starts anew with the settings in a JSON object, from weights in `file` or drawn ones, and shows its
    /// fields on `canvases`, an object of `OffscreenCanvas`es named truth, observation and like the methods.
    ///
    /// # Errors
    /// One line, of the kind "usage" where a setting or the file is to blame.
    pub async fn start(
        device: &Device,
        settings: String,
        file: Option<Vec<u8>>,
        name: Option<String>,
        canvases: Object,
    ) -> std::result::Result<Self, JsValue> {
        let begin = || Self::begin(device, &settings, file, name, &canvases);
        in_scopes(device, begin).await.map_err(thrown)
    }

    /// Goes on from what was kept, on another device.
    ///
    /// # Errors
    /// As [`Experiment::start`].
    pub async fn resume(
        device: &Device,
        kept: &Kept,
        canvases: Object,
    ) -> std::result::Result<Self, JsValue> {
        in_scopes(device, || Self::go_on(device, kept, &canvases)).await.map_err(thrown)
    }

    /// What it is, as a JSON object: settings, methods, parameters, shown, nx, ny, weights, step.
    ///
    /// # Errors
    /// None that a page could cause.
    pub fn about(&self) -> std::result::Result<String, JsValue> {
        let Size { nx, ny } = self.settings.config.size;
        let methods: Vec<&str> = self.trainings.iter().map(|training| training.method.name()).collect();
        let about = json!({
            "settings": self.settings.in_force().map_err(thrown)?,
            "methods": methods,
            "parameters": self.trainings[0].spec.net.param_count,
            "shown": shown(&self.settings.config),
            "nx": nx,
            "ny": ny,
            "weights": self.file,
            "remark": self.remark,
            "step": self.step,
        });
        Ok(about.to_string())
    }

    /// Trains every network for `steps` steps. Returns a JSON object: step, rows per method (numbers that are
    /// none are null), secondsPerStep of one method, note (which methods have stopped, and why), stopped (the
    /// same where all of them have).
    ///
    /// # Errors
    /// Of the kind "device" where the device is lost.
    pub async fn advance(&mut self, steps: u32) -> std::result::Result<String, JsValue> {
        self.train(steps).await.map_err(thrown)
    }

    /// The bytes of `weights.safetensors` of a method.
    ///
    /// # Errors
    /// Of the kind "usage" for a method that is not among them.
    pub async fn weights(&self, method: String) -> std::result::Result<Uint8Array, JsValue> {
        let bytes = self.saved(&method).await.map_err(thrown)?;
        Ok(Uint8Array::from(bytes.as_slice()))
    }

    /// Draws the fields of the last step on the canvases.
    ///
    /// # Errors
    /// Of the kind "device" where a canvas refuses.
    pub async fn draw(&self) -> std::result::Result<(), JsValue> {
        self.canvases.draw(&self.trainings, &self.settings.config).await
    }

    /// What to go on from where the device is lost.
    ///
    /// # Errors
    /// Of the kind "device" where it is lost already.
    pub async fn keep(&self) -> std::result::Result<Kept, JsValue> {
        let mut snapshots = Vec::new();
        for training in &self.trainings {
            snapshots.push((training.snapshot().await.map_err(thrown)?, training.failed));
        }
        let Self { settings, file, step, seconds, .. } = self;
        Ok(Kept { settings: settings.clone(), file: file.clone(), step: *step, seconds: *seconds, snapshots })
    }
}

impl Experiment {
    fn begin(
        device: &Device,
        settings: &str,
        file: Option<Vec<u8>>,
        name: Option<String>,
        canvases: &Object,
    ) -> Result<Self> {
        let name = name.unwrap_or_else(|| WEIGHTS.to_owned());
        let loaded = file.map(|bytes| weights::of_bytes(Path::new(&name), &bytes)).transpose()?;
        let known = loaded.as_ref().map(|(net, _, told)| (&net.config, told.as_ref()));
        let settings = Settings::read(settings, known)?;
        let file = loaded.is_some().then_some(name);
        let (start, told) = loaded.map_or((None, None), |(_, state, told)| (Some(state), told));
        let mut experiment = Self::build(device, settings, file, start, canvases)?;
        let now = &experiment.trained_for;
        let differs = |told: &TrainedFor| {
            (&told.amount, &told.operator, told.noise, told.tikhonov)
                != (&now.amount, &now.operator, now.noise, now.tikhonov)
        };
        experiment.remark = told.filter(differs).map(|told| {
            format!("These weights were trained for {}; training goes on with {}.", words(&told), words(now))
        });
        Ok(experiment)
    }

    fn go_on(device: &Device, kept: &Kept, canvases: &Object) -> Result<Self> {
        let start = Some(kept.snapshots[0].0.state.clone());
        let mut experiment = Self::build(device, kept.settings.clone(), kept.file.clone(), start, canvases)?;
        for (training, (snapshot, failed)) in experiment.trainings.iter_mut().zip(&kept.snapshots) {
            training.restore(snapshot);
            training.failed = *failed;
        }
        (experiment.step, experiment.seconds) = (kept.step, kept.seconds);
        Ok(experiment)
    }

    fn build(
        device: &Device,
        settings: Settings,
        file: Option<String>,
        start: Option<State>,
        canvases: &Object,
    ) -> Result<Self> {
        let config = &settings.config;
        let gpu = device.gpu.as_ref().map(|open| &open.gpu);
        let purpose = if gpu.is_some() { Purpose::Fields } else { Purpose::Training(config.activations) };
        let cells = config.size.nx * config.size.ny;
        let first = settings.spec(settings.methods[0]);
        let held = if gpu.is_some() { [config.batch, 1] } else { first.held() };
        check_shared(&first.net, cells, held, purpose, settings.methods.len())?;
        let start = start.unwrap_or_else(|| State::new(&first.net, config.seed));
        let mut trainings = Vec::new();
        for &method in &settings.methods {
            trainings.push(Training::new(method, gpu, settings.spec(method), &start)?);
        }
        let operator = first.operator;
        let drawn = Drawn::new(config, &operator);
        let trained_for = TrainedFor::of(&drawn.observed_examples(&operator), &operator, config.noise);
        let trained_for = TrainedFor { tikhonov: config.tikhonov, ..trained_for };
        let canvases = Canvases::new(device.gpu.as_ref(), canvases, &trainings, config)?;
        let (step, seconds) = (0, 0.0);
        Ok(Self {
            settings,
            file,
            remark: None,
            operator,
            drawn,
            trained_for,
            trainings,
            canvases,
            step,
            seconds,
        })
    }

    /// The device and the step of the first training, for timing it.
    pub(crate) fn first_on_gpu(&self) -> Option<(&Gpu, &gpu::Step)> {
        self.trainings[0].gpu_step()
    }

    async fn train(&mut self, steps: u32) -> Result<String> {
        let (first, stops) = (self.step, self.settings.config.on_nan == OnNan::Stop);
        let last = if self.has_stopped() { first } else { first + u64::from(steps) };
        let start = Instant::now();
        for step in first..last {
            let batch = self.drawn.batch(step);
            // Those that have stopped too: they change nothing, and show what they make of the same fields.
            for training in &mut self.trainings {
                training.submit(&batch).await?;
            }
        }
        let mut losses = Vec::new();
        for training in &mut self.trainings {
            losses.push(training.losses().await?);
        }
        let took = start.elapsed().as_secs_f64();
        self.seconds += took;
        let mut rows = Map::new();
        for (training, losses) in self.trainings.iter_mut().zip(losses) {
            let mut of_method = Vec::new();
            let goes_on = training.failed.is_none();
            for (step, losses) in (first..).zip(losses).filter(|_| goes_on) {
                let mut row = row(step, &losses, self.seconds);
                if !losses.is_finite() {
                    if stops {
                        // It has made no update since, and makes none any more.
                        training.failed = Some(step);
                        break;
                    }
                    row.loss_mean = f64::NAN;
                }
                of_method.push(serde_json::to_value(row).map_err(|e| Error::usage(e.to_string()))?);
            }
            rows.insert(training.method.name().to_owned(), Json::Array(of_method));
        }
        self.step = last;
        let seconds_per_step = took / ((last - first).max(1) * self.trainings.len() as u64) as f64;
        let note = self.note();
        let stopped = note.clone().filter(|_| self.has_stopped());
        let found = json!({ "step": self.step, "rows": rows, "secondsPerStep": seconds_per_step,
            "note": note, "stopped": stopped });
        Ok(found.to_string())
    }

    /// Whether every method has stopped.
    fn has_stopped(&self) -> bool {
        self.trainings.iter().all(|training| training.failed.is_some())
    }

    /// Which methods have stopped, and why.
    fn note(&self) -> Option<String> {
        let failed = self.trainings.iter().filter_map(|t| Some((t.method.title(), t.failed?)));
        let failed: Vec<String> = failed.map(|(method, step)| format!("{method} in step {step}")).collect();
        let what = "a loss or a gradient was not finite. The weights are those of the step before; a smaller \
                    learning rate may help";
        (!failed.is_empty()).then(|| format!("Stopped: {}, where {what}", failed.join(", ")))
    }

    async fn saved(&self, method: &str) -> Result<Vec<u8>> {
        let Some(training) = self.trainings.iter().find(|training| training.method.name() == method) else {
            let names: Vec<&str> = self.trainings.iter().map(|t| t.method.name()).collect();
            return Err(Error::usage(format!("method {method}: there are {}", names.join(", "))));
        };
        let state = training.state().await?;
        weights::to_bytes(Path::new(WEIGHTS), &training.spec.net, &state, Some(&self.trained_for))
    }
}

/// What a network was trained for, in a few words.
fn words(trained_for: &TrainedFor) -> String {
    let TrainedFor { amount, operator, noise, tikhonov, .. } = trained_for;
    let what = match (amount, operator) {
        (Some(amount), _) => format!("an amount of {amount}"),
        (None, Some(operator)) => operator.clone(),
        (None, None) => "another operator".to_owned(),
    };
    let inverse = tikhonov.map(|lambda| format!(", seen by its inverse with λ = {lambda}"));
    format!("{what} and noise {noise}{}", inverse.unwrap_or_default())
}
