//! Whether the convolutions run in the variants that are fastest here, and whether the device is trusted, for
//! the commands that run them.

use crate::cli::terminal::messages::note;
use crate::engine::Device;
use crate::engine::known_devices::path;
use crate::engine::tuning::{self, Tuned};
use crate::gpu::Gpu;
use crate::gpu::tune::Workload;
use crate::model::{StepSpec, UNet};
use crate::train::TrainConfig;
use crate::trust::{self, Trust, Work};
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Args)]
pub(crate) struct Tuning {
    /// Run the convolutions in variants that are good on most GPUs. Otherwise in the fastest for this one,
    /// which train, bench and check find in at most 10 s where that is new to them, and keep in the user's
    /// cache folder (UNHEAT_CACHE_DIR names another). Results are the same bit for bit; the CPU engine has
    /// one variant
    #[arg(long)]
    pub(crate) no_tune: bool,
}

/// What makes a device ready for training.
#[derive(Args)]
pub(crate) struct Preparation {
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    /// Trust the device. Otherwise train, compare and reconstruct try every kernel that they will use against
    /// the CPU where the device, its driver or this kind of work is new to them, which takes some seconds,
    /// and keep the verdict beside the fastest variants
    #[arg(long)]
    pub(crate) no_self_test: bool,
}

impl Tuning {
    /// Makes a device ready for steps as `spec` says, for which it has room: finds its fastest variants,
    /// unless they are known.
    pub(crate) fn find(&self, device: &Device, spec: &StepSpec) -> Result<()> {
        match device {
            Device::Gpu(gpu) if !self.no_tune => find(gpu, spec),
            _ => Ok(()),
        }
    }

    /// Takes the variants that are known, and measures nothing.
    pub(crate) fn recall(&self, device: &Device) {
        if let (Device::Gpu(gpu), false) = (device, self.no_tune) {
            tuning::recall(gpu, path().as_deref());
        }
    }
}

impl Preparation {
    /// As [`Tuning::find`], and tests whether the device is right, unless that is known.
    pub(crate) fn prepare(&self, device: &Device, spec: &StepSpec) -> Result<()> {
        self.tuning.find(device, spec)?;
        self.test(device, &Work::Training(spec))
    }

    /// Tests whether a device is right for some work, unless that is known.
    pub(crate) fn test(&self, device: &Device, work: &Work) -> Result<()> {
        match device {
            Device::Gpu(gpu) if !self.no_self_test => test(gpu, work),
            _ => Ok(()),
        }
    }

    /// Takes the variants that are known, and tests whether the device is right for this
    /// network, unless that is known.
    pub(crate) fn recall(&self, device: &Device, net: &UNet) -> Result<()> {
        self.tuning.recall(device);
        let default = TrainConfig::default().plan()?.step;
        let spec = StepSpec { net: net.clone(), samples_at_once: 1, ..default };
        self.test(device, &Work::Inference(&spec))
    }
}

/// Tests whether a device is right for some work, unless that is known, and says so.
fn test(gpu: &Arc<Gpu>, work: &Work) -> Result<()> {
    let announce = || note!("testing {}, which is new to this work, against the CPU", gpu.name());
    let trust = trust::establish(gpu, work, path().as_deref(), announce)?;
    let Trust::Now { outcome, kept } = trust else { return Ok(()) };
    if !outcome.found.is_empty() {
        let remedies: Vec<String> = outcome.found.iter().map(ToString::to_string).collect();
        note!("{} fails the self-test as usual, and passes where {}", gpu.name(), remedies.join(", "));
    }
    let (cases, seconds) = (outcome.cases, outcome.time.as_secs_f64());
    let kept = describe_kept(&kept);
    note!("self-test: {cases} comparisons of {} with the CPU passed in {seconds:.1} s; {kept}", gpu.name());
    Ok(())
}

/// Where a result is kept, or why it is not.
fn describe_kept(kept: &Result<PathBuf>) -> String {
    match kept {
        Ok(path) => format!("kept in {}", path.display()),
        Err(error) => format!("not kept for the next run: {error}"),
    }
}

/// Finds the fastest variants for steps as `spec` says, unless they are known, and says so.
pub(crate) fn find(gpu: &Gpu, spec: &StepSpec) -> Result<()> {
    let StepSpec { net, activations: storage, samples_at_once: batch, operator, .. } = spec;
    let (nx, ny) = (operator.nx, operator.ny);
    let work = Workload { net, storage: *storage, batch: *batch, nx, ny };
    match tuning::tuned(gpu, &work, path().as_deref()) {
        Ok(Tuned::Known) => {}
        Ok(Tuned::Now { outcome, kept }) => {
            let kept = describe_kept(&kept);
            note!("tuned the convolutions for {} in {:.1} s; {kept}", gpu.name(), outcome.seconds);
        }
        Err(Error::OutOfMemory(message)) => note!("the convolutions are not tuned: {message}"),
        Err(error) => return Err(error),
    }
    Ok(())
}
