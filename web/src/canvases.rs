//! The canvases of an experiment: what each shows, and who draws it.

use crate::colours;
use crate::device::OpenGpu;
use crate::failure::thrown;
use crate::pictures::{Painter, Picture};
use crate::training::Training;
use js_sys::{Object, Reflect};
use unheat::train::config::size::Size;
use unheat::{Error, Result, TrainConfig};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{OffscreenCanvas, OffscreenCanvasRenderingContext2d};

/// Fields that a canvas shows side by side, at most.
const SHOWN: usize = 4;

/// What shows the fields of the last step.
pub(crate) enum Canvases {
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
pub(crate) enum Source {
    Truth,
    Observation,
    /// The prediction of the training of this number.
    Prediction(usize),
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
    /// Those among `canvases` that are called truth, observation or like a method.
    ///
    /// # Errors
    /// [`Error::Device`] where a canvas refuses.
    pub(crate) fn new(
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

    /// Draws the fields of the last step of these trainings.
    pub(crate) async fn draw(
        &self,
        trainings: &[Training],
        config: &TrainConfig,
    ) -> std::result::Result<(), JsValue> {
        match self {
            Self::None => Ok(()),
            Self::OnGpu { painter, pictures } => {
                painter.draw(pictures);
                Ok(())
            }
            Self::Painted(contexts) => Self::paint(contexts, trainings, config).await,
        }
    }

    /// Paints canvases with what the engine has computed.
    async fn paint(
        contexts: &[(Source, OffscreenCanvasRenderingContext2d)],
        trainings: &[Training],
        config: &TrainConfig,
    ) -> std::result::Result<(), JsValue> {
        let Size { nx, ny } = config.size;
        let (shown, cells) = (shown(config), nx * ny);
        let mut fields = Vec::new();
        for training in trainings {
            fields.push(training.fields().await.map_err(thrown)?);
        }
        for (source, context) in contexts {
            let (training, place) = source.place();
            let field = &fields[training][place];
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

/// Fields that a canvas shows: samples of what the engine holds at once.
pub(crate) fn shown(config: &TrainConfig) -> usize {
    config.samples_at_once().min(SHOWN)
}
