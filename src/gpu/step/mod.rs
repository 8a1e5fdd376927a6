//! One training step on the GPU: recorded once, top to bottom like the picture in the README, then replayed.
//!
//! The host never waits inside a step. It uploads the rectangles (or fields) and two scalars, submits, and
//! reads the losses of finished steps from a ring whenever they arrive.

pub mod adam;
mod arrays;
pub mod data;
pub mod guard;
pub(crate) mod loss_readback;
pub mod mean_shift;
mod recordings;
mod share;
mod state;
mod together;

use crate::error::Feature;
use crate::gpu::runtime::submission::InFlight;
use crate::gpu::runtime::submission::{Pace, Submission};
use crate::gpu::step::arrays::{Arrays, Lane};
use crate::gpu::step::loss_readback::LossReadback;
use crate::gpu::step::recordings::{Accumulation, Recordings};
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recording, Tensor};
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, StepSpec};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Micro-batches submitted but not finished, at most; more would only pile up in the driver.
const IN_FLIGHT: usize = 4;

/// The same in a browser, where a page may hear a tenth of a second late that one has finished.
const IN_FLIGHT_IN_BROWSER: usize = 64;

/// A step's arrays, its recordings, and the readbacks under way.
pub struct Step {
    gpu: Arc<Gpu>,
    cells: usize,
    micro_batches: usize,
    /// Whether they are normalised together.
    together: bool,
    skips: bool,
    arrays: Arrays,
    recordings: Recordings,
    /// Where a step is more than one micro-batch.
    accumulation: Option<Accumulation>,
    pace: Pace,
    /// Steps submitted, which is also the number t of the last update.
    submitted: u64,
    in_flight: VecDeque<InFlight>,
    readback: LossReadback,
}

impl Step {
    /// Allocates and records everything for steps as `spec` says, starting from `start`.
    ///
    /// # Errors
    /// The errors of [`Step::check`]; [`Error::OutOfMemory`], [`Error::Device`].
    pub fn new(gpu: &Arc<Gpu>, spec: &StepSpec, start: &State) -> Result<Self> {
        Self::check(gpu, spec)?;
        let arrays = Arrays::new(gpu, spec, start)?;
        let recordings = Recordings::new(gpu, spec, &arrays)?;
        let accumulation = match spec.micro_batches {
            1 => None,
            _ => Some(Accumulation::new(gpu, &arrays.first().network.gradients)?),
        };
        Ok(Self {
            gpu: gpu.clone(),
            cells: spec.operator.cells(),
            micro_batches: spec.micro_batches,
            together: spec.together.is_some(),
            skips: spec.skip_bad_steps,
            arrays,
            recordings,
            accumulation,
            pace: spec.longest_submission.map_or(Pace::default(), Pace::measured),
            submitted: 0,
            in_flight: VecDeque::new(),
            readback: LossReadback::new(gpu, spec.samples_at_once, spec.micro_batches)?,
        })
    }

    /// Refuses what the device cannot do, before anything is built.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for 16-bit activations or 64-bit physics where the device has no such floats,
    /// [`Error::BatchTooLarge`] and [`Error::Usage`] for a micro-batch that its buffers cannot hold.
    pub fn check(gpu: &Gpu, spec: &StepSpec) -> Result<()> {
        spec.check_types()?;
        let StepSpec { net, operator, physics, activations, samples_at_once, .. } = spec;
        let lacks = |feature, bits: u32| {
            let why = format!("{} has no {bits}-bit floats in shaders", gpu.name());
            Err(Error::Unsupported { feature, why })
        };
        if !gpu.stores_in(*activations) {
            return lacks(Feature::HalfActivations, 16);
        }
        if !gpu.computes_in(*physics) {
            return lacks(Feature::DoublePhysics, 64);
        }
        Network::check_batch(gpu, net, *activations, *samples_at_once, operator.nx, operator.ny)
    }

    /// The kernel, layer and estimated time of the longest dispatch, when [`StepSpec::longest_submission`]
    /// turns out to be shorter than that; told once.
    pub fn too_long(&mut self) -> Option<(String, Duration)> {
        let (limit, time) = self.pace.take_measurement()?;
        let dispatches = self.recordings().into_iter().flat_map(|(_, part)| part.describe());
        let slowest = dispatches.max_by_key(|dispatch| time(dispatch.work))?;
        let time = time(slowest.work);
        (time > limit).then(|| (format!("{} of {}", slowest.kernel, slowest.label), time))
    }

    /// Submissions so far, those of readbacks not counted.
    pub fn submissions(&self) -> u64 {
        self.pace.submissions()
    }

    /// Dispatches per step, or per micro-batch with all that its first and last do.
    pub fn dispatches(&self) -> usize {
        self.recordings().iter().map(|(_, part)| part.len()).sum()
    }

    /// Truth x*, observation y* and prediction x of the last micro-batch, or of the first of those that are
    /// normalised together, each `[batch, nx, ny]`, while they
    /// are on the device. The first has the precision of the physics.
    pub fn fields(&self) -> [&Tensor; 3] {
        let Lane { data, fields, .. } = self.arrays.first();
        [&data.truth, &data.observation, &fields.prediction]
    }

    /// What a step runs, in order and by name; of a step of several micro-batches what the only one would.
    pub fn recordings(&self) -> Vec<(&'static str, &Recording)> {
        let Recordings { rasterise, pack, forward, backward, guard, update, .. } = &self.recordings;
        let forward = forward.iter().map(|segment| ("forward", &segment.recording));
        let backward = backward.iter().map(|segment| ("backward", &segment.recording));
        let begin = [("data", rasterise), ("forward", pack)].into_iter();
        begin.chain(forward).chain(backward).chain([("update", guard), ("update", update)]).collect()
    }

    /// Returns once few enough micro-batches are in flight for another one.
    pub async fn make_room(&mut self) -> Result<()> {
        let most = match () {
            () if self.pace.is_measuring() => 1,
            () if self.gpu.is_in_browser() => IN_FLIGHT_IN_BROWSER,
            () => IN_FLIGHT,
        };
        if self.in_flight.len() >= most
            && let Some(oldest) = self.in_flight.pop_front()
        {
            self.gpu.has_run(oldest).await?;
        }
        Ok(())
    }

    /// Submits one step, when there is room.
    pub async fn submit(&mut self, batch: &Batch) -> Result<()> {
        let parts = batch.parts(self.micro_batches, self.cells);
        if self.together {
            return self.submit_together(&parts.iter().map(|part| &**part).collect::<Vec<_>>()).await;
        }
        for (i, part) in parts.iter().enumerate() {
            self.make_room().await?;
            let (is_first, is_last) = (i == 0, i + 1 == self.micro_batches);
            self.submit_part(Some(part), is_first, is_last)?;
        }
        Ok(())
    }

    /// Submits one micro-batch, which may be the step's first or last. Without data, what is taken over lies
    /// in the arrays already.
    fn submit_part(&mut self, part: Option<&Batch>, is_first: bool, is_last: bool) -> Result<()> {
        let Self { arrays, recordings, .. } = self;
        let frozen = &arrays.guard.frozen;
        if is_first {
            self.submitted += 1;
            arrays.optimiser.schedule(&self.gpu, self.submitted);
        }
        let Lane { network, data, fields } = arrays.first();
        part.map_or(Ok(()), |part| data.upload(&self.gpu, part))?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        if self.skips && is_first {
            work.encoder.clear_buffer(&frozen.buffer, 0, None);
        }
        if let Some(part) = part {
            recordings.compute(&mut work, &part.truth, is_first);
        }
        if let Some(Accumulation { sum, add, complete }) = &self.accumulation {
            match (is_first, is_last) {
                (true, _) => {
                    let gradients = &network.gradients.buffer;
                    work.encoder.copy_buffer_to_buffer(gradients, 0, &sum.buffer, 0, sum.bytes());
                }
                (false, false) => work.run(add),
                (false, true) => work.run(complete),
            }
        }
        work.run(if is_first || !self.together { &recordings.guard } else { &recordings.check });
        if is_last {
            work.run(&recordings.update);
        }
        self.readback.push(&mut work.encoder, [&fields.losses, &fields.x_l2, frozen]);
        self.in_flight.push_back(work.submit());
        if self.readback.is_full() {
            self.request_losses()?;
        }
        Ok(())
    }

    /// Starts the readback of all losses submitted since the last one.
    pub fn request_losses(&mut self) -> Result<()> {
        self.readback.flush(&self.gpu)
    }

    /// The losses that have arrived, in step order; with `wait`, those of every requested step.
    pub async fn losses(&mut self, wait: bool) -> Result<Vec<Losses>> {
        if wait {
            self.gpu.finished().await?;
            self.in_flight.clear();
        } else {
            self.gpu.poll()?;
        }
        self.readback.arrived(&self.gpu)
    }
}
