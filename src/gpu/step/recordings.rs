//! The dispatches of a step, recorded once, top to bottom like the picture in the README.

use crate::gpu::nn::add_gradient::add_gradient;
use crate::gpu::runtime::memory::MemoryUse;
use crate::gpu::runtime::submission::Submission;
use crate::gpu::step::arrays::{Arrays, Fields, Lane};
use crate::gpu::step::mean_shift::{self, MeanShift};
use crate::gpu::unet::network::Network;
use crate::gpu::unet::together::{Pass, Segment, Segments, Together};
use crate::gpu::{Gpu, Recorder, Recording, Tensor};
use crate::model::unet::NORM_MOMENTUM;
use crate::model::{StepSpec, Truth};
use crate::{Error, Result};

/// What a micro-batch runs, in this order, or several that are normalised together; a step packs the weights
/// and runs the update once.
pub(super) struct Recordings {
    pub(super) rasterise: Recording,
    pub(super) pack: Recording,
    pub(super) forward: Vec<Segment>,
    pub(super) backward: Vec<Segment>,
    pub(super) guard: Recording,
    /// The guard of a micro-batch whose statistics are in the running ones already.
    pub(super) check: Recording,
    pub(super) update: Recording,
}

impl Recordings {
    pub(super) fn new(gpu: &Gpu, spec: &StepSpec, arrays: &Arrays) -> Result<Self> {
        let record = |part: &dyn Fn(&mut Recorder) -> Result<()>| {
            let mut recorder = Recorder::new(gpu);
            part(&mut recorder)?;
            Ok::<_, Error>(recorder.finish())
        };
        let segments = |part: fn(&StepSpec, &Arrays, &mut Segments) -> Result<()>| {
            let mut segments = Segments::new(gpu);
            part(spec, arrays, &mut segments)?;
            Ok::<_, Error>(segments.finish())
        };
        Ok(Self {
            rasterise: record(&|record| {
                arrays.lanes.iter().try_for_each(|lane| lane.data.rasterise(record))
            })?,
            pack: record(&|record| arrays.first().network.pack(record))?,
            forward: segments(forward)?,
            backward: segments(backward)?,
            guard: record(&|record| guard(arrays, NORM_MOMENTUM, record))?,
            check: record(&|record| guard(arrays, 0.0, record))?,
            update: record(&|record| update(arrays, record))?,
        })
    }

    /// Runs what computes micro-batches whose data are there, all of a step that are normalised together;
    /// before the step's first one the weights are packed.
    pub(super) fn compute(&self, work: &mut Submission, truth: &Truth, is_first: bool) {
        self.begin(work, truth, is_first);
        self.forward.iter().chain(&self.backward).for_each(|segment| work.run(&segment.recording));
    }

    pub(super) fn segments(&self, pass: Pass) -> &[Segment] {
        match pass {
            Pass::Forward => &self.forward,
            Pass::Backward => &self.backward,
        }
    }

    /// Runs what comes before the forward pass.
    pub(super) fn begin(&self, work: &mut Submission, truth: &Truth, is_first: bool) {
        if matches!(truth, Truth::Rectangles(_)) {
            work.run(&self.rasterise); // rectangles -> field x*
        }
        if is_first {
            work.run(&self.pack);
        }
    }
}

/// x* -> FFT -> diffusion -> observation y* -> U-Net -> prediction x.
fn forward(spec: &StepSpec, arrays: &Arrays, segments: &mut Segments) -> Result<()> {
    arrays.lanes.iter().try_for_each(|lane| lane.data.diffuse(&mut segments.recorder))?;
    segments.recorder.label("network");
    let inputs = arrays.lanes.iter().map(|lane| &lane.data.input);
    let outputs = arrays.lanes.iter().map(|lane| &lane.fields.output);
    match together(arrays) {
        None => {
            let Lane { network, data, fields } = arrays.first();
            network.forward(&mut segments.recorder, &data.input, &fields.output)?;
        }
        Some(all) => all.forward(segments, &inputs.collect::<Vec<_>>(), &outputs.collect::<Vec<_>>())?,
    }
    let record = &mut segments.recorder;
    record.label("mean shift");
    arrays.lanes.iter().try_for_each(|Lane { data, fields, .. }| {
        let shift = MeanShift {
            output: &fields.output,
            truth: &data.truth,
            prediction: &fields.prediction,
            error: &fields.error,
            x_l2: &fields.x_l2,
        };
        shift.record(record, spec.samples_at_once, spec.operator.cells())
    })
}

/// x* - x -> FFT -> SIP step or GD gradient -> inverse FFT -> dL/dx -> U-Net backward.
fn backward(spec: &StepSpec, arrays: &Arrays, segments: &mut Segments) -> Result<()> {
    let Arrays { lanes, physics, .. } = arrays;
    for Lane { data, fields, .. } in lanes {
        let record = &mut segments.recorder;
        record.label("training signal");
        let noise = data.noise.as_ref();
        let Fields { error, energy, signal, .. } = fields;
        record.gpu.allocate_for(MemoryUse::Physics, || {
            physics.training_signal(record, &spec.objective, error, noise, energy, signal)
        })?;
        record.label("mean shift");
        mean_shift::backward(
            record,
            spec.objective.method,
            signal,
            energy,
            &fields.output_gradient,
            &fields.losses,
            spec.samples_at_once,
            spec.operator.cells(),
        )?;
    }
    segments.recorder.label("network");
    let inputs = lanes.iter().map(|lane| &lane.data.input);
    let gradients = lanes.iter().map(|lane| &lane.fields.output_gradient);
    match together(arrays) {
        None => {
            let Lane { network, data, fields } = arrays.first();
            network.backward(&mut segments.recorder, &data.input, &fields.output_gradient)
        }
        Some(all) => all.backward(segments, &inputs.collect::<Vec<_>>(), &gradients.collect::<Vec<_>>()),
    }
}

/// The networks that are normalised together, if they are.
fn together(arrays: &Arrays) -> Option<Together<'_>> {
    let networks = arrays.lanes.iter().map(|lane| &lane.network).collect();
    arrays.merged.as_ref().map(|merged| Together { networks, merged })
}

/// The statistics of a micro-batch -> running ones; whether its losses, gradients and statistics are finite.
fn guard(arrays: &Arrays, momentum: f64, record: &mut Recorder) -> Result<()> {
    let Lane { network, fields, .. } = arrays.first();
    record.label("guard");
    let Network { gradients, batch_statistics, running, .. } = network;
    let (losses, x_l2) = (&fields.losses, &fields.x_l2);
    arrays.guard.take_over(record, momentum, losses, x_l2, gradients, batch_statistics, running)
}

/// Gradients -> Adam, unless the guard has found a number that is not finite.
fn update(arrays: &Arrays, record: &mut Recorder) -> Result<()> {
    let Arrays { optimiser, guard, .. } = arrays;
    let network = &arrays.first().network;
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
