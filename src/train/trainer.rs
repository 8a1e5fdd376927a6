//! One interface over both engines: submit steps, collect their losses, fetch weights.

use super::config::TrainConfig;
use super::device::Device;
use super::memory::{self, Purpose};
use super::on_nan::OnNan;
use super::plan::Plan;
use crate::cpu::Real;
use crate::model::init::State;
use crate::model::{Batch, Losses, Precision, Snapshot, Storage};
use crate::{Error, Result, cpu, gpu};
use std::time::Instant;

/// A network in training, on a GPU or on the CPU.
pub struct Trainer {
    backend: Backend,
    /// Batches in the running statistics, for `num_batches_tracked`.
    batches: i64,
    /// Whether steps that are not finite are left out, rather than the last.
    skips: bool,
}

enum Backend {
    Gpu(Box<gpu::Step>),
    Cpu(Box<dyn CpuTraining>),
}

/// A [`CpuEngine`], whatever the precision of its physics.
trait CpuTraining {
    /// One step, unless an earlier one has failed.
    fn advance(&mut self, batch: &Batch);
    /// Losses that nobody has taken yet.
    fn take_losses(&mut self) -> Vec<Losses>;
    /// Parameters and running statistics.
    fn state(&self) -> (Vec<f32>, Vec<f32>);
    /// Those of the last step whose loss was finite.
    fn kept(&self) -> (Vec<f32>, Vec<f32>);
    /// What the next step depends on.
    fn snapshot(&self, batches_tracked: i64) -> Snapshot;
    /// Goes on from there.
    fn restore(&mut self, snapshot: &Snapshot);
    /// Parameter gradients of the last step.
    fn gradients(&self) -> Vec<f32>;
    /// Truth, observation and prediction.
    fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3];
    /// What [`Trainer::cpu_seconds`] returns.
    fn seconds(&self) -> [f64; 4];
}

/// The network in 32 bits, the physics in P.
struct CpuEngine<P> {
    step: cpu::Step<f32, P>,
    updates: u64,
    skips: bool,
    frozen: bool,
    finished: Vec<Losses>,
    kept: (Vec<f32>, Vec<f32>),
    seconds: [f64; 4],
}

impl Trainer {
    /// Builds the engine for what `config` says, starting from the plan's weights.
    ///
    /// # Errors
    /// [`Error::Usage`] where 64-bit physics or 16-bit activations are asked of what has no such floats, or the batch
    /// does not fit.
    pub fn new(device: &Device, plan: &Plan, config: &TrainConfig) -> Result<Self> {
        Self::check(device, plan, config)?;
        let &TrainConfig { physics, activations, batch, .. } = config;
        let objective = plan.objective;
        let skips = config.on_nan == OnNan::Skip;
        let (net, heat, adam, state) = (&plan.net, &plan.heat, plan.adam, &plan.start);
        let backend = match device {
            Device::Gpu(gpu) => {
                let build = |batch| {
                    gpu::Step::new(gpu, net, heat, objective, physics, activations, adam, batch, state)
                };
                let mut step = memory::build_or_name_largest(batch, build)?;
                if skips {
                    step.skip_bad_steps();
                }
                Backend::Gpu(Box::new(step))
            }
            Device::Cpu => Backend::Cpu(match physics {
                Precision::F32 => Box::new(CpuEngine::<f32>::new(plan, batch, skips)),
                Precision::F64 => Box::new(CpuEngine::<f64>::new(plan, batch, skips)),
            }),
        };
        Ok(Self { backend, batches: state.batches_tracked, skips })
    }

    /// Refuses what [`Trainer::new`] would refuse before it builds anything.
    pub fn check(device: &Device, plan: &Plan, config: &TrainConfig) -> Result<()> {
        let &TrainConfig { physics, activations, batch, .. } = config;
        let check_system =
            || memory::check_system(&plan.net, plan.heat.cells(), batch, Purpose::Training(activations));
        match device {
            Device::Gpu(gpu) => {
                if gpu.is_software() {
                    check_system()?;
                }
                gpu::Step::check(gpu, &plan.net, &plan.heat, physics, activations, batch)
            }
            Device::Cpu if activations == Storage::F16 => Err(Error::usage(
                "activations f16: the CPU engine stores 32 bits only; use --activations f32, or name a GPU with --device",
            )),
            Device::Cpu => check_system(),
        }
    }

    /// Starts a step. On the GPU it runs in the background; on the CPU it has run on return.
    ///
    /// A step whose losses or gradients are not finite changes nothing, and unless it is to be skipped, no further one
    /// does.
    pub fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.batches += 1;
        match &mut self.backend {
            Backend::Gpu(step) => step.submit(batch),
            Backend::Cpu(engine) => {
                engine.advance(batch);
                Ok(())
            }
        }
    }

    /// Waits until the next [`Trainer::submit`] will not have to wait for earlier steps.
    pub fn make_room(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Gpu(step) => step.make_room(),
            Backend::Cpu(_) => Ok(()),
        }
    }

    /// The step on the GPU, for looking into it; none on the CPU.
    pub fn gpu_step(&self) -> Option<&gpu::Step> {
        match &self.backend {
            Backend::Gpu(step) => Some(step),
            Backend::Cpu(_) => None,
        }
    }

    /// Seconds that the last step took on the CPU: making the data, forward, backward, update. None on a GPU.
    pub fn cpu_seconds(&self) -> Option<[f64; 4]> {
        match &self.backend {
            Backend::Gpu(_) => None,
            Backend::Cpu(engine) => Some(engine.seconds()),
        }
    }

    /// The losses of finished steps that have not been collected yet, in step order. With `all`, waits for every
    /// submitted step.
    pub fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        let losses = match &mut self.backend {
            Backend::Gpu(step) => {
                if all {
                    step.request_losses()?;
                }
                step.losses(all)?
            }
            Backend::Cpu(engine) => engine.take_losses(),
        };
        if self.skips {
            self.batches -= losses.iter().filter(|losses| !losses.is_finite()).count() as i64;
        }
        Ok(losses)
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

    /// Everything that the next step depends on, after the last one. Meant for between two finite or skipped steps, once
    /// all losses are collected.
    pub fn snapshot(&self) -> Result<Snapshot> {
        match &self.backend {
            Backend::Gpu(step) => step.snapshot(self.batches),
            Backend::Cpu(engine) => Ok(engine.snapshot(self.batches)),
        }
    }

    /// Goes on from a snapshot of the same architecture, bit for bit as the engine would have that it was taken of,
    /// on the same device. For an engine that has made no step yet.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.batches = snapshot.state.batches_tracked;
        match &mut self.backend {
            Backend::Gpu(step) => step.restore(snapshot),
            Backend::Cpu(engine) => engine.restore(snapshot),
        }
    }

    /// Flat parameter gradients of the last step.
    pub fn gradients(&self) -> Result<Vec<f32>> {
        match &self.backend {
            Backend::Gpu(step) => step.gradients(),
            Backend::Cpu(engine) => Ok(engine.gradients()),
        }
    }

    /// Weights and running statistics of the last step whose losses and gradients were finite; the caller knows
    /// how many batches they have seen.
    pub fn kept_state(&self, batches_tracked: i64) -> Result<State> {
        let (params, buffers) = match &self.backend {
            Backend::Gpu(step) => step.kept_weights()?,
            Backend::Cpu(engine) => engine.kept(),
        };
        Ok(State { params, buffers, batches_tracked })
    }

    /// Truth, observation and prediction for a batch, each `[batch, nx, ny]`. Updates the running statistics, as
    /// every forward pass of the reference system does.
    pub fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.batches += 1;
        match &mut self.backend {
            Backend::Gpu(step) => step.predict(batch),
            Backend::Cpu(engine) => Ok(engine.predict(batch)),
        }
    }
}

impl<P: Real> CpuEngine<P> {
    fn new(plan: &Plan, batch: usize, skips: bool) -> Self {
        let state = &plan.start;
        let mut step = cpu::Step::new(&plan.net, &plan.heat, plan.objective, plan.adam, batch);
        step.params.copy_from_slice(&state.params);
        step.running.copy_from_slice(&state.buffers);
        let kept = (state.params.clone(), state.buffers.clone());
        Self { step, updates: 0, skips, frozen: false, finished: Vec::new(), kept, seconds: [0.0; 4] }
    }
}

impl<P: Real> CpuTraining for CpuEngine<P> {
    fn advance(&mut self, batch: &Batch) {
        let mut last = Instant::now();
        let mut lap = || std::mem::replace(&mut last, Instant::now()).elapsed().as_secs_f64();
        self.step.set_batch(batch);
        let data = lap();
        self.step.forward();
        let forward = lap();
        let mut losses = self.step.backward();
        let backward = lap();
        losses.frozen |= !self.step.running.iter().all(|value| value.is_finite());
        self.frozen = !losses.is_finite() || self.frozen && !self.skips;
        losses.frozen |= self.frozen;
        self.updates += 1;
        if self.frozen {
            self.step.running.copy_from_slice(&self.kept.1);
        } else {
            self.kept.0.copy_from_slice(&self.step.params);
            self.kept.1.copy_from_slice(&self.step.running);
            self.step.update(self.updates);
        }
        self.seconds = [data, forward, backward, lap()];
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

    fn snapshot(&self, batches_tracked: i64) -> Snapshot {
        let (params, buffers) = self.state();
        Snapshot {
            state: State { params, buffers, batches_tracked },
            first_moments: self.step.m.clone(),
            second_moments: self.step.v.clone(),
            updates: self.updates,
            kept_params: self.kept.0.clone(),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { state, first_moments, second_moments, updates, kept_params } = snapshot;
        for (array, values) in [
            (&mut self.step.params, &state.params),
            (&mut self.step.running, &state.buffers),
            (&mut self.step.m, first_moments),
            (&mut self.step.v, second_moments),
            (&mut self.kept.0, kept_params),
            (&mut self.kept.1, &state.buffers), // every step keeps the statistics that it leaves
        ] {
            array.copy_from_slice(values);
        }
        self.updates = *updates;
    }

    fn gradients(&self) -> Vec<f32> {
        self.step.gradients.clone()
    }

    fn predict(&mut self, batch: &Batch) -> [Vec<f32>; 3] {
        self.step.set_batch(batch);
        self.step.forward();
        let (truth, observation, prediction) = self.step.fields();
        let narrow = |field: &[P]| field.iter().map(|v| v.f64() as f32).collect();
        [narrow(truth), narrow(observation), prediction.to_vec()]
    }

    fn seconds(&self) -> [f64; 4] {
        self.seconds
    }
}
