//! One training step on the CPU, top to bottom like the picture in the README. The network computes in N, the
//! physics in P; the reference system has N = f32 and P = f64 (SPEC 0), which `train --physics f64` uses. The
//! training signal has its Fourier form in both precisions: in 64 bits it equals the literal one (SPEC 3b).

pub mod adam;
pub mod mean_shift;

use crate::cpu::Real;
use crate::cpu::heat::physics::Physics;
use crate::cpu::heat::rasterise::rasterise;
use crate::cpu::reduce::sum;
use crate::cpu::step::adam::adam;
use crate::cpu::step::mean_shift::{mean_shift, mean_shift_backward};
use crate::cpu::unet::network::Network;
use crate::model::rectangles::PER_SAMPLE;
use crate::model::{Adam, Batch, HeatEquation, Losses, Objective, Truth, UNet};
use rayon::prelude::*;

/// The network, the optimiser's state and every array of a step for a fixed batch.
pub struct Step<N, P> {
    objective: Objective,
    heat: HeatEquation,
    adam: Adam,
    physics: Physics<P>,
    /// x* and y* are made in 64 bits whatever P: an error of 1e-7 in the network's input decides on which side of
    /// zero some ReLU's argument falls, and it costs 2 % of a step to avoid.
    data: Vec<f64>,
    diffused: Vec<f64>,
    diffusion: Physics<f64>,
    network: Network<N>,
    truth: Vec<P>,
    observation: Vec<P>,
    /// What the observation has beyond P(x*), if it has.
    noise: Option<Vec<P>>,
    error: Vec<P>,
    signal: Vec<P>,
    input: Vec<N>,
    output: Vec<N>,
    prediction: Vec<N>,
    output_gradient: Vec<N>,
    /// Flat parameters.
    pub params: Vec<N>,
    /// Flat gradients of the last step.
    pub gradients: Vec<N>,
    /// First moments.
    pub m: Vec<N>,
    /// Second moments.
    pub v: Vec<N>,
    /// Running means and variances.
    pub running: Vec<N>,
}

impl<N: Real, P: Real> Step<N, P> {
    /// Room for `batch` samples; parameters and moments are zero until they are set.
    pub fn new(
        net: &UNet,
        heat: &HeatEquation,
        objective: impl Into<Objective>,
        adam: Adam,
        batch: usize,
    ) -> Self {
        let len = batch * heat.cells();
        let (fields, values) = (vec![P::zero(); len], vec![N::zero(); len]);
        let params = vec![N::zero(); net.param_count];
        Self {
            objective: objective.into(),
            heat: *heat,
            adam,
            physics: Physics::new(heat),
            diffusion: Physics::new(heat),
            data: vec![0.0; len],
            diffused: vec![0.0; len],
            network: Network::new(net, batch, heat.nx, heat.ny),
            truth: fields.clone(),
            observation: fields.clone(),
            noise: None,
            error: fields.clone(),
            signal: fields,
            input: values.clone(),
            output: values.clone(),
            prediction: values.clone(),
            output_gradient: values,
            gradients: params.clone(),
            m: params.clone(),
            v: params.clone(),
            running: vec![N::zero(); net.buffer_count],
            params,
        }
    }

    /// x* and noise of the next step.
    pub fn set_batch(&mut self, batch: &Batch) {
        let (nx, ny) = (self.heat.nx, self.heat.ny);
        match &batch.truth {
            Truth::Rectangles(rectangles) => self
                .data
                .par_chunks_mut(nx * ny)
                .zip(rectangles.par_chunks(PER_SAMPLE))
                .for_each(|(field, rectangles)| rasterise(rectangles, nx, ny, field)),
            Truth::Fields(fields) => self.data.copy_from_slice(fields),
        }
        convert(&self.data, &mut self.truth);
        self.noise = batch.noise.as_ref().map(|noise| noise.iter().map(|&n| P::of(n)).collect());
    }

    /// Everything before the update: fills [`Step::gradients`] and returns the losses.
    pub fn forward_backward(&mut self) -> Losses {
        self.forward();
        self.backward()
    }

    /// x* -> diffusion -> observation y* -> U-Net -> prediction x. Updates the running statistics.
    pub fn forward(&mut self) {
        let cells = self.heat.cells();
        self.diffusion.diffuse(&self.data, &mut self.diffused);
        if let Some(noise) = &self.noise {
            self.diffused.par_iter_mut().zip(noise).for_each(|(y, n)| *y += n.f64());
        }
        convert(&self.diffused, &mut self.observation);
        convert(&self.observation, &mut self.input);
        self.network.forward(&self.params, &mut self.running, &self.input, &mut self.output);

        self.prediction
            .par_chunks_mut(cells)
            .zip(self.output.par_chunks(cells).zip(self.truth.par_chunks(cells)))
            .zip(self.error.par_chunks_mut(cells))
            .for_each(|((prediction, (output, truth)), error)| {
                let rounded: Vec<N> = truth.iter().map(|t| N::of(t.f64())).collect();
                mean_shift(output, &rounded, prediction);
                for (e, (&t, p)) in error.iter_mut().zip(truth.iter().zip(&*prediction)) {
                    *e = t - P::of(p.f64());
                }
            });
    }

    /// x* - x -> SIP step or GD gradient -> dL/dx -> U-Net backward, after [`Step::forward`].
    pub fn backward(&mut self) -> Losses {
        let cells = self.heat.cells();
        let residual_energy = self.physics.training_signal(
            &self.objective,
            &self.error,
            self.noise.as_deref(),
            &mut self.signal,
        );

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
        self.network.backward(&self.params, &self.input, &self.output_gradient, &mut self.gradients, None);
        let frozen = !self.gradients.iter().all(|g| g.is_finite());
        Losses { loss, x_l2, y_l2, frozen }
    }

    /// The Adam update number `t` = 1, 2, … from [`Step::gradients`].
    pub fn update(&mut self, t: u64) {
        adam(&self.adam, t, &self.gradients, &mut self.params, &mut self.m, &mut self.v);
    }

    /// x*, y* and the prediction of the last step, each `[batch, nx, ny]`.
    pub fn fields(&self) -> (&[P], &[P], &[N]) {
        (&self.truth, &self.observation, &self.prediction)
    }
}

fn convert<A: Real, B: Real>(from: &[A], to: &mut [B]) {
    to.par_iter_mut().zip(from).with_min_len(4096).for_each(|(b, a)| *b = B::of(a.f64()));
}
