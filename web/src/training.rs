//! One network in training, on WebGPU or on the CPU engine.

use std::sync::Arc;
use unheat::cpu::Real;
use unheat::cpu::heat::shown::shown;
use unheat::cpu::unet::norms::norm_rows;
use unheat::gpu::{Gpu, Tensor};
use unheat::model::unet::init::State;
use unheat::model::unet::trained::Norm;
use unheat::model::{Batch, DType, Losses, Method, Snapshot, StepSpec};
use unheat::{Result, cpu, gpu};

/// A network with its optimiser, and one that predicts with its weights.
pub(crate) struct Training {
    pub(crate) method: Method,
    pub(crate) spec: StepSpec,
    engine: Engine,
    /// Batches in the running statistics.
    batches: i64,
    /// The step in which it stopped, since its losses or gradients were not finite.
    pub(crate) failed: Option<u64>,
}

enum Engine {
    Gpu { gpu: Arc<Gpu>, step: Box<gpu::Step>, predictor: Option<gpu::predictor::Predictor> },
    Cpu { step: Box<dyn OnCpu>, finished: Vec<Losses>, predictor: Option<cpu::predictor::Predictor> },
}

/// The CPU engine's step, with its physics in either precision.
trait OnCpu {
    fn run(&mut self, batch: &Batch) -> Losses;
    fn weights(&self) -> (Vec<f32>, Vec<f32>);
    fn snapshot(&self, batches: i64) -> Snapshot;
    fn restore(&mut self, snapshot: &Snapshot);
    /// Truth, observation and prediction of the last batch, each `[batch, nx, ny]`.
    fn fields(&self) -> [Vec<f32>; 3];
}

impl<P: Real> OnCpu for cpu::Step<f32, P> {
    fn run(&mut self, batch: &Batch) -> Losses {
        Self::run(self, batch)
    }

    fn weights(&self) -> (Vec<f32>, Vec<f32>) {
        Self::weights(self)
    }

    fn snapshot(&self, batches: i64) -> Snapshot {
        Self::snapshot(self, batches)
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        Self::restore(self, snapshot);
    }

    fn fields(&self) -> [Vec<f32>; 3] {
        let narrow = |field: &[P]| -> Vec<f32> { field.iter().map(|v| v.f64() as f32).collect() };
        let (truth, observation, prediction) = Self::fields(self);
        [narrow(truth), narrow(observation), prediction.to_vec()]
    }
}

impl Training {
    /// Builds the engine on `gpu`, or the CPU engine, for steps as `spec` says from `start`.
    pub(crate) fn new(method: Method, gpu: Option<&Arc<Gpu>>, spec: StepSpec, start: &State) -> Result<Self> {
        let engine = match (gpu, spec.physics) {
            (Some(gpu), _) => {
                let longest_submission = spec.longest_submission.filter(|_| !gpu.is_software());
                let spec = StepSpec { longest_submission, ..spec.clone() };
                let step = Box::new(gpu::Step::new(gpu, &spec, start)?);
                Engine::Gpu { gpu: gpu.clone(), step, predictor: None }
            }
            (None, precision) => {
                cpu::step::check(&spec)?;
                let step: Box<dyn OnCpu> = match precision {
                    DType::F16 | DType::F32 => Box::new(cpu::Step::<f32, f32>::new(&spec, start)),
                    DType::F64 => Box::new(cpu::Step::<f32, f64>::new(&spec, start)),
                };
                Engine::Cpu { step, finished: Vec::new(), predictor: None }
            }
        };
        Ok(Self { method, spec, engine, batches: start.batches_tracked, failed: None })
    }

    /// Starts a step; on the CPU it has run on return.
    pub(crate) async fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.batches += self.spec.micro_batches as i64;
        match &mut self.engine {
            Engine::Gpu { step, .. } => step.submit(batch).await,
            Engine::Cpu { step, finished, .. } => {
                finished.push(step.run(batch));
                Ok(())
            }
        }
    }

    /// The losses of every step that was submitted and whose losses were not collected.
    pub(crate) async fn losses(&mut self) -> Result<Vec<Losses>> {
        let losses = match &mut self.engine {
            Engine::Gpu { step, .. } => {
                step.request_losses()?;
                step.losses(true).await?
            }
            Engine::Cpu { finished, .. } => std::mem::take(finished),
        };
        // A step that is not finite has changed nothing.
        let bad = losses.iter().filter(|losses| !losses.is_finite()).count();
        self.batches -= (bad * self.spec.micro_batches) as i64;
        Ok(losses)
    }

    /// Weights and running statistics after the last good step.
    pub(crate) async fn state(&self) -> Result<State> {
        let (params, buffers) = match &self.engine {
            Engine::Gpu { step, .. } => step.weights().await?,
            Engine::Cpu { step, .. } => step.weights(),
        };
        Ok(State { params, buffers, batches_tracked: self.batches })
    }

    /// What the next step depends on.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        match &self.engine {
            Engine::Gpu { step, .. } => step.snapshot(self.batches).await,
            Engine::Cpu { step, .. } => Ok(step.snapshot(self.batches)),
        }
    }

    /// Goes on from a snapshot of the same architecture; for an engine that has made no step yet.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        self.batches = snapshot.state.batches_tracked;
        match &mut self.engine {
            Engine::Gpu { step, .. } => step.restore(snapshot),
            Engine::Cpu { step, .. } => step.restore(snapshot),
        }
    }

    /// The prediction for one observation `[nx, ny]`, with the running statistics, which stay as they are.
    pub(crate) async fn predict(&mut self, observation: &[f32]) -> Result<Vec<f32>> {
        let state = self.state().await?;
        let StepSpec { net, operator, tikhonov, .. } = &self.spec;
        let input = &shown(operator, *tikhonov, observation);
        match &mut self.engine {
            Engine::Gpu { gpu, predictor, .. } => {
                if predictor.is_none() {
                    let new = gpu::predictor::Predictor::new;
                    *predictor = Some(new(gpu, net, Norm::Running, 1, operator.nx, operator.ny)?);
                }
                let Some(predictor) = predictor else { unreachable!("it was made just now") };
                predictor.load(&state, &norm_rows(net, &state));
                predictor.predict(input).await
            }
            Engine::Cpu { predictor, .. } => {
                let new = || cpu::predictor::Predictor::new(net, Norm::Running, 1, operator.nx, operator.ny);
                Ok(predictor.get_or_insert_with(new).predict(&state, input))
            }
        }
    }

    /// Truth, observation and prediction of the last batch on the device, each `[batch, nx, ny]`.
    pub(crate) fn on_gpu(&self) -> Option<[&Tensor; 3]> {
        match &self.engine {
            Engine::Gpu { step, .. } => Some(step.fields()),
            Engine::Cpu { .. } => None,
        }
    }

    /// The same, brought here.
    pub(crate) async fn fields(&self) -> Result<[Vec<f32>; 3]> {
        match &self.engine {
            Engine::Gpu { gpu, step, .. } => gpu.fetch_all(step.fields()).await,
            Engine::Cpu { step, .. } => Ok(step.fields()),
        }
    }

    /// The step on the device, for timing it.
    pub(crate) fn gpu_step(&self) -> Option<(&Gpu, &gpu::Step)> {
        match &self.engine {
            Engine::Gpu { gpu, step, .. } => Some((gpu, step)),
            Engine::Cpu { .. } => None,
        }
    }
}
