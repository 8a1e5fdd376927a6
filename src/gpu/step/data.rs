//! The training data of a step: rectangles to fields x* to observations y* (method §0 to §2).
//!
//! They are made in 64 bits wherever the adapter can, whatever the precision of the physics behind the
//! network: in 32 bits y* is off by 1e-7, enough to flip the sign of a ReLU's argument here and there, after
//! which gradients differ from the reference's in the third digit (docs/numerics.md). Elsewhere it is 32 bits
//! throughout.

use crate::gpu::heat::add_noise::add_noise;
use crate::gpu::heat::fft::{self, Transfer};
use crate::gpu::heat::narrow::narrow;
use crate::gpu::heat::physics::Physics;
use crate::gpu::heat::rasterise::{NUMBERS, flatten, rasterise};
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::model::rectangles::PER_SAMPLE;
use crate::model::{Batch, DType, Operator, StepSpec, Truth};
use crate::{Error, Result};

/// Buffers of the data, `[batch, nx, ny]` but the rectangles.
pub struct Data {
    operator: Operator,
    batch: usize,
    physics: Physics,
    rectangles: Tensor,
    /// x* in the precision of the data.
    drawn: Tensor,
    /// x* in the precision of the physics; `drawn` itself where that is the same.
    pub truth: Tensor,
    /// What observations have beyond P(x*), in the precision of the physics; none where they are exact.
    pub noise: Option<Tensor>,
    /// y* in 32 bits.
    pub observation: Tensor,
    /// What the network is shown of it; `observation` itself where that is the same.
    pub input: Tensor,
    /// What makes the input of the observation, if anything does.
    inverse: Option<Transfer>,
}

impl Data {
    /// Allocates for a micro-batch.
    pub fn new(gpu: &Gpu, spec: &StepSpec) -> Result<Self> {
        let &StepSpec { ref operator, physics: precision, samples_at_once: batch, .. } = spec;
        let wide = gpu.computes_in(DType::F64) && fft::fits(gpu, operator, DType::F64);
        let finest = if wide { DType::F64 } else { DType::F32 };
        let len = batch * operator.cells();
        let drawn = gpu.tensor_in("truth", len, finest)?;
        let truth =
            if precision == finest { drawn.clone() } else { gpu.tensor_in("narrow truth", len, precision)? };
        let observation = gpu.tensor("observation", len)?;
        let inverse = spec.tikhonov.map(|lambda| Transfer::new(gpu, &operator.tikhonov(lambda), finest));
        let input = if inverse.is_some() { gpu.tensor("network input", len)? } else { observation.clone() };
        Ok(Self {
            operator: operator.clone(),
            batch,
            physics: Physics::new(gpu, operator, batch, finest)?,
            rectangles: gpu.tensor_in("rectangles", batch * PER_SAMPLE * NUMBERS, finest)?,
            noise: match spec.objective.noise > 0.0 {
                true => Some(gpu.tensor_in("noise", len, precision)?),
                false => None,
            },
            inverse: inverse.transpose()?,
            observation,
            input,
            truth,
            drawn,
        })
    }

    /// Records rectangles -> field x*.
    pub fn rasterise(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.label("rectangles");
        let Operator { nx, ny, .. } = self.operator;
        rasterise(recorder, &self.rectangles, &self.drawn, PER_SAMPLE, self.batch, nx, ny)
    }

    /// Records x* -> FFT -> diffusion -> observation y* -> what the network is shown.
    pub fn diffuse(&self, recorder: &mut Recorder) -> Result<()> {
        recorder.label("diffusion");
        self.physics.diffuse(recorder, &self.drawn, &self.observation)?;
        if self.drawn.precision() != self.truth.precision() {
            narrow(recorder, &self.drawn, &self.truth, self.drawn.len())?;
        }
        if let Some(noise) = &self.noise {
            add_noise(recorder, noise, &self.observation, noise.len())?;
        }
        match &self.inverse {
            None => Ok(()),
            Some(inverse) => self.physics.filter(recorder, &self.observation, inverse, &self.input),
        }
    }

    /// Writes rectangles or x*, and the noise, for the next submission, rounded to the precision of the data.
    pub fn upload(&self, gpu: &Gpu, batch: &Batch) -> Result<()> {
        match &batch.truth {
            Truth::Rectangles(rectangles) => gpu.write_f64(&self.rectangles, &flatten(rectangles)),
            Truth::Fields(fields) => gpu.write_f64(&self.drawn, fields),
        }
        match (&self.noise, &batch.noise) {
            (Some(tensor), Some(noise)) => gpu.write_f64(tensor, noise),
            (None, None) => {}
            _ => {
                return Err(Error::usage(
                    "noise: a batch has it exactly where the objective's noise is positive",
                ));
            }
        }
        Ok(())
    }
}
