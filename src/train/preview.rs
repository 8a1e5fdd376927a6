//! What the network makes of one example, for people who look on while it trains.

use crate::Result;
use crate::cpu::heat::shown::shown;
use crate::engine::device::Device;
use crate::engine::predictor::{Norm, Trained, predict};
use crate::model::unet::init::State;
use crate::model::{Operator, UNet};
use crate::train::config::TrainConfig;
use crate::train::data::HeldOut;
use crate::train::plan::Plan;

/// An example of the run's data and what the network makes of it; fields are `[nx, ny]`.
pub struct Preview<'a> {
    /// x*, where it is known.
    pub truth: Option<&'a [f32]>,
    /// y*.
    pub observation: &'a [f32],
    /// x, by the running statistics.
    pub prediction: Vec<f32>,
    /// Cells along x.
    pub nx: usize,
    /// Cells along y.
    pub ny: usize,
}

/// Holds the example. It has a network of its own: training does not notice it.
pub(crate) struct Previewer {
    device: Device,
    net: UNet,
    operator: Operator,
    truth: Option<Vec<f32>>,
    observation: Vec<f32>,
    /// What the network is shown of it.
    shown: Vec<f32>,
}

impl Previewer {
    pub(crate) fn new(config: &TrainConfig, plan: &mut Plan, device: &Device) -> Result<Self> {
        let Operator { nx, ny, .. } = plan.step.operator;
        let examples = HeldOut::of(plan.data.examples(), nx, ny)?;
        let mut observation = examples.observation(&plan.step.operator);
        observation.truncate(nx * ny);
        // Where only observations are known, what stands in for x* is of no interest.
        let truth = config.observations.is_none().then(|| {
            let values = examples.truth[..nx * ny].iter();
            values.map(|&v| v as f32).collect()
        });
        Ok(Self {
            device: device.clone(),
            net: plan.step.net.clone(),
            operator: plan.step.operator.clone(),
            shown: shown(&plan.step.operator, plan.step.tikhonov, &observation),
            truth,
            observation,
        })
    }

    /// The example as the network in this state sees it.
    pub(crate) fn look(&self, state: &State) -> Result<Preview<'_>> {
        let Operator { nx, ny, .. } = self.operator;
        let trained = Trained { net: &self.net, state, norm: Norm::Running };
        let prediction = predict(&self.device, trained, 1, &self.shown, nx, ny)?;
        Ok(Preview { truth: self.truth.as_deref(), observation: &self.observation, prediction, nx, ny })
    }
}
