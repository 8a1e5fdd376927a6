//! Whether the convolutions run in the variants that are fastest here, for the commands that run them.

use crate::cli::terminal::messages::note;
use crate::engine::Device;
use crate::engine::tuning::{self, Tuned};
use crate::gpu::Gpu;
use crate::gpu::tune::Workload;
use crate::train::{Plan, TrainConfig};
use crate::{Error, Result};
use clap::Args;

#[derive(Args)]
pub(crate) struct Tuning {
    /// Run the convolutions in variants that are good on most GPUs. Otherwise in the fastest for this one,
    /// which train, bench and check find in at most 10 s where that is new to them, and keep in the user's
    /// cache folder (UNHEAT_CACHE_DIR names another). Results are the same bit for bit; the CPU engine has
    /// one variant
    #[arg(long)]
    pub(crate) no_tune: bool,
}

impl Tuning {
    /// Finds the fastest variants for training as `config` says, unless they are known.
    pub(crate) fn find(&self, device: &Device, config: &TrainConfig, plan: &Plan) -> Result<()> {
        let Device::Gpu(gpu) = device else { return Ok(()) };
        if self.no_tune {
            return Ok(());
        }
        plan.check(device)?; // what does not fit is refused at once
        find(gpu, config, plan)
    }

    /// Takes the variants that are known, and measures nothing.
    pub(crate) fn recall(&self, device: &Device) {
        if let (Device::Gpu(gpu), false) = (device, self.no_tune) {
            tuning::recall(gpu, tuning::path().as_deref());
        }
    }
}

/// Finds the fastest variants for training as `config` says, unless they are known, and says so.
pub(crate) fn find(gpu: &Gpu, config: &TrainConfig, plan: &Plan) -> Result<()> {
    let work = Workload {
        net: &plan.step.net,
        storage: config.activations,
        batch: config.samples_at_once(),
        nx: config.size.nx,
        ny: config.size.ny,
    };
    match tuning::tuned(gpu, &work, tuning::path().as_deref()) {
        Ok(Tuned::Known) => {}
        Ok(Tuned::Now { outcome, kept }) => {
            let kept = match kept {
                Ok(path) => format!("kept in {}", path.display()),
                Err(error) => format!("not kept for the next run: {error}"),
            };
            note!("tuned the convolutions for {} in {:.1} s; {kept}", gpu.name(), outcome.seconds);
        }
        Err(Error::OutOfMemory(message)) => note!("the convolutions are not tuned: {message}"),
        Err(error) => return Err(error),
    }
    Ok(())
}
