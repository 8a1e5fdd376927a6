//! The verdict of the self-test, between runs.

use crate::engine::known_devices::KnownDevice;
use crate::gpu::Gpu;
use crate::trust::self_test::{self, Outcome};
use crate::trust::work::Work;
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

/// Makes sure that the device is right for some work, with the variants in force and the remedies in the file
/// `path`: says so where that file knows it, and otherwise calls `announce` and tests it. The file keeps the
/// verdict.
///
/// # Errors
/// [`Error::Distrusted`] where a kernel is wrong whatever is done; [`Error::OutOfMemory`]; [`Error::Device`]
/// where the device is lost. Not that the file cannot be read or written.
pub fn establish(gpu: &Arc<Gpu>, work: &Work, path: Option<&Path>, announce: impl FnOnce()) -> Result<Trust> {
    let mut device = KnownDevice::recall(gpu, path);
    gpu.set_remedies(device.remedies.clone());
    let described = work.describe(gpu);
    if device.tested.contains(&described) {
        return Ok(Trust::Known);
    }
    announce();
    match self_test::run(gpu, work) {
        Ok(outcome) => {
            if !outcome.found.is_empty() {
                // What was right without them may not be right with them.
                device.tested.clear();
            }
            device.distrusted.remove(&described);
            device.tested.push(described);
            device.remedies = gpu.remedies();
            Ok(Trust::Now { outcome, kept: device.keep(path) })
        }
        Err(error) => {
            if let Error::Distrusted(what) = &error {
                device.distrusted.insert(described, what.clone());
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
    let mut said = Vec::new();
    match tested.len() {
        0 if distrusted.is_empty() => said.push("not tested yet".to_owned()),
        0 => {}
        1 => said.push("right for one kind of work".to_owned()),
        kinds => said.push(format!("right for {kinds} kinds of work")),
    }
    said.extend(remedies.iter().map(ToString::to_string));
    said.extend(distrusted.iter().map(|(kind, what)| format!("not to be trusted with {kind}: {what}")));
    said.join("; ")
}
