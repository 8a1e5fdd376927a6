//! One training step on the CPU, top to bottom like the picture in the README. The network computes in N, the
//! physics in P; the reference system has N = f32 and P = f64 (method §0). The training signal has its
//! Fourier form in both precisions: in 64 bits it equals the literal one (method §3b).

pub mod adam;
mod data;
mod guard;
pub mod mean_shift;
mod state;

use crate::cpu::heat::physics::Physics;
use crate::cpu::nn::batch_norm;
use crate::cpu::passes::Passes;
use crate::cpu::real::convert;
use crate::cpu::reduce::sum;
use crate::cpu::step::adam::adam;
use crate::cpu::step::data::Data;
use crate::cpu::step::guard::{Guard, is_finite};
use crate::cpu::step::mean_shift::{mean_shift, mean_shift_backward};
use crate::cpu::unet::together::{Exchange, Together};
use crate::cpu::{Precision, Real};
use crate::error::Feature;
use crate::model::unet::init::State;
use crate::model::{Adam, Batch, DType, Losses, Objective, Operator, StepSpec};
use crate::{Error, Result};
use rayon::prelude::*;

/// The network, the optimiser's state and every array of a step for what is computed at once: a micro-batch,
/// or those that are normalised together.
pub struct Step<N: Precision, P> {
    objective: Objective,
    operator: Operator,
    adam: Adam,
    micro_batches: usize,
    samples: usize,
    /// Micro-batches that are computed at once, where all of a step are normalised together.
    together: Option<usize>,
    guard: Guard<N>,
    data: Data<N, P>,
    physics: Physics<P>,
    network: N::Network,
    error: Vec<P>,
    signal: Vec<P>,
    output: Vec<N>,
    prediction: Vec<N>,
    output_gradient: Vec<N>,
    /// Those of the micro-batches that were computed last, `[micro-batches, parameters]`.
    shares: Vec<N>,
    /// Steps run, which is also the number t of the last update.
    submitted: u64,
    /// Flat parameters.
    pub params: Vec<N>,
    /// Flat gradients of the last step, or of its micro-batches so far.
    pub gradients: Vec<N>,
    /// Adam's first moments.
    m: Vec<N>,
    /// Adam's second moments.
    v: Vec<N>,
    /// Running means and variances.
    running: Vec<N>,
    /// The means and variances of the micro-batches that were normalised last.
    statistics: Vec<N>,
}

/// The parts of a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Making x*.
    Data,
    /// From x* to the prediction.
    Forward,
    /// From the prediction to the parameters' gradients.
    Backward,
    /// The guard and Adam.
    Update,
}

impl<N: Precision, P: Real> Step<N, P> {
    /// Room for steps as `spec` says, starting from `start`. The physics is computed in P whatever the spec's
    /// precision, and everything is stored as it is computed.
    pub fn new(spec: &StepSpec, start: &State) -> Self {
        let StepSpec { net, operator, samples_at_once: samples, .. } = spec;
        let parts = spec.together.unwrap_or(1);
        let batch = parts * samples;
        let len = batch * operator.cells();
        let (fields, values) = (vec![P::zero(); len], vec![N::zero(); len]);
        let zeros = vec![N::zero(); net.param_count];
        let wide = |values: &[f32]| -> Vec<N> { values.iter().map(|&v| N::of(f64::from(v))).collect() };
        let (params, running) = (wide(&start.params), wide(&start.buffers));
        Self {
            objective: spec.objective,
            operator: operator.clone(),
            adam: spec.adam,
            micro_batches: spec.micro_batches,
            samples: *samples,
            together: spec.together,
            guard: Guard::new(spec.skip_bad_steps, &params, &running),
            data: Data::new(spec),
            physics: Physics::new(operator),
            network: N::Network::new(net, batch, operator.nx, operator.ny),
            error: fields.clone(),
            signal: fields,
            output: values.clone(),
            prediction: values.clone(),
            output_gradient: values,
            shares: zeros.repeat(parts),
            submitted: 0,
            gradients: zeros.clone(),
            m: zeros.clone(),
            v: zeros,
            params,
            statistics: running.clone(),
            running,
        }
    }

    /// Runs one step and returns its losses. If a loss, a gradient or a statistic is not finite, it changes
    /// nothing.
    pub fn run(&mut self, batch: &Batch) -> Losses {
        self.run_parts(batch, |_| {})
    }

    /// The same; `done` hears of each part that is done, those before the update once per micro-batch.
    pub fn run_parts(&mut self, batch: &Batch, mut done: impl FnMut(Part)) -> Losses {
        let mut losses = Losses::default();
        if self.together.is_some() {
            let order: Vec<usize> = (0..self.micro_batches).collect();
            losses = self.compute_together(batch, &order, &mut |own| own.to_vec(), &mut done);
            order.iter().for_each(|&i| self.accumulate(i == 0, i));
            done(Part::Backward);
        } else {
            for (i, part) in batch.parts(self.micro_batches, self.operator.cells()).iter().enumerate() {
                losses.append(self.compute(part, &mut done));
                self.accumulate(i == 0, 0);
                done(Part::Backward);
            }
        }
        let losses = self.update(losses);
        done(Part::Update);
        losses
    }

    /// The losses, gradients and statistics of one micro-batch; nothing is updated.
    pub fn compute(&mut self, part: &Batch, done: impl FnMut(Part)) -> Losses {
        self.compute_together(part, &[0], &mut |own| own.to_vec(), done)
    }

    /// As [`Step::compute`], for some micro-batches of a step that are normalised with all others:
    /// `exchange` and `order` are those of [`Together`].
    pub fn compute_together(
        &mut self,
        batch: &Batch,
        order: &[usize],
        exchange: &mut Exchange<N>,
        mut done: impl FnMut(Part),
    ) -> Losses {
        let mut together = Together { samples: self.samples, order, exchange };
        self.data.set(batch);
        done(Part::Data);
        self.forward(&mut together);
        done(Part::Forward);
        self.backward(&mut together)
    }

    /// Takes over the gradients and the statistics of micro-batch `i` of those that were computed last, in
    /// the order of the step's micro-batches: adds the gradients to those before, and blends the statistics
    /// into the running ones. Micro-batches that are normalised together share their statistics.
    pub fn accumulate(&mut self, is_first: bool, i: usize) {
        if is_first || self.together.is_none() {
            batch_norm::blend(&mut self.running, &self.statistics);
        }
        let share = &self.shares[i * self.params.len()..][..self.params.len()];
        if is_first {
            self.gradients.copy_from_slice(share);
        } else {
            self.gradients.iter_mut().zip(share).for_each(|(gradient, share)| *gradient += *share);
        }
    }

    /// Ends a step: Adam, or nothing where a number is not finite.
    pub fn update(&mut self, mut losses: Losses) -> Losses {
        self.submitted += 1;
        losses.frozen |= !is_finite(&self.gradients);
        let good = self.guard.check(&mut losses, &self.running);
        self.guard.keep_last_good(&self.params, &mut self.running);
        if good {
            adam(&self.adam, self.submitted, &self.gradients, &mut self.params, &mut self.m, &mut self.v);
        }
        losses
    }

    /// x* -> diffusion -> observation y* -> U-Net -> prediction x, and the statistics of the batch.
    fn forward(&mut self, together: &mut Together<N>) {
        let cells = self.operator.cells();
        self.data.diffuse();
        let Self { network, params, statistics, data, output, .. } = self;
        network.forward_together(params, statistics, &data.input, output, together);

        self.prediction
            .par_chunks_mut(cells)
            .zip(self.output.par_chunks(cells).zip(self.data.truth.par_chunks(cells)))
            .zip(self.error.par_chunks_mut(cells))
            .for_each(|((prediction, (output, truth)), error)| {
                let rounded: Vec<N> = truth.iter().map(|t| N::of(t.f64())).collect();
                mean_shift(output, &rounded, prediction);
                for (e, (&t, p)) in error.iter_mut().zip(truth.iter().zip(&*prediction)) {
                    *e = t - P::of(p.f64());
                }
            });
    }

    /// x* - x -> SIP step or GD gradient -> dL/dx -> U-Net backward.
    fn backward(&mut self, together: &mut Together<N>) -> Losses {
        let cells = self.operator.cells();
        // By micro-batches, as the data are made.
        let micro_batch = self.samples * cells;
        let noise = |i: usize| self.data.noise.as_ref().map(|noise| &noise[i * micro_batch..][..micro_batch]);
        let parts = self.error.chunks(micro_batch).zip(self.signal.chunks_mut(micro_batch)).enumerate();
        let energies = parts.flat_map(|(i, (error, signal))| {
            self.physics.training_signal(&self.objective, error, noise(i), signal)
        });
        let residual_energy: Vec<P> = energies.collect();

        let half_energy = |fields: &[P]| -> Vec<f64> {
            let energy = |field: &[P]| 0.5 * sum(cells, |i| field[i] * field[i]).f64();
            fields.par_chunks(cells).map(energy).collect()
        };
        let y_l2: Vec<f64> = residual_energy.iter().map(|e| 0.5 * e.f64()).collect();
        let loss =
            if self.objective.method.loss_is_signal() { half_energy(&self.signal) } else { y_l2.clone() };
        let x_l2 = half_energy(&self.error);

        convert(&self.signal, &mut self.output_gradient);
        self.output_gradient.par_chunks_mut(cells).for_each(mean_shift_backward);
        let Self { params, data, output_gradient, shares, network, .. } = self;
        network.backward_together(params, &data.input, output_gradient, shares, together);
        Losses { loss, x_l2, y_l2, frozen: false }
    }

    /// x*, y* and the prediction of what was computed last, each `[batch, nx, ny]`.
    pub fn fields(&self) -> (&[P], &[P], &[N]) {
        (&self.data.truth, &self.data.observation, &self.prediction)
    }
}

/// Refuses what the CPU engine cannot do.
///
/// # Errors
/// [`Error::Unsupported`] for 16-bit activations.
pub fn check(spec: &StepSpec) -> Result<()> {
    if spec.activations == DType::F16 {
        let why = "the CPU engine stores 32 bits only".to_owned();
        return Err(Error::Unsupported { feature: Feature::HalfActivations, why });
    }
    Ok(())
}
