//! The tuned variants of the convolutions between runs.

use crate::Result;
use crate::engine::known_devices::{Choice, KnownDevice};
use crate::gpu::Gpu;
use crate::gpu::tune::{self, LIMIT, Workload};
use crate::model::{Activation, UNetConfig};
use std::path::{Path, PathBuf};

/// Where the variants in force come from.
#[derive(Debug)]
pub enum Tuned {
    /// An earlier run.
    Known,
    /// They were measured now.
    Now {
        /// What that took.
        outcome: tune::Outcome,
        /// The file that keeps them, or why none does.
        kept: Result<PathBuf>,
    },
}

/// Puts the variants in force that are known for this device, whatever work they were measured for; kernels
/// take the one for the most similar work.
pub fn recall(gpu: &Gpu, path: Option<&Path>) {
    gpu.set_variants(KnownDevice::recall(gpu, path).variants());
}

/// Puts the fastest variants for this work in force: those in the file `path`, or where it does not know this
/// work, those that are measured now, which it then keeps.
///
/// # Errors
/// Those of [`tune::tune`]; not that the file cannot be read or written.
pub fn tuned(gpu: &Gpu, work: &Workload, path: Option<&Path>) -> Result<Tuned> {
    let mut device = KnownDevice::recall(gpu, path);
    gpu.set_variants(device.variants());
    let described = describe(work);
    if device.measured.contains(&described) {
        return Ok(Tuned::Known);
    }
    let outcome = gpu.block_on(tune::tune(gpu, work, LIMIT))?;
    device.measured.push(described);
    device.choices =
        gpu.variants().iter().map(|(key, variant)| Choice { key: key.clone(), variant }).collect();
    Ok(Tuned::Now { outcome, kept: device.keep(path) })
}

/// The work in words, as the file has it.
pub fn describe(work: &Workload) -> String {
    format!("batch {}, {}", work.batch, describe_kernels(work))
}

/// The work in words, but for how much of it there is.
pub fn describe_kernels(work: &Workload) -> String {
    let Workload { net, storage, nx, ny, .. } = work;
    // Paddings have the same kernels but for a constant.
    let UNetConfig { filters, activation, batch_norm, res_blocks, .. } = &net.config;
    let function = match activation {
        Activation::Relu => String::new(),
        other => format!(", activation {other}"),
    };
    let norm = if *batch_norm { "" } else { ", no batch norm" };
    let blocks = if *res_blocks { ", residual" } else { "" };
    format!("{nx}x{ny}, filters {filters:?}, activations {storage}{function}{norm}{blocks}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DType, Padding, UNet};

    #[test]
    fn work_is_known_by_everything_that_changes_its_kernels() {
        let net = |filters| UNet::new(&UNetConfig::new(4, &[filters], Padding::Circular).unwrap());
        let [small, large] = [net(8), net(16)];
        let silu = UNet::new(&UNetConfig { activation: Activation::Silu, ..small.config.clone() });
        let plain = UNet::new(&UNetConfig { batch_norm: false, ..small.config.clone() });
        let residual = UNet::new(&UNetConfig { res_blocks: true, ..small.config.clone() });
        let one = Workload { net: &small, storage: DType::F32, batch: 16, nx: 64, ny: 32 };
        for other in [
            Workload { net: &large, ..one },
            Workload { net: &silu, ..one },
            Workload { net: &plain, ..one },
            Workload { net: &residual, ..one },
            Workload { storage: DType::F16, ..one },
            Workload { batch: 17, ..one },
            Workload { nx: 32, ..one },
            Workload { ny: 64, ..one },
        ] {
            assert_ne!(describe(&one), describe(&other));
        }
    }
}
