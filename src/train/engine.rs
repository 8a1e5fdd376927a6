//! One interface over both engines: submit steps, collect their losses, fetch weights.

use super::compute::Compute;
use super::config::Plan;
use super::memory;
use crate::model::init::State;
use crate::model::{Losses, Method, Rectangle};
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
            Compute::Gpu(gpu) => {
                if gpu.is_software() {
                    memory::check_system(&plan.net, plan.heat.cells(), batch, memory::Purpose::Training)?;
                }
                let build =
                    |batch| gpu::Step::new(gpu, &plan.net, &plan.heat, method, plan.adam, batch, state);
                Backend::Gpu(Box::new(memory::build_or_name_largest(batch, build)?))
            }
            Compute::Cpu => {
                memory::check_system(&plan.net, plan.heat.cells(), batch, memory::Purpose::Training)?;
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
                engine.step.set_rectangles(rectangles);
                engine.advance();
                Ok(())
            }
        }
    }

    /// Starts a step on given fields x* `[batch, nx, ny]`; otherwise as [`Engine::submit`].
    pub fn submit_fields(&mut self, truth: &[f64]) -> Result<()> {
        self.batches += 1;
        let truth = narrow(truth);
        match &mut self.backend {
            Backend::Gpu(step) => step.submit_fields(&truth),
            Backend::Cpu(engine) => {
                engine.step.set_truth(&truth);
                engine.advance();
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

    /// The flat parameter gradients of the last step.
    pub fn gradients(&self) -> Result<Vec<f32>> {
        match &self.backend {
            Backend::Gpu(step) => step.gradients(),
            Backend::Cpu(engine) => Ok(engine.step.gradients.clone()),
        }
    }

    /// Weights and running statistics of the last step whose loss was finite, which had seen `batches_tracked`
    /// batches.
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
                Ok(engine.predict())
            }
        }
    }

    /// As [`Engine::predict`], for given fields x* `[batch, nx, ny]`.
    pub fn predict_fields(&mut self, truth: &[f64]) -> Result<[Vec<f32>; 3]> {
        self.batches += 1;
        let truth = narrow(truth);
        match &mut self.backend {
            Backend::Gpu(step) => step.predict_fields(&truth),
            Backend::Cpu(engine) => {
                engine.step.set_truth(&truth);
                Ok(engine.predict())
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
    /// One step on the fields that are set.
    fn advance(&mut self) {
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

    /// Truth, observation and prediction of the fields that are set.
    fn predict(&mut self) -> [Vec<f32>; 3] {
        self.step.forward_backward();
        let (truth, observation, prediction) = self.step.fields();
        [truth, observation, prediction].map(<[f32]>::to_vec)
    }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}
