//! Networks in training side by side: the same start, the same data, another training signal each.

use crate::colours;
use crate::device::{Device, OpenGpu};
use crate::failure::thrown;
use crate::pictures::{Painter, Picture};
use crate::settings::Settings;
use crate::training::Training;
use js_sys::{Float32Array, Object, Reflect, Uint8Array};
use rayon::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use unheat::cpu::heat::physics::Physics;
use unheat::cpu::unet::at_scale::AtScale;
use unheat::engine::memory::{Purpose, check_shared};
use unheat::gpu::Gpu;
use unheat::io::arrays::weights;
use unheat::model::operator::factor::Factor;
use unheat::model::unet::init::State;
use unheat::model::{Operator, Snapshot, StepSpec, TrainedFor};
use unheat::train::OnNan;
use unheat::train::config::size::Size;
use unheat::train::data::drawn::Drawn;
use unheat::train::summary::row;
use unheat::{Error, Result, TrainConfig, gpu};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{OffscreenCanvas, OffscreenCanvasRenderingContext2d};
use web_time::Instant;

/// Fields that a canvas shows side by side, at most.
const SHOWN: usize = 4;

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
    operator: Operator,
    drawn: Drawn,
    /// What the networks learn to undo, and at which scale.
    trained_for: TrainedFor,
    trainings: Vec<Training>,
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

/// What shows the fields of the last step.
enum Canvases {
    None,
    /// Drawn by the device that has them.
    OnGpu {
        painter: Painter,
        pictures: Vec<Picture>,
    },
    /// Painted from this side. Their contexts are kept: Firefox hands one out once.
    Painted(Vec<(Source, OffscreenCanvasRenderingContext2d)>),
}

/// What a canvas shows.
#[derive(Clone, Copy)]
enum Source {
    Truth,
    Observation,
    /// The prediction of the training of this number.
    Prediction(usize),
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
            "shown": self.shown(),
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

    /// Draws the fields of the last step on the canvases.
    ///
    /// # Errors
    /// Of the kind "device" where a canvas refuses.
    pub async fn draw(&self) -> std::result::Result<(), JsValue> {
        match &self.canvases {
            Canvases::None => Ok(()),
            Canvases::OnGpu { painter, pictures } => {
                painter.draw(pictures);
                Ok(())
            }
            Canvases::Painted(contexts) => self.paint(contexts).await,
        }
    }

    /// The field `[nx, ny]` observed through `amount` of diffusion, in cells².
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size and an impossible amount.
    pub fn observe(&self, field: &[f32], amount: f64) -> std::result::Result<Vec<f32>, JsValue> {
        let Size { nx, ny } = self.settings.config.size;
        let operator = Operator::heat(nx, ny, amount).map_err(thrown)?;
        self.observed(&operator, field).map_err(thrown)
    }

    /// The field `[nx, ny]` behind a `part` from 0 to 1 of what the observer does: of heat conduction that
    /// part of its amount, of anything else so much of the way to the observation.
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size.
    pub fn fade(&self, field: &[f32], part: f64) -> std::result::Result<Vec<f32>, JsValue> {
        self.faded(field, part.clamp(0.0, 1.0)).map_err(thrown)
    }

    /// What the observer sees of a field `[nx, ny]`, and what every network makes of that: an object with
    /// observation and predictions.
    ///
    /// # Errors
    /// Of the kind "usage" for a field of another size, of the kind "device" where the device is lost.
    pub async fn predict(&mut self, field: Vec<f32>) -> std::result::Result<Object, JsValue> {
        let observation = self.observed(&self.operator, &field).map_err(thrown)?;
        let (found, predictions) = (Object::new(), Object::new());
        // As `unheat reconstruct` does: the networks see it at the scale of their training.
        let wide: Vec<f64> = observation.iter().map(|&v| f64::from(v)).collect();
        let at_scale = AtScale::new(Some(&self.trained_for), &wide, wide.len());
        let seen = at_scale.as_ref().map_or(wide.clone(), |at_scale| at_scale.seen(&wide));
        let seen: Vec<f32> = seen.into_iter().map(|v| v as f32).collect();
        for training in &mut self.trainings {
            let prediction = training.predict(&seen).await.map_err(thrown)?;
            let mut prediction: Vec<f64> = prediction.into_iter().map(f64::from).collect();
            at_scale.iter().for_each(|at_scale| at_scale.back(&mut prediction));
            let prediction: Vec<f32> = prediction.into_iter().map(|v| v as f32).collect();
            let array = Float32Array::from(prediction.as_slice());
            Reflect::set(&predictions, &training.method.name().into(), &array)?;
        }
        Reflect::set(&found, &"observation".into(), &Float32Array::from(observation.as_slice()))?;
        Reflect::set(&found, &"predictions".into(), &predictions)?;
        Ok(found)
    }

    /// The bytes of `weights.safetensors` of a method.
    ///
    /// # Errors
    /// Of the kind "usage" for a method that is not among them.
    pub async fn weights(&self, method: String) -> std::result::Result<Uint8Array, JsValue> {
        let bytes = self.saved(&method).await.map_err(thrown)?;
        Ok(Uint8Array::from(bytes.as_slice()))
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
        let settings = Settings::read(settings, loaded.as_ref().map(|(net, ..)| &net.config))?;
        let file = loaded.is_some().then_some(name);
        let (start, told) = loaded.map_or((None, None), |(_, state, told)| (Some(state), told));
        let mut experiment = Self::build(device, settings, file, start, canvases)?;
        let now = &experiment.trained_for;
        let differs = |told: &TrainedFor| {
            (&told.amount, &told.operator, told.noise) != (&now.amount, &now.operator, now.noise)
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
        let spec = |method| TrainConfig { method, ..config.clone() }.spec();
        let gpu = device.gpu.as_ref().map(|open| &open.gpu);
        let purpose = if gpu.is_some() { Purpose::Fields } else { Purpose::Training(config.activations) };
        let cells = config.size.nx * config.size.ny;
        let first: StepSpec = spec(settings.methods[0])?;
        let samples = if gpu.is_some() { config.batch } else { first.samples_at_once };
        check_shared(&first.net, cells, samples, purpose, settings.methods.len())?;
        let mut trainings = Vec::new();
        for &method in &settings.methods {
            let spec: StepSpec = spec(method)?;
            let start = start.clone().unwrap_or_else(|| State::new(&spec.net, config.seed));
            trainings.push(Training::new(method, gpu, spec, &start)?);
        }
        let operator = trainings[0].spec.operator.clone();
        let drawn = Drawn::new(config, &operator);
        let trained_for = TrainedFor::of(&drawn.observed_examples(&operator), &operator, config.noise);
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

    fn shown(&self) -> usize {
        shown(&self.settings.config)
    }

    async fn train(&mut self, steps: u32) -> Result<String> {
        let (first, stops) = (self.step, self.settings.config.on_nan == OnNan::Stop);
        let running = self.trainings.iter().filter(|training| training.failed.is_none()).count();
        let last = if running == 0 { first } else { first + u64::from(steps) };
        let start = Instant::now();
        for step in first..last {
            let batch = self.drawn.batch(step);
            for training in self.trainings.iter_mut().filter(|training| training.failed.is_none()) {
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
            for (step, losses) in (first..).zip(losses) {
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
        let seconds_per_step = took / ((last - first).max(1) * running.max(1) as u64) as f64;
        let note = self.note();
        let has_stopped = self.trainings.iter().all(|training| training.failed.is_some());
        let stopped = note.clone().filter(|_| has_stopped);
        let found = json!({ "step": self.step, "rows": rows, "secondsPerStep": seconds_per_step,
            "note": note, "stopped": stopped });
        Ok(found.to_string())
    }

    /// Which methods have stopped, and why.
    fn note(&self) -> Option<String> {
        let failed = self.trainings.iter().filter_map(|t| Some((t.method.title(), t.failed?)));
        let failed: Vec<String> = failed.map(|(method, step)| format!("{method} in step {step}")).collect();
        let what = "a loss or a gradient was not finite. The weights are those of the step before; a smaller \
                    learning rate may help";
        (!failed.is_empty()).then(|| format!("Stopped: {}, where {what}", failed.join(", ")))
    }

    fn observed(&self, operator: &Operator, field: &[f32]) -> Result<Vec<f32>> {
        let (found, wanted) = (field.len(), operator.cells());
        if found != wanted {
            return Err(Error::usage(format!("a field of {found} numbers: it must have {wanted}")));
        }
        if field.iter().any(|value| !value.is_finite()) {
            return Err(Error::usage("a field with a number that is not finite"));
        }
        let field: Vec<f64> = field.iter().map(|&value| f64::from(value)).collect();
        let mut observation = vec![0.0; wanted];
        Physics::<f64>::new(operator).diffuse(&field, &mut observation);
        Ok(observation.into_par_iter().map(|value| value as f32).collect())
    }

    fn faded(&self, field: &[f32], part: f64) -> Result<Vec<f32>> {
        let Operator { nx, ny, .. } = self.operator;
        if let &[Factor::Heat(amounts)] = self.operator.factors() {
            let some = Operator::of(nx, ny, &[Factor::Heat(amounts.map(|amount| part * amount))])?;
            return self.observed(&some, field);
        }
        let observation = self.observed(&self.operator, field)?;
        let mix = |(x, y): (&f32, f32)| x + part as f32 * (y - x);
        Ok(field.iter().zip(observation).map(mix).collect())
    }

    async fn saved(&self, method: &str) -> Result<Vec<u8>> {
        let Some(training) = self.trainings.iter().find(|training| training.method.name() == method) else {
            let names: Vec<&str> = self.trainings.iter().map(|t| t.method.name()).collect();
            return Err(Error::usage(format!("method {method}: there are {}", names.join(", "))));
        };
        let state = training.state().await?;
        weights::to_bytes(Path::new(WEIGHTS), &training.spec.net, &state, Some(&self.trained_for))
    }

    /// Paints canvases with what the engine has computed.
    async fn paint(
        &self,
        contexts: &[(Source, OffscreenCanvasRenderingContext2d)],
    ) -> std::result::Result<(), JsValue> {
        let Size { nx, ny } = self.settings.config.size;
        let (shown, cells) = (self.shown(), nx * ny);
        for (source, context) in contexts {
            let (training, place) = source.place();
            let field = self.trainings[training].field(place).await.map_err(thrown)?;
            let place = |x: usize, sample: usize, y: usize| sample * cells + x * ny + y;
            let lines =
                (0..nx).flat_map(|x| (0..shown).flat_map(move |s| (0..ny).map(move |y| place(x, s, y))));
            let bytes = colours::rgba(lines.map(|at| field[at]));
            let width = (shown * ny) as u32;
            let data = wasm_bindgen::Clamped(bytes.as_slice());
            let image = web_sys::ImageData::new_with_u8_clamped_array_and_sh(data, width, nx as u32)?;
            context.put_image_data(&image, 0.0, 0.0)?;
        }
        Ok(())
    }
}

impl Source {
    /// The number of a training, and that of the field among its truth, observation and prediction.
    fn place(self) -> (usize, usize) {
        match self {
            Self::Truth => (0, 0),
            Self::Observation => (0, 1),
            Self::Prediction(training) => (training, 2),
        }
    }
}

impl Canvases {
    fn new(
        open: Option<&OpenGpu>,
        canvases: &Object,
        trainings: &[Training],
        config: &TrainConfig,
    ) -> Result<Self> {
        let canvas = |name: &str| {
            let found = Reflect::get(canvases, &name.into()).ok()?;
            found.dyn_into::<OffscreenCanvas>().ok()
        };
        let of_methods = trainings.iter().enumerate().map(|(i, t)| (t.method.name(), Source::Prediction(i)));
        let sources = [("truth", Source::Truth), ("observation", Source::Observation)];
        let found: Vec<(Source, OffscreenCanvas)> = sources
            .into_iter()
            .chain(of_methods)
            .filter_map(|(name, source)| Some((source, canvas(name)?)))
            .collect();
        let Size { nx, ny } = config.size;
        let Some(open) = open.filter(|open| open.draws && !found.is_empty()) else {
            if found.is_empty() {
                return Ok(Self::None);
            }
            let context = |(source, canvas): (Source, OffscreenCanvas)| {
                (canvas.set_width((shown(config) * ny) as u32), canvas.set_height(nx as u32));
                let context = canvas.get_context("2d").ok().flatten();
                let context = context.and_then(|context| context.dyn_into().ok());
                let refused = || Error::Device("a canvas has no context to draw with".to_owned());
                Ok((source, context.ok_or_else(refused)?))
            };
            return Ok(Self::Painted(found.into_iter().map(context).collect::<Result<_>>()?));
        };
        let of_source = |(source, canvas): (Source, OffscreenCanvas)| {
            let (training, place) = source.place();
            Some((canvas, trainings[training].on_gpu()?[place]))
        };
        let targets = found.into_iter().filter_map(of_source).collect();
        let (painter, pictures) = Painter::new(open, shown(config), nx, ny, targets)?;
        Ok(Self::OnGpu { painter, pictures })
    }
}

/// Builds on a device, whose browser says afterwards whether it has the memory: then nothing else on it is
/// harmed by what it had not.
async fn in_scopes<T>(device: &Device, build: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(open) = &device.gpu else { return build() };
    let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory]
        .map(|filter| open.gpu.device().push_error_scope(filter));
    let built = build();
    let mut caught = None;
    for scope in scopes.into_iter().rev() {
        let error = scope.pop().await;
        caught = caught.or(error); // the innermost is the cause of the others
    }
    match caught {
        Some(wgpu::Error::OutOfMemory { .. }) => {
            let name = open.gpu.name();
            Err(Error::OutOfMemory(format!("{name} has not enough memory; take a smaller batch or size")))
        }
        Some(error) => {
            let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Err(Error::Device(format!("{}: {line}", open.gpu.name())))
        }
        None => built,
    }
}

/// Fields that a canvas shows: samples of what the engine holds at once.
fn shown(config: &TrainConfig) -> usize {
    config.samples_at_once().min(SHOWN)
}

/// What a network was trained for, in a few words.
fn words(trained_for: &TrainedFor) -> String {
    let TrainedFor { amount, operator, noise, .. } = trained_for;
    let what = match (amount, operator) {
        (Some(amount), _) => format!("an amount of {amount}"),
        (None, Some(operator)) => operator.clone(),
        (None, None) => "another operator".to_owned(),
    };
    format!("{what} and noise {noise}")
}
