//! The verdict of the self-test, between runs.

use crate::engine::known_devices::KnownDevice;
use crate::engine::tuning;
use crate::gpu::tune::Workload;
use crate::gpu::{Gpu, Variants};
use crate::model::{HeatEquation, Padding, StepSpec};
use crate::trust::self_test::{self, Outcome};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a device is trusted.
#[derive(Debug)]
pub enum Trust {
    /// An earlier run has tested it.
    Known,
    /// It was tested now.
    Now {
        /// What that took, and found.
        outcome: Outcome,
        /// The file that keeps the verdict, or why none does.
        kept: Result<PathBuf>,
    },
}

/// Puts the remedies in force that are known for this device.
pub fn recall(gpu: &Gpu, path: Option<&Path>) {
    gpu.set_remedies(KnownDevice::recall(gpu, path).remedies);
}

/// Makes sure that the device is right for steps as `spec` says, with the variants in force and the remedies
/// in the file `path`: says so where that file knows it, and tests it otherwise. The file keeps the verdict.
///
/// # Errors
/// [`Error::Distrusted`] where a kernel is wrong whatever is done; [`Error::OutOfMemory`]. Not that the file
/// cannot be read or written.
pub fn establish(gpu: &Arc<Gpu>, spec: &StepSpec, path: Option<&Path>) -> Result<Trust> {
    let mut device = KnownDevice::recall(gpu, path);
    gpu.set_remedies(device.remedies.clone());
    let described = describe(gpu, spec);
    if device.tested.contains(&described) {
        return Ok(Trust::Known);
    }
    match self_test::run(gpu, spec) {
        Ok(outcome) => {
            device.tested.push(described);
            device.distrusted = None;
            device.remedies = gpu.remedies();
            Ok(Trust::Now { outcome, kept: device.keep(path) })
        }
        Err(error) => {
            if let Error::Distrusted(what) = &error {
                device.distrusted = Some(what.clone());
                if let Err(error) = device.keep(path) {
                    log::debug!("{error}");
                }
            }
            Err(error)
        }
    }
}

/// What the file `path` says about a device, in one line.
pub fn verdict(gpu: &Gpu, path: Option<&Path>) -> String {
    let KnownDevice { tested, distrusted, remedies, .. } = KnownDevice::recall(gpu, path);
    let remedies: Vec<String> = remedies.iter().map(ToString::to_string).collect();
    match (distrusted, tested.len()) {
        (Some(what), _) => format!("not to be trusted: {what}"),
        (None, 0) => "not tested yet".to_owned(),
        (None, kinds) => {
            let training = if kinds == 1 { "one kind".to_owned() } else { format!("{kinds} kinds") };
            let but =
                if remedies.is_empty() { String::new() } else { format!(", where {}", remedies.join(", ")) };
            format!("right for {training} of training{but}")
        }
    }
}

/// Everything that decides which kernels are built, in words.
fn describe(gpu: &Gpu, spec: &StepSpec) -> String {
    let StepSpec { net, heat: HeatEquation { nx, ny, .. }, objective, physics, activations, .. } = spec;
    let work = Workload { net, storage: *activations, batch: spec.samples_at_once, nx: *nx, ny: *ny };
    let noise = if objective.noise > 0.0 { ", noise" } else { "" };
    let padding = if net.config.padding == Padding::Zero { ", zero padding" } else { "" };
    let parts = if spec.micro_batches > 1 { ", micro-batches" } else { "" };
    let skip = if spec.skip_bad_steps { ", skips bad steps" } else { "" };
    let built = fingerprint(gpu);
    let method = objective.method.name();
    format!(
        "{}, {method}{noise}, physics {physics}{padding}{parts}{skip}, built {built:08x}",
        tuning::describe(&work)
    )
}

/// A checksum of what else decides how kernels are built: the variants in force and the device's features.
fn fingerprint(gpu: &Gpu) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    let variants: Variants = gpu.variants();
    for (key, variant) in variants.iter() {
        hash.update(format!("{key:?} {variant}\n").as_bytes());
    }
    hash.update(format!("{:?}", gpu.features()).as_bytes());
    hash.finalize()
}
