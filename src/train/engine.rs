//! One interface over both engines: submit steps, collect their losses, fetch weights.

use super::compute::Compute;
use super::config::Plan;
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
    Cpu(Box<CpuEngine>),
}

struct CpuEngine {
    step: cpu::Step<f32, f32>,
    updates: u64,
    frozen: bool,
    finished: Vec<Losses>,
    kept: (Vec<f32>, Vec<f32>),
}

impl Engine {
    /// Builds the engine for `batch` samples per step, starting from `state`.
    pub fn new(compute: &Compute, plan: &Plan, method: Method, batch: usize, state: &State) -> Result<Self> {
        let backend = match compute {
            Compute::Gpu(gpu) => Backend::Gpu(Box::new(gpu::Step::new(
                gpu,
                &plan.net,
                &plan.heat,
                method,
                Precision::F32,
                plan.adam,
                batch,
                state,
            )?)),
            Compute::Cpu => {
                cpu::step::check_memory(&plan.net, &plan.heat, batch)?;
                let mut step = cpu::Step::new(&plan.net, &plan.heat, method, plan.adam, batch);
                step.params.copy_from_slice(&state.params);
                step.running.copy_from_slice(&state.buffers);
                let kept = (state.params.clone(), state.buffers.clone());
                Backend::Cpu(Box::new(CpuEngine {
                    step,
                    updates: 0,
                    frozen: false,
                    finished: Vec::new(),
                    kept,
                }))
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
            Backend::Cpu(engine) => Ok(std::mem::take(&mut engine.finished)),
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
            Backend::Cpu(engine) => (engine.step.params.clone(), engine.step.running.clone()),
        };
        Ok(State { params, buffers, batches_tracked: self.batches })
    }

    /// Weights and running statistics of the last step whose loss was finite, number `step` from 0.
    pub fn kept_state(&self, batches_tracked: i64) -> Result<State> {
        let (params, buffers) = match &self.backend {
            Backend::Gpu(step) => step.kept_weights()?,
            Backend::Cpu(engine) => engine.kept.clone(),
        };
        Ok(State { params, buffers, batches_tracked })
    }

    /// Truth, observation and prediction for a batch of rectangles, each `[batch, nx, ny]`. Updates the running
    /// statistics, as every forward pass of the reference system does.
    pub fn predict(&mut self, rectangles: &[Rectangle]) -> Result<[Vec<f32>; 3]> {
        self.batches += 1;
        match &mut self.backend {
            Backend::Gpu(step) => step.predict(rectangles),
            Backend::Cpu(engine) => {
                engine.step.set_rectangles(rectangles);
                engine.step.forward_backward();
                let (truth, observation, prediction) = engine.step.fields();
                Ok([truth, observation, prediction].map(<[f32]>::to_vec))
            }
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

impl CpuEngine {
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
}
