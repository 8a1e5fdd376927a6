//! One interface over both engines: submit steps, collect their losses, fetch weights.

use crate::engine::cpu_engine::{CpuEngine, CpuTraining};
use crate::engine::device::Device;
use crate::engine::memory::{self, Purpose};
use crate::gpu::{self, Gpu};
use crate::model::unet::init::State;
use crate::model::{Batch, Losses, Precision, Snapshot, Storage};
use crate::train::config::TrainConfig;
use crate::train::config::on_nan::OnNan;
use crate::train::plan::Plan;
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// A network in training, on a GPU or on the CPU.
pub struct Trainer {
    backend: Backend,
    /// Batches in the running statistics, for `num_batches_tracked`.
    batches: i64,
    /// Micro-batches per step.
    parts: i64,
    /// Whether steps that are not finite are left out, rather than the last.
    skips: bool,
}

enum Backend {
    Gpu(Arc<Gpu>, Box<gpu::Step>),
    Cpu(Box<dyn CpuTraining>),
}

impl Trainer {
    /// Builds the engine for what `config` says, starting from the plan's weights.
    ///
    /// # Errors
    /// [`Error::Usage`] where 64-bit physics or 16-bit activations are asked of what has no such floats, or the batch
    /// does not fit.
    pub fn new(device: &Device, plan: &Plan, config: &TrainConfig) -> Result<Self> {
        Self::check(device, plan, config)?;
        let &TrainConfig { physics, activations, .. } = config;
        let (batch, parts) = (config.samples_at_once(), config.micro_batches());
        let objective = plan.objective;
        let skips = config.on_nan == OnNan::Skip;
        let (net, heat, adam, state) = (&plan.net, &plan.heat, plan.adam, &plan.start);
        let backend = match device {
            Device::Gpu(gpu) => {
                let build = |batch| {
                    gpu::Step::new(gpu, net, heat, objective, physics, activations, adam, batch, state)
                };
                let mut step = memory::build_or_name_largest(batch, build).map_err(|e| hint(e, config))?;
                step.accumulate(parts)?;
                // Nobody resets a software adapter, and llvmpipe computes in the thread that submits piece by piece.
                if !gpu.is_software() {
                    step.limit_submissions(Duration::from_millis(config.max_dispatch_ms));
                }
                if skips {
                    step.skip_bad_steps();
                }
                Backend::Gpu(gpu.clone(), Box::new(step))
            }
            Device::Cpu => Backend::Cpu(match physics {
                Precision::F32 => Box::new(CpuEngine::<f32>::new(plan, batch, parts, skips)),
                Precision::F64 => Box::new(CpuEngine::<f64>::new(plan, batch, parts, skips)),
            }),
        };
        Ok(Self { backend, batches: state.batches_tracked, parts: parts as i64, skips })
    }

    /// Refuses what [`Trainer::new`] would refuse before it builds anything.
    pub fn check(device: &Device, plan: &Plan, config: &TrainConfig) -> Result<()> {
        let &TrainConfig { physics, activations, .. } = config;
        let batch = config.samples_at_once();
        let check_system =
            || memory::check_system(&plan.net, plan.heat.cells(), batch, Purpose::Training(activations));
        let checked = match device {
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
        };
        checked.map_err(|error| hint(error, config))
    }

    /// Starts a step. On the GPU it runs in the background; on the CPU it has run on return.
    ///
    /// A step whose losses or gradients are not finite changes nothing, and unless it is to be skipped, no further one
    /// does.
    pub fn submit(&mut self, batch: &Batch) -> Result<()> {
        self.batches += self.parts;
        match &mut self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.submit(batch)),
            Backend::Cpu(engine) => {
                engine.advance(batch);
                Ok(())
            }
        }
    }

    /// Waits until the next [`Trainer::submit`] will not have to wait for earlier steps.
    pub fn make_room(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.make_room()),
            Backend::Cpu(_) => Ok(()),
        }
    }

    /// The longest dispatch and its estimated time, when it turns out to take longer than `max_dispatch_ms`; told once.
    pub fn too_long(&mut self) -> Option<(String, Duration)> {
        match &mut self.backend {
            Backend::Gpu(_, step) => step.too_long(),
            Backend::Cpu(_) => None,
        }
    }

    /// The step on the GPU, for looking into it; none on the CPU.
    pub fn gpu_step(&self) -> Option<&gpu::Step> {
        match &self.backend {
            Backend::Gpu(_, step) => Some(step),
            Backend::Cpu(_) => None,
        }
    }

    /// Seconds that the last step took on the CPU: making the data, forward, backward, update. None on a GPU.
    pub fn cpu_seconds(&self) -> Option<[f64; 4]> {
        match &self.backend {
            Backend::Gpu(..) => None,
            Backend::Cpu(engine) => Some(engine.seconds()),
        }
    }

    /// The losses of finished steps that have not been collected yet, in step order. With `all`, waits for every
    /// submitted step.
    pub fn losses(&mut self, all: bool) -> Result<Vec<Losses>> {
        let losses = match &mut self.backend {
            Backend::Gpu(gpu, step) => {
                if all {
                    step.request_losses()?;
                }
                gpu.block_on(step.losses(all))?
            }
            Backend::Cpu(engine) => engine.take_losses(),
        };
        if self.skips {
            let skipped = losses.iter().filter(|losses| !losses.is_finite()).count();
            self.batches -= skipped as i64 * self.parts;
        }
        Ok(losses)
    }

    /// Asks for the losses of all submitted steps without waiting for them.
    pub fn request_losses(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Gpu(_, step) => step.request_losses(),
            Backend::Cpu(_) => Ok(()),
        }
    }

    /// Weights and running statistics after the last step.
    pub fn state(&self) -> Result<State> {
        let (params, buffers) = match &self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.weights())?,
            Backend::Cpu(engine) => engine.state(),
        };
        Ok(State { params, buffers, batches_tracked: self.batches })
    }

    /// Everything that the next step depends on, after the last one. Meant for between two finite or skipped steps, once
    /// all losses are collected.
    pub fn snapshot(&self) -> Result<Snapshot> {
        match &self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.snapshot(self.batches)),
            Backend::Cpu(engine) => Ok(engine.snapshot(self.batches)),
        }
    }

    /// Goes on from a snapshot of the same architecture, bit for bit as the engine would have that it was taken of,
    /// on the same device. For an engine that has made no step yet.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.batches = snapshot.state.batches_tracked;
        match &mut self.backend {
            Backend::Gpu(_, step) => step.restore(snapshot),
            Backend::Cpu(engine) => engine.restore(snapshot),
        }
    }

    /// Flat parameter gradients of the last step.
    pub fn gradients(&self) -> Result<Vec<f32>> {
        match &self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.gradients()),
            Backend::Cpu(engine) => Ok(engine.gradients()),
        }
    }

    /// Weights and running statistics of the last step whose losses and gradients were finite; the caller knows
    /// how many steps there have been, after a start with `batches` in the statistics.
    pub fn kept_state(&self, batches: i64, steps: u64) -> Result<State> {
        let batches_tracked = batches + steps as i64 * self.parts;
        let (params, buffers) = match &self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.kept_weights())?,
            Backend::Cpu(engine) => engine.kept(),
        };
        Ok(State { params, buffers, batches_tracked })
    }

    /// Truth, observation and prediction for a batch, each `[batch, nx, ny]`. Updates the running statistics, as
    /// every forward pass of the reference system does.
    pub fn predict(&mut self, batch: &Batch) -> Result<[Vec<f32>; 3]> {
        self.batches += self.parts;
        match &mut self.backend {
            Backend::Gpu(gpu, step) => gpu.block_on(step.predict(batch)),
            Backend::Cpu(engine) => Ok(engine.predict(batch)),
        }
    }
}

/// Adds to the error of a batch that is too large what `--micro-batch` would do about it.
fn hint(error: Error, config: &TrainConfig) -> Error {
    match error {
        Error::BatchTooLarge { fits, .. } if config.micro_batch.is_none() => {
            let Some(micro) = (1..=fits).rev().find(|fits| config.batch.is_multiple_of(*fits)) else {
                return error;
            };
            Error::usage(format!("{error}, or add --micro-batch {micro} (see train --help)"))
        }
        other => other,
    }
}
