//! The training data of a step: rectangles to fields x* to observations y* (method §0 to §2).
//!
//! x* and y* are made in 64 bits whatever the precision of the physics: an error of 1e-7 in the network's
//! input decides on which side of zero some ReLU's argument falls, and 64 bits cost 2 % of a step.

use crate::cpu::Real;
use crate::cpu::heat::physics::Physics;
use crate::cpu::heat::rasterise::rasterise;
use crate::cpu::heat::shown::Shown;
use crate::cpu::real::convert;
use crate::model::rectangles::PER_SAMPLE;
use crate::model::{Batch, Operator, StepSpec, Truth};
use rayon::prelude::*;

/// Arrays of the data, `[batch, nx, ny]`.
pub(super) struct Data<N, P> {
    operator: Operator,
    /// Cells of a micro-batch.
    micro_batch: usize,
    diffusion: Physics<f64>,
    /// x*.
    drawn: Vec<f64>,
    /// y*.
    diffused: Vec<f64>,
    /// x* in the precision of the physics.
    pub(super) truth: Vec<P>,
    /// What the observation has beyond P(x*); none where it is exact.
    pub(super) noise: Option<Vec<P>>,
    /// y* in the precision of the physics.
    pub(super) observation: Vec<P>,
    /// By what the network is shown y*, if not as it is.
    shown: Option<Shown>,
    /// What the network is shown, in its precision.
    pub(super) input: Vec<N>,
}

impl<N: Real, P: Real> Data<N, P> {
    /// For all micro-batches that are computed at once.
    pub(super) fn new(spec: &StepSpec) -> Self {
        let operator = &spec.operator;
        let [samples, micro_batches] = spec.held();
        let micro_batch = samples * operator.cells();
        let len = micro_batches * micro_batch;
        Self {
            operator: operator.clone(),
            micro_batch,
            diffusion: Physics::new(operator),
            drawn: vec![0.0; len],
            diffused: vec![0.0; len],
            truth: vec![P::zero(); len],
            noise: None,
            observation: vec![P::zero(); len],
            shown: spec.tikhonov.map(|lambda| Shown::new(operator, lambda)),
            input: vec![N::zero(); len],
        }
    }

    /// Makes x* and takes over the noise.
    pub(super) fn set(&mut self, batch: &Batch) {
        let Operator { nx, ny, .. } = self.operator;
        match &batch.truth {
            Truth::Rectangles(rectangles) => self
                .drawn
                .par_chunks_mut(nx * ny)
                .zip(rectangles.par_chunks(PER_SAMPLE))
                .for_each(|(field, rectangles)| rasterise(rectangles, nx, ny, field)),
            Truth::Fields(fields) => self.drawn.copy_from_slice(fields),
        }
        convert(&self.drawn, &mut self.truth);
        self.noise = batch.noise.as_ref().map(|noise| noise.iter().map(|&n| P::of(n)).collect());
    }

    /// x* -> FFT -> diffusion -> observation y* -> what the network is shown.
    pub(super) fn diffuse(&mut self) {
        // Fields are transformed in pairs, which must be the same whatever else is computed beside them.
        let parts = self.drawn.chunks(self.micro_batch).zip(self.diffused.chunks_mut(self.micro_batch));
        parts.for_each(|(drawn, diffused)| self.diffusion.diffuse(drawn, diffused));
        if let Some(noise) = &self.noise {
            self.diffused.par_iter_mut().zip(noise).for_each(|(y, n)| *y += n.f64());
        }
        convert(&self.diffused, &mut self.observation);
        match &self.shown {
            None => convert(&self.observation, &mut self.input),
            Some(shown) => {
                // As it would be measured: in 32 bits, whose rounding the inverse makes larger.
                let observation: Vec<f32> = self.diffused.iter().map(|&y| y as f32).collect();
                convert(&shown.of(&observation), &mut self.input);
            }
        }
    }
}
