//! One training step on the GPU: recorded once, top to bottom like the picture in the README, then replayed.
//!
//! The host never waits inside a step. It uploads the rectangles (or fields) and two scalars, submits, and reads
//! the losses of finished steps from a ring whenever they arrive.

pub mod adam;
pub mod add_gradient;
pub mod data;
pub(crate) mod loss_readback;
pub mod mean_shift;

use crate::gpu::heat::fft::pairs;
use crate::gpu::heat::physics::Physics;
use crate::gpu::runtime::in_flight::InFlight;
use crate::gpu::runtime::memory::MemoryUse;
use crate::gpu::runtime::submission::{Pace, Submission};
use crate::gpu::step::adam::Optimiser;
use crate::gpu::step::add_gradient::add_gradient;
use crate::gpu::step::data::Data;
use crate::gpu::step::loss_readback::Ring;
use crate::gpu::step::mean_shift::MeanShift;
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recorder, Recording, Tensor};
use crate::model::storage::GRADIENT_SCALE;
use crate::model::unet::init::State;
use crate::model::{Adam, Batch, HeatEquation, Losses, Objective, Precision, Snapshot, Storage, Truth, UNet};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Micro-batches submitted but not finished, at most; more would only pile up in the driver.
const IN_FLIGHT: usize = 4;

/// A step's buffers, its recording, and the readbacks under way.
pub struct Step {
    gpu: Arc<Gpu>,
    /// Samples of a micro-batch.
    batch: usize,
    cells: usize,
    network: Network,
    optimiser: Optimiser,
    data: Data,
    fields: Fields,
    kept_params: Tensor,
    kept_running: Tensor,
    rasterise: Recording,
    forward: Recording,
    backward: Recording,
    guard: Recording,
    update: Recording,
    /// Where a step is more than one micro-batch.
    accumulation: Option<Accumulation>,
    pace: Pace,
    /// Steps submitted, which is also the number t of the last update.
    submitted: u64,
    skips: bool,
    in_flight: VecDeque<InFlight>,
    ring: Ring,
}

/// How the gradients of a step's micro-batches become one.
struct Accumulation {
    parts: usize,
    /// The sum of the first ones.
    sum: Tensor,
    /// sum += gradients.
    add: Recording,
    /// gradients += sum, in the last.
    complete: Recording,
}

/// The arrays of a step between network and physics, `[batch, nx, ny]` unless said. Error, signal and energy have
/// the physics' precision, the others 32 bits (SPEC 0).
struct Fields {
    output: Tensor,
    prediction: Tensor,
    error: Tensor,
    signal: Tensor,
    output_gradient: Tensor,
    /// Σ|Â|² `[2·pairs]`.
    energy: Tensor,
    /// `[batch]`.
    x_l2: Tensor,
    /// Loss and y_l2, `[2, batch]`.
    losses: Tensor,
}

impl Fields {
    fn new(gpu: &Gpu, batch: usize, cells: usize, precision: Precision) -> Result<Self> {
        let field = |label| gpu.tensor(label, batch * cells);
        let physical = |label| gpu.tensor_in(label, batch * cells, precision);
        Ok(Self {
            output: field("network output")?,
            prediction: field("prediction")?,
            error: physical("error")?,
            signal: physical("training signal")?,
            output_gradient: field("output gradient")?,
            energy: gpu.tensor_in("residual energy", 2 * pairs(batch), precision)?,
            x_l2: gpu.tensor("x_l2", batch)?,
            losses: gpu.tensor("losses", 2 * batch)?,
        })
    }
}

impl Step {
    /// Allocates and records everything for `batch` samples, starting from `state`. The physics is computed in
    /// `precision`, activations and their gradients are kept in `storage`.
    pub fn new(
        gpu: &Arc<Gpu>,
        net: &UNet,
        heat: &HeatEquation,
        objective: impl Into<Objective>,
        precision: Precision,
        storage: Storage,
        adam: Adam,
        batch: usize,
        state: &State,
    ) -> Result<Self> {
        let objective = objective.into();
        Self::check(gpu, net, heat, precision, storage, batch)?;
        let (nx, ny, cells) = (heat.nx, heat.ny, heat.cells());
        let network = Network::new(gpu, net, storage, batch, nx, ny)?;
        gpu.write(&network.params, &state.params);
        gpu.write(&network.running, &state.buffers);
        let (optimiser, kept_params, kept_running) = gpu.allocate_for(MemoryUse::Parameters, || {
            Ok((
                Optimiser::new(gpu, adam, net.param_count)?,
                gpu.tensor_from("kept parameters", &state.params)?,
                gpu.tensor_from("kept running statistics", &state.buffers)?,
            ))
        })?;
        let (data, physics, f) = gpu.allocate_for(MemoryUse::Physics, || {
            Ok((
                Data::new(gpu, heat, batch, precision, objective.noise > 0.0)?,
                Physics::new(gpu, heat, batch, precision)?,
                Fields::new(gpu, batch, cells, precision)?,
            ))
        })?;

        // rectangles -> field x*
        let mut record = Recorder::new(gpu);
        data.rasterise(&mut record)?;
        let rasterise = record.finish();

        // x* -> FFT -> diffusion -> observation y* -> U-Net -> prediction x
        let mut record = Recorder::new(gpu);
        data.diffuse(&mut record)?;
        record.label("network");
        network.forward(&mut record, &data.input, &f.output)?;
        let shift = MeanShift {
            output: &f.output,
            truth: &data.truth,
            prediction: &f.prediction,
            error: &f.error,
            x_l2: &f.x_l2,
        };
        record.label("mean shift");
        shift.record(&mut record, batch, cells)?;

        let forward = record.finish();

        // x* - x -> FFT -> SIP step or GD gradient -> inverse FFT -> dL/dx
        let mut record = Recorder::new(gpu);
        record.label("training signal");
        let noise = data.noise.as_ref();
        gpu.allocate_for(MemoryUse::Physics, || {
            physics.training_signal(&mut record, &objective, &f.error, noise, &f.energy, &f.signal)
        })?;

        // dL/dx -> U-Net backward
        record.label("mean shift");
        mean_shift::backward(
            &mut record,
            objective.method,
            &f.signal,
            &f.energy,
            &f.output_gradient,
            &f.losses,
            batch,
            cells,
        )?;
        record.label("network");
        network.backward(&mut record, &data.input, &f.output_gradient)?;
        let backward = record.finish();

        // gradients -> Adam, unless a loss, a gradient or a statistic is not finite
        let mut record = Recorder::new(gpu);
        record.label("guard");
        optimiser.guard(&mut record, &f.losses, &f.x_l2, &network.gradients, &network.running)?;
        let guard = record.finish();

        let mut record = Recorder::new(gpu);
        record.label("guard");
        let current = [&network.params, &network.running];
        optimiser.keep(&mut record, current, [&kept_params, &kept_running])?;
        record.label("adam");
        optimiser.update(&mut record, &network.gradients, &network.params)?;
        let update = record.finish();

        let ring = Ring::new(gpu, batch, 1)?;
        Ok(Self {
            gpu: gpu.clone(),
            batch,
            cells,
            network,
            optimiser,
            data,
            fields: f,
            kept_params,
            kept_running,
            rasterise,
            forward,
            backward,
            guard,
            update,
            accumulation: None,
            pace: Pace::default(),
            submitted: 0,
            skips: false,
            in_flight: VecDeque::new(),
            ring,
        })
    }

    /// Refuses what the device cannot do, before anything is built.
    pub fn check(
        gpu: &Gpu,
        net: &UNet,
        heat: &HeatEquation,
        precision: Precision,
        storage: Storage,
        batch: usize,
    ) -> Result<()> {
        if !gpu.stores_in(storage) {
            return Err(Error::usage(format!(
                "activations f16: {} has no 16-bit floats in shaders; use --activations f32",
                gpu.name()
            )));
        }
        if !gpu.computes_in(precision) {
            return Err(Error::usage(format!(
                "physics f64: {} has no 64-bit floats in shaders; use --physics f32, whose Fourier form is as \
                 accurate for training (docs/numerics.md), or --device cpu",
                gpu.name()
            )));
        }
        Network::check_batch(gpu, net, storage, batch, heat.nx, heat.ny)
    }

    /// From here on, a step whose losses, gradients or statistics are not finite is left out, and the next one counts
    /// again. Else the first such step is the last that changes anything.
    pub fn skip_bad_steps(&mut self) {
        self.skips = true;
    }

    /// From here on a step is `parts` micro-batches of the batch that this was built for: each is normalised by itself,
    /// and their gradients are added up, in order, before the update. For a step that has not run yet.
    pub fn accumulate(&mut self, parts: usize) -> Result<()> {
        if parts == 1 {
            return Ok(());
        }
        let (gpu, gradients) = (&*self.gpu, &self.network.gradients);
        let sum = gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor("gradient sum", gradients.len()))?;
        let record = |share: &Tensor, total: &Tensor| {
            let mut record = Recorder::new(gpu);
            record.label("micro-batches");
            add_gradient(&mut record, share, total, total.len())?;
            Ok::<_, Error>(record.finish())
        };
        let (add, complete) = (record(gradients, &sum)?, record(&sum, gradients)?);
        self.ring = Ring::new(gpu, self.batch, parts)?;
        self.accumulation = Some(Accumulation { parts, sum, add, complete });
        Ok(())
    }

    /// From here on no submission is meant to keep the device busy for longer than this, as far as whole dispatches
    /// allow: drivers take a device for hung after some seconds, and a desktop on it stands still meanwhile. The device's
    /// speed is measured in the second step from here; until it is known, every dispatch is a submission of its own.
    pub fn limit_submissions(&mut self, longest: Duration) {
        self.pace = Pace::measured(longest);
    }

    /// The kernel, layer and estimated time of the longest dispatch, when the limit of [`Step::limit_submissions`] turns out
    /// to be shorter than that; told once.
    pub fn too_long(&mut self) -> Option<(String, Duration)> {
        let (limit, time) = self.pace.take_measurement()?;
        let dispatches = self.recordings().into_iter().flat_map(|(_, part)| part.describe());
        let slowest = dispatches.max_by_key(|dispatch| time(dispatch.work))?;
        let time = time(slowest.work);
        (time > limit).then(|| (format!("{} of {}", slowest.kernel, slowest.label), time))
    }

    /// Micro-batches per step.
    fn micro_batches(&self) -> usize {
        self.accumulation.as_ref().map_or(1, |accumulation| accumulation.parts)
    }

    /// Submissions so far, those of readbacks not counted.
    pub fn submissions(&self) -> u64 {
        self.pace.submissions()
    }

    /// Dispatches per step, or per micro-batch with all that its first and last do.
    pub fn dispatches(&self) -> usize {
        self.recordings().iter().map(|(_, part)| part.len()).sum()
    }

    /// What a step runs, in order and by name; of a step of several micro-batches what the only one would.
    pub fn recordings(&self) -> [(&'static str, &Recording); 5] {
        [
            ("data", &self.rasterise),
            ("forward", &self.forward),
            ("backward", &self.backward),
            ("update", &self.guard),
            ("update", &self.update),
        ]
    }

    /// Returns once few enough micro-batches are in flight for another one.
    pub async fn make_room(&mut self) -> Result<()> {
        let most = if self.pace.is_measuring() { 1 } else { IN_FLIGHT };
        if self.in_flight.len() >= most
            && let Some(oldest) = self.in_flight.pop_front()
        {
            self.gpu.has_run(oldest).await?;
        }
        Ok(())
    }

    /// Submits one step, when there is room.
    pub async fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.submitted += 1;
        self.optimiser.schedule(&self.gpu, self.submitted);
        let parts = self.micro_batches();
        for (i, part) in batch.parts(parts, self.cells).iter().enumerate() {
            self.make_room().await?;
            self.submit_part(part, i == 0, i + 1 == parts)?;
        }
        if self.ring.is_full() {
            self.request_losses()?;
        }
        Ok(())
    }

    /// Submits one micro-batch, which may be the step's first or last.
    fn submit_part(&mut self, part: &Batch, first: bool, last: bool) -> Result<()> {
        self.data.upload(&self.gpu, part)?;
        let mut work = Submission::new(&self.gpu, &mut self.pace);
        if self.skips && first {
            work.encoder.clear_buffer(&self.optimiser.frozen().buffer, 0, None);
        }
        if matches!(part.truth, Truth::Rectangles(_)) {
            work.run(&self.rasterise);
        }
        work.run(&self.forward);
        work.run(&self.backward);
        if let Some(Accumulation { sum, add, complete, .. }) = &self.accumulation {
            match (first, last) {
                (true, _) => {
                    let gradients = &self.network.gradients;
                    work.encoder.copy_buffer_to_buffer(&gradients.buffer, 0, &sum.buffer, 0, sum.bytes());
                }
                (false, false) => work.run(add),
                (false, true) => work.run(complete),
            }
        }
        work.run(&self.guard);
        if last {
            work.run(&self.update);
        }
        let losses = [&self.fields.losses, &self.fields.x_l2, self.optimiser.frozen()];
        self.ring.push(&mut work.encoder, losses);
        self.in_flight.push_back(work.submit());
        Ok(())
    }

    /// Starts the readback of all losses submitted since the last one.
    pub fn request_losses(&mut self) -> Result<()> {
        self.ring.flush(&self.gpu)
    }

    /// The losses that have arrived, in step order; with `wait`, those of every requested step.
    pub async fn losses(&mut self, wait: bool) -> Result<Vec<Losses>> {
        if wait {
            self.gpu.finished().await?;
            self.in_flight.clear();
        } else {
            self.gpu.poll(wgpu::PollType::Poll)?;
        }
        self.ring.arrived(&self.gpu)
    }

    /// The flat parameters and running statistics.
    pub async fn weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.gpu.fetch(&self.network.params).await?, self.gpu.fetch(&self.network.running).await?))
    }

    /// Parameters and running statistics of the last step whose loss was finite.
    pub async fn kept_weights(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.gpu.fetch(&self.kept_params).await?, self.gpu.fetch(&self.kept_running).await?))
    }

    /// What the next step depends on. The caller knows how many batches the statistics have seen.
    pub async fn snapshot(&self, batches_tracked: i64) -> Result<Snapshot> {
        let (params, buffers) = self.weights().await?;
        Ok(Snapshot {
            state: State { params, buffers, batches_tracked },
            first_moments: self.gpu.fetch(&self.optimiser.m).await?,
            second_moments: self.gpu.fetch(&self.optimiser.v).await?,
            updates: self.submitted,
            kept_params: self.gpu.fetch(&self.kept_params).await?,
        })
    }

    /// Goes on from `snapshot`, taken of a network of the same architecture.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, first_moments, second_moments, updates, kept_params } = snapshot;
        for (tensor, values) in [
            (&self.network.params, &state.params),
            (&self.network.running, &state.buffers),
            (&self.optimiser.m, first_moments),
            (&self.optimiser.v, second_moments),
            (&self.kept_params, kept_params),
            (&self.kept_running, &state.buffers), // every step keeps the statistics that it leaves
        ] {
            self.gpu.write(tensor, values);
        }
        self.submitted = *updates;
    }

    /// The flat gradients of the last step.
    pub async fn gradients(&self) -> Result<Vec<f32>> {
        self.gpu.fetch(&self.network.gradients).await
    }

    /// The stored gradients of activations of the last step, by name, without their scale.
    pub async fn stored_gradients(&self) -> Result<Vec<(String, Vec<f64>)>> {
        let mut all = Vec::new();
        for tensor in self.network.stored_gradients() {
            let scale = match tensor.storage() {
                Storage::F32 => 1.0,
                Storage::F16 => f64::from(GRADIENT_SCALE),
            };
            let values = self.gpu.fetch_f64(tensor).await?;
            all.push((tensor.label().to_owned(), values.into_iter().map(|g| g / scale).collect()));
        }
        Ok(all)
    }

    /// Runs the forward part and returns truth, observation and prediction, all `[batch, nx, ny]`. The running
    /// statistics see this batch too, as in the reference system; parameters do not change.
    pub async fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        let mut all = [const { Vec::new() }; 3];
        for part in batch.parts(self.micro_batches(), self.cells) {
            self.data.upload(&self.gpu, &part)?;
            let mut work = Submission::new(&self.gpu, &mut self.pace);
            if matches!(part.truth, Truth::Rectangles(_)) {
                work.run(&self.rasterise);
            }
            work.run(&self.forward);
            work.submit();
            let truth = self.gpu.fetch_f64(&self.data.truth).await?.into_iter().map(|v| v as f32).collect();
            let input = self.gpu.fetch(&self.data.input).await?;
            let fields = [truth, input, self.gpu.fetch(&self.fields.prediction).await?];
            all.iter_mut().zip(fields).for_each(|(all, part)| all.extend(part));
        }
        Ok(all)
    }
}
