//! One interface over both engines: submit steps, collect their losses, fetch weights.

use super::compute::Compute;
use super::config::Plan;
use crate::cpu::Real;
use crate::model::init::State;
use crate::model::{Losses, Method, Precision, Rectangle};
use crate::{Result, cpu, gpu};

/// A network in training, on a GPU or on the CPU.
pub struct Engine {
    backend: Backend,
    /// Forward passes in training mode so far, for `num_batches_tracked`.
    batches: i64,
}

enum Backend {
    Gpu(Box<gpu::Step>),
    Cpu(Box<dyn CpuTraining>),
}

/// A [`CpuEngine`], whatever the precision of its physics.
trait CpuTraining {
    /// One step, unless an earlier one has failed.
    fn advance(&mut self, rectangles: &[Rectangle]);
    /// Losses that nobody has taken yet.
    fn take_losses(&mut self) -> Vec<Losses>;
    /// Parameters and running statistics.
    fn state(&self) -> (Vec<f32>, Vec<f32>);
    /// Those of the last step whose loss was finite.
    fn kept(&self) -> (Vec<f32>, Vec<f32>);
    /// Truth, observation and prediction.
    fn predict(&mut self, rectangles: &[Rectangle]) -> [Vec<f32>; 3];
}

/// The network in 32 bits, the physics in P.
struct CpuEngine<P> {
    step: cpu::Step<f32, P>,
    updates: u64,
    frozen: bool,
    finished: Vec<Losses>,
    kept: (Vec<f32>, Vec<f32>),
}

impl Engine {
    /// Builds the engine for `batch` samples per step, starting from `state`.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) where 64-bit physics is asked of a GPU without 64-bit floats, or the
    /// batch does not fit.
    pub fn new(
        compute: &Compute,
        plan: &Plan,
        method: Method,
        physics: Precision,
        batch: usize,
        state: &State,
    ) -> Result<Self> {
        let backend = match compute {
            Compute::Gpu(gpu) => Backend::Gpu(Box::new(gpu::Step::new(
                gpu, &plan.net, &plan.heat, method, physics, plan.adam, batch, state,
            )?)),
            Compute::Cpu => {
                cpu::step::check_memory(&plan.net, &plan.heat, physics, batch)?;
                Backend::Cpu(match physics {
                    Precision::F32 => Box::new(CpuEngine::<f32>::new(plan, method, batch, state)),
                    Precision::F64 => Box::new(CpuEngine::<f64>::new(plan, method, batch, state)),
                })
            }
        };
        Ok(Self { backend, batches: state.batches_tracked })
    }

    /// Starts a step on rectangles. On the GPU it runs in the background; on the CPU it has run on return.
    ///
    /// Once a loss is not finite, further steps change nothing.
    pub fn submit(&mut self, rectangles: &[Rectangle]) -> Result<()> {
        self.batches += 1;
        match &mut self.backend {
            Backend::Gpu(step) => step.submit_rectangles(rectangles),
            Backend::Cpu(engine) => {
                engine.advance(rectangles);
                Ok(())
            }
        }
    }

    /// The losses of finished steps that have not been collected yet, in step order. With `all`, waits for every
    /// submitted step.
    pub fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        match &mut self.backend {
            Backend::Gpu(step) => {
                if all {
                    step.request_losses()?;
                }
                step.losses(all)
            }
            Backend::Cpu(engine) => Ok(engine.take_losses()),
        }
    }

    /// Asks for the losses of all submitted steps without waiting for them.
    pub fn request_losses(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Gpu(step) => step.request_losses(),
            Backend::Cpu(_) => Ok(()),
        }
    }

    /// Weights and running statistics after the last step.
    pub fn state(&self) -> Result<State> {
        let (params, buffers) = match &self.backend {
            Backend::Gpu(step) => step.weights()?,
            Backend::Cpu(engine) => engine.state(),
        };
        Ok(State { params, buffers, batches_tracked: self.batches })
    }

    /// Weights and running statistics of the last step whose loss was finite, number `step` from 0.
    pub fn kept_state(&self, batches_tracked: i64) -> Result<State> {
        let (params, buffers) = match &self.backend {
            Backend::Gpu(step) => step.kept_weights()?,
            Backend::Cpu(engine) => engine.kept(),
        };
        Ok(State { params, buffers, batches_tracked })
    }

    /// Truth, observation and prediction for a batch of rectangles, each `[batch, nx, ny]`. Updates the running
    /// statistics, as every forward pass of the reference system does.
    pub fn predict(&mut self, rectangles: &[Rectangle]) -> Result<[Vec<f32>; 3]> {
        self.batches += 1;
        match &mut self.backend {
            Backend::Gpu(step) => step.predict(rectangles),
            Backend::Cpu(engine) => Ok(engine.predict(rectangles)),
        }
    }

    /// GPU dispatches per step; none on the CPU.
    pub fn dispatches(&self) -> Option<usize> {
        match &self.backend {
            Backend::Gpu(step) => Some(step.dispatches()),
            Backend::Cpu(_) => None,
        }
    }
}

impl<P: Real> CpuEngine<P> {
    fn new(plan: &Plan, method: Method, batch: usize, state: &State) -> Self {
        let mut step = cpu::Step::new(&plan.net, &plan.heat, method, plan.adam, batch);
        step.params.copy_from_slice(&state.params);
        step.running.copy_from_slice(&state.buffers);
        let kept = (state.params.clone(), state.buffers.clone());
        Self { step, updates: 0, frozen: false, finished: Vec::new(), kept }
    }
}

impl<P: Real> CpuTraining for CpuEngine<P> {
    fn advance(&mut self, rectangles: &[Rectangle]) {
        self.step.set_rectangles(rectangles);
        let losses = self.step.forward_backward();
        self.frozen |= !losses.is_finite();
        if !self.frozen {
            self.kept.0.copy_from_slice(&self.step.params);
            self.kept.1.copy_from_slice(&self.step.running);
            self.updates += 1;
            self.step.update(self.updates);
        }
        self.finished.push(losses);
    }

    fn take_losses(&mut self) -> Vec<Losses> {
        std::mem::take(&mut self.finished)
    }

    fn state(&self) -> (Vec<f32>, Vec<f32>) {
        (self.step.params.clone(), self.step.running.clone())
    }

    fn kept(&self) -> (Vec<f32>, Vec<f32>) {
        self.kept.clone()
    }

    fn predict(&mut self, rectangles: &[Rectangle]) -> [Vec<f32>; 3] {
        self.step.set_rectangles(rectangles);
        self.step.forward_backward();
        let (truth, observation, prediction) = self.step.fields();
        let narrow = |field: &[P]| field.iter().map(|v| v.f64() as f32).collect();
        [narrow(truth), narrow(observation), prediction.to_vec()]
    }
}
