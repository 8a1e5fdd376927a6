//! The dispatches of a step, recorded once, top to bottom like the picture in the README.

use crate::gpu::nn::add_gradient::add_gradient;
use crate::gpu::runtime::memory::MemoryUse;
use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::arrays::Arrays;
use crate::gpu::step::mean_shift::{self, MeanShift};
use crate::gpu::unet::network::Network;
use crate::gpu::{Gpu, Recorder, Recording, Tensor};
use crate::model::{Batch, StepSpec, Truth};
use crate::{Error, Result};

/// What a micro-batch runs, in this order; a step packs the weights and runs the update once.
pub(super) struct Recordings {
    pub(super) rasterise: Recording,
    pub(super) pack: Recording,
    pub(super) forward: Recording,
    pub(super) backward: Recording,
    pub(super) guard: Recording,
    pub(super) update: Recording,
}

impl Recordings {
    pub(super) fn new(gpu: &Gpu, spec: &StepSpec, arrays: &Arrays) -> Result<Self> {
        let record = |part: fn(&StepSpec, &Arrays, &mut Recorder) -> Result<()>| {
            let mut recorder = Recorder::new(gpu);
            part(spec, arrays, &mut recorder)?;
            Ok::<_, Error>(recorder.finish())
        };
        Ok(Self {
            rasterise: record(rasterise)?,
            pack: record(|_, arrays, record| arrays.network.pack(record))?,
            forward: record(forward)?,
            backward: record(backward)?,
            guard: record(guard)?,
            update: record(update)?,
        })
    }
}

impl Recordings {
    /// Runs what computes a micro-batch whose data are there; before the step's first one the weights are
    /// packed.
    pub(super) fn compute(&self, work: &mut Submission, part: &Batch, is_first: bool) {
        if matches!(part.truth, Truth::Rectangles(_)) {
            work.run(&self.rasterise);
        }
        if is_first {
            work.run(&self.pack);
        }
        work.run(&self.forward);
        work.run(&self.backward);
    }
}

/// Rectangles -> field x*.
fn rasterise(_: &StepSpec, arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    arrays.data.rasterise(record)
}

/// x* -> FFT -> diffusion -> observation y* -> U-Net -> prediction x.
fn forward(spec: &StepSpec, arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    let Arrays { network, data, fields, .. } = arrays;
    data.diffuse(record)?;
    record.label("network");
    network.forward(record, &data.input, &fields.output)?;
    let shift = MeanShift {
        output: &fields.output,
        truth: &data.truth,
        prediction: &fields.prediction,
        error: &fields.error,
        x_l2: &fields.x_l2,
    };
    record.label("mean shift");
    shift.record(record, spec.samples_at_once, spec.operator.cells())
}

/// x* - x -> FFT -> SIP step or GD gradient -> inverse FFT -> dL/dx -> U-Net backward.
fn backward(spec: &StepSpec, arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    let Arrays { network, data, physics, fields, .. } = arrays;
    record.label("training signal");
    let noise = data.noise.as_ref();
    record.gpu.allocate_for(MemoryUse::Physics, || {
        physics.training_signal(record, &spec.objective, &fields.error, noise, &fields.energy, &fields.signal)
    })?;
    record.label("mean shift");
    mean_shift::backward(
        record,
        spec.objective.method,
        &fields.signal,
        &fields.energy,
        &fields.output_gradient,
        &fields.losses,
        spec.samples_at_once,
        spec.operator.cells(),
    )?;
    record.label("network");
    network.backward(record, &data.input, &fields.output_gradient)
}

/// The statistics of a micro-batch -> running ones; whether its losses, gradients and statistics are finite.
fn guard(_: &StepSpec, arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    let Arrays { network, guard, fields, .. } = arrays;
    record.label("guard");
    let Network { gradients, batch_statistics, running, .. } = network;
    guard.take_over(record, &fields.losses, &fields.x_l2, gradients, batch_statistics, running)
}

/// Gradients -> Adam, unless the guard has found a number that is not finite.
fn update(_: &StepSpec, arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    let Arrays { network, optimiser, guard, .. } = arrays;
    record.label("guard");
    guard.keep_last_good(record, &network.params, &network.running)?;
    record.label("adam");
    optimiser.update(record, &guard.frozen, &network.gradients, &network.params)
}

/// How the gradients of a step's micro-batches become one.
pub(super) struct Accumulation {
    /// The sum of the first ones.
    pub(super) sum: Tensor,
    /// sum += gradients.
    pub(super) add: Recording,
    /// gradients += sum, in the last.
    pub(super) complete: Recording,
}

impl Accumulation {
    /// For parameter gradients in `gradients`.
    pub(super) fn new(gpu: &Gpu, gradients: &Tensor) -> Result<Self> {
        let sum = gpu.allocate_for(MemoryUse::Gradients, || gpu.tensor("gradient sum", gradients.len()))?;
        let record = |share: &Tensor, total: &Tensor| {
            let mut recorder = Recorder::new(gpu);
            recorder.label("micro-batches");
            add_gradient(&mut recorder, share, total, total.len())?;
            Ok::<_, Error>(recorder.finish())
        };
        Ok(Self { add: record(gradients, &sum)?, complete: record(&sum, gradients)?, sum })
    }
}
