//! One interface over both engines: submit steps, collect their losses, fetch weights.

use crate::Result;
use crate::engine::device::Device;
use crate::engine::engines;
use crate::engine::ranks::Group;
use crate::engine::ranks::data_parallel::DataParallel;
use crate::engine::training::Engine;
use crate::gpu;
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Snapshot, StepSpec};
use std::rc::Rc;
use std::time::Duration;

/// A network in training, on a GPU or on the CPU, with the count of the batches that its statistics have
/// seen.
pub struct Trainer {
    engine: Box<dyn Engine>,
    /// Batches in the running statistics, for `num_batches_tracked`.
    batches: i64,
    /// Those in the last good ones.
    last_good_batches: i64,
    /// Those that a step adds: micro-batches, or all of them together.
    batches_per_step: i64,
    /// Whether bad steps are left out, rather than the last.
    skips: bool,
}

impl Trainer {
    /// Builds the engine for steps as `spec` says, starting from `start`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) where 64-bit physics or 16-bit activations are asked
    /// of what has no such floats, [`Error::BatchTooLarge`](crate::Error::BatchTooLarge) where the
    /// micro-batch does not fit and a smaller one does, [`Error::Usage`](crate::Error::Usage) and
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) where none does.
    pub fn new(device: &Device, spec: &StepSpec, start: &State) -> Result<Self> {
        Ok(Self::of(engines::new(device, spec, start)?, spec, start))
    }

    /// As [`Trainer::new`], for the first of several processes that share the steps. `settings` are those by
    /// which the others make their engines.
    ///
    /// # Errors
    /// As there, and [`Error::Device`](crate::Error::Device) where another process cannot make its engine.
    pub fn shared(
        device: &Device,
        spec: &StepSpec,
        start: &State,
        settings: &str,
        group: &Rc<dyn Group>,
    ) -> Result<Self> {
        let engine = DataParallel::new(device, spec, start, settings, group.clone())?;
        Ok(Self::of(Box::new(engine), spec, start))
    }

    fn of(engine: Box<dyn Engine>, spec: &StepSpec, start: &State) -> Self {
        Self {
            engine,
            batches: start.batches_tracked,
            last_good_batches: start.batches_tracked,
            batches_per_step: if spec.together.is_some() { 1 } else { spec.micro_batches as i64 },
            skips: spec.skip_bad_steps,
        }
    }

    /// Refuses what [`Trainer::new`] would refuse before it builds anything.
    pub fn check(device: &Device, spec: &StepSpec) -> Result<()> {
        engines::check(device, spec)
    }

    /// Starts a step. On the GPU it runs in the background; on the CPU it has run on return.
    ///
    /// A step whose losses or gradients are not finite changes nothing, and unless it is to be skipped, no
    /// further one does.
    pub fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.batches += self.batches_per_step;
        self.engine.submit(batch)
    }

    /// Waits until the next [`Trainer::submit`] will not have to wait for earlier steps.
    pub fn make_room(&mut self) -> Result<()> {
        self.engine.make_room()
    }

    /// The longest dispatch and its estimated time, when it turns out to take longer than
    /// [`StepSpec::longest_submission`]; told once.
    pub fn too_long(&mut self) -> Option<(String, Duration)> {
        self.engine.too_long()
    }

    /// The step on the GPU, for looking into it; none on the CPU.
    pub fn gpu_step(&self) -> Option<&gpu::Step> {
        self.engine.gpu_step()
    }

    /// Seconds that the last step took on the CPU: making the data, forward, backward, update. None on a GPU.
    pub fn cpu_seconds(&self) -> Option<[f64; 4]> {
        self.engine.cpu_seconds()
    }

    /// The losses of finished steps that have not been collected yet, in step order. With `all`, waits for
    /// every submitted step.
    pub fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        let losses = self.engine.losses(all)?;
        let good = losses.iter().filter(|losses| losses.is_finite()).count();
        self.last_good_batches += good as i64 * self.batches_per_step;
        if self.skips {
            self.batches -= (losses.len() - good) as i64 * self.batches_per_step;
        }
        Ok(losses)
    }

    /// Asks for the losses of all submitted steps without waiting for them.
    pub fn request_losses(&mut self) -> Result<()> {
        self.engine.request_losses()
    }

    /// Weights and running statistics after the last step.
    pub fn state(&self) -> Result<State> {
        let (params, buffers) = self.engine.weights()?;
        Ok(State { params, buffers, batches_tracked: self.batches })
    }

    /// Everything that the next step depends on, after the last one. Meant for between two finite or skipped
    /// steps, once all losses are collected.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.engine.snapshot(self.batches)
    }

    /// Goes on from a snapshot of the same architecture, bit for bit as the engine would have that it was
    /// taken of, on the same device. For an engine that has made no step yet.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.batches = snapshot.state.batches_tracked;
        self.last_good_batches = self.batches;
        self.engine.restore(snapshot);
    }

    /// Flat parameter gradients of the last step.
    pub fn gradients(&self) -> Result<Vec<f32>> {
        self.engine.gradients()
    }

    /// Weights and running statistics of the last step whose losses and gradients were finite, once all
    /// losses are collected.
    pub fn last_good_state(&self) -> Result<State> {
        let (params, buffers) = self.engine.last_good_weights()?;
        Ok(State { params, buffers, batches_tracked: self.last_good_batches })
    }

    /// Truth, observation and prediction for a batch, each `[batch, nx, ny]`. Updates the running statistics,
    /// as every forward pass of the reference system does.
    pub fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.batches += self.batches_per_step;
        self.engine.predict(batch)
    }
}
