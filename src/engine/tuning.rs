//! The tuned variants of the convolutions between runs: one file in the user's cache folder, which is
//! made anew where it is missing.
//!
//! A device is known by its adapter, back end, driver, driver's version and by whether its shaders are
//! checked; the whole file belongs to one version of unheat. What does not read as expected is ignored and
//! written anew.

use crate::gpu::runtime::variants::{Key, Variant, Variants};
use crate::gpu::tune::{self, LIMIT, Workload};
use crate::gpu::{Checks, Gpu};
use crate::io::cache;
use crate::model::{Activation, UNetConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "tuning.toml";

/// What a device was measured to do best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedDevice {
    /// The adapter's name.
    pub adapter: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_version: String,
    /// Whether wgpu checks every access.
    pub checked: bool,
    /// The work that was measured; see [`describe`].
    pub measured: Vec<String>,
    /// The choices.
    #[serde(default, rename = "choice")]
    pub choices: Vec<Choice>,
}

/// The variant for some work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The variant.
    pub variant: Variant,
    /// The work.
    #[serde(flatten)]
    pub key: Key,
}

/// The whole file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// The version of unheat whose kernels were measured.
    unheat: String,
    #[serde(default, rename = "device")]
    devices: Vec<TunedDevice>,
}

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

/// The cache's file; none where the system names no folder for it.
pub fn path() -> Option<PathBuf> {
    cache::folder().map(|folder| folder.join(FILE))
}

/// Puts the variants in force that are known for this device, whatever work they were measured for; kernels
/// take the one for the most similar work.
pub fn recall(gpu: &Gpu, path: Option<&Path>) {
    if let Some(device) = path.and_then(|path| Contents::read(path).find(gpu).cloned()) {
        gpu.set_variants(device.variants());
    }
}

/// Puts the fastest variants for this work in force: those in the file `path`, or where it does not know this
/// work, those that are measured now, which it then keeps.
///
/// # Errors
/// Those of [`tune::tune`]; not that the file cannot be read or written.
pub fn tuned(gpu: &Gpu, work: &Workload, path: Option<&Path>) -> Result<Tuned> {
    let known = path.and_then(|path| Contents::read(path).find(gpu).cloned());
    let mut device = known.unwrap_or_else(|| TunedDevice::of(gpu));
    gpu.set_variants(device.variants());
    let described = describe(work);
    if device.measured.contains(&described) {
        return Ok(Tuned::Known);
    }
    let outcome = gpu.block_on(tune::tune(gpu, work, LIMIT))?;
    device.measured.push(described);
    device.choices =
        gpu.variants().iter().map(|(key, variant)| Choice { key: key.clone(), variant }).collect();
    let kept = match path {
        Some(path) => Contents::keep(path, device).map(|()| path.to_owned()),
        None => Err(Error::usage(format!(
            "this system names no folder for caches; {} can name one",
            cache::FOLDER_VARIABLE
        ))),
    };
    Ok(Tuned::Now { outcome, kept })
}

/// The work in words, as the file has it.
pub fn describe(work: &Workload) -> String {
    let Workload { net, storage, batch, nx, ny } = work;
    // Paddings have the same kernels but for a constant.
    let UNetConfig { filters, activation, batch_norm, res_blocks, .. } = &net.config;
    let function = match activation {
        Activation::Relu => String::new(),
        other => format!(", activation {other}"),
    };
    let norm = if *batch_norm { "" } else { ", no batch norm" };
    let blocks = if *res_blocks { ", residual" } else { "" };
    format!("batch {batch}, {nx}x{ny}, filters {filters:?}, activations {storage}{function}{norm}{blocks}")
}

impl TunedDevice {
    /// A device of which nothing is known.
    fn of(gpu: &Gpu) -> Self {
        let info = gpu.info();
        Self {
            adapter: info.name.clone(),
            backend: info.backend.to_string(),
            driver: info.driver.clone(),
            driver_version: info.driver_info.clone(),
            checked: gpu.checks() == Checks::Checked,
            measured: Vec::new(),
            choices: Vec::new(),
        }
    }

    /// Whether both are the same hardware and kind of shader, perhaps with different drivers.
    fn replaces(&self, other: &Self) -> bool {
        (&self.adapter, &self.backend, self.checked) == (&other.adapter, &other.backend, other.checked)
    }

    fn is(&self, other: &Self) -> bool {
        let drivers = (&self.driver, &self.driver_version) == (&other.driver, &other.driver_version);
        self.replaces(other) && drivers
    }

    fn variants(&self) -> Variants {
        self.choices.iter().map(|choice| (choice.key.clone(), choice.variant)).collect()
    }
}

impl Contents {
    fn new() -> Self {
        Self { unheat: env!("CARGO_PKG_VERSION").to_owned(), devices: Vec::new() }
    }

    /// What the file holds; nothing, where it is missing, of another version or not what unheat writes.
    fn read(path: &Path) -> Self {
        let parse = |text: String| -> Result<Self> {
            let found: Self = toml::from_str(&text).map_err(|e| Error::file(path, e.message().to_owned()))?;
            if found.unheat == Self::new().unheat {
                return Ok(found);
            }
            Err(Error::file(path, "of another version"))
        };
        match cache::read(path).and_then(|text| text.map_or(Ok(Self::new()), parse)) {
            Ok(contents) => contents,
            Err(error) => {
                log::debug!("ignored and replaced: {error}");
                Self::new()
            }
        }
    }

    fn find(&self, gpu: &Gpu) -> Option<&TunedDevice> {
        let wanted = TunedDevice::of(gpu);
        self.devices.iter().find(|device| device.is(&wanted))
    }

    /// Writes the file with this device and the others that it holds now. Of two processes that do so at once
    /// one may lose its result, and measures again the next time.
    fn keep(path: &Path, device: TunedDevice) -> Result<()> {
        let mut contents = Self::read(path);
        contents.devices.retain(|other| !device.replaces(other));
        contents.devices.push(device);
        let text = toml::to_string(&contents).map_err(|e| Error::file(path, e.to_string()))?;
        let note = "# The fastest variants of unheat's convolutions on this machine. \
                    Delete this file to have them measured again.\n";
        cache::write(path, &format!("{note}{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(kernel: &str, patch: u32, channels: u32) -> Choice {
        let key = Key { kernel: kernel.to_owned(), tile: [1, 16, 16], block_quads: 4, tiles: 2048 };
        Choice { key, variant: Variant::Tiled { patch, channels } }
    }

    fn device(adapter: &str, driver_version: &str) -> TunedDevice {
        TunedDevice {
            adapter: adapter.to_owned(),
            backend: "vulkan".to_owned(),
            driver: "d".to_owned(),
            driver_version: driver_version.to_owned(),
            checked: false,
            measured: vec!["batch 1".to_owned()],
            choices: vec![choice("conv3x3/a", 8, 2), choice("conv3x3/b", 1, 1)],
        }
    }

    #[test]
    fn devices_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tuning.toml");
        assert!(Contents::read(&path).devices.is_empty());
        let empty = TunedDevice { choices: Vec::new(), ..device("c", "1") };
        let all = [device("a", "1"), device("b \"quoted\"\n", "1"), empty];
        for device in &all {
            Contents::keep(&path, device.clone()).unwrap();
        }
        assert_eq!(Contents::read(&path).devices, all);
        // A new driver replaces the old one.
        Contents::keep(&path, device("a", "2")).unwrap();
        let found = Contents::read(&path).devices;
        assert_eq!(found.iter().map(|d| (&*d.adapter, &*d.driver_version)).collect::<Vec<_>>().len(), 3);
        assert!(found.contains(&device("a", "2")) && !found.contains(&device("a", "1")));
    }

    #[test]
    fn a_device_is_known_by_everything_that_changes_its_kernels() {
        let one = device("a", "1");
        assert!(one.is(&one.clone()));
        for other in [
            device("b", "1"),
            device("a", "2"),
            TunedDevice { backend: "metal".to_owned(), ..one.clone() },
            TunedDevice { driver: "e".to_owned(), ..one.clone() },
            TunedDevice { checked: true, ..one.clone() },
        ] {
            assert!(!one.is(&other), "{other:?}");
        }
    }

    #[test]
    fn work_is_known_by_everything_that_changes_its_kernels() {
        use crate::model::{DType, Padding, UNet};
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

    #[test]
    fn what_unheat_has_not_written_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        Contents::keep(&path, device("a", "1")).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Contents::read(&path).devices.len(), 1);
        for text in [
            "",
            "not toml",
            &good[..good.len() / 2],
            &good.replace("unheat = \"", "unheat = \"0.0."),
            &good.replace("tiled 8x2", "tiled -8x2"),
            &good.replace("tiled 8x2", "tiled 8"),
            &good.replace("tiled 8x2", "tiled 99999999999x2"),
            &good.replace("\"tiled 8x2\"", "[8, 2]"),
            &good.replace("tiles = 2048", "tiles = 1e300"),
            &good.replace("checked = false", "checked = 3"),
        ] {
            assert_ne!(text, good);
            std::fs::write(&path, text).unwrap();
            assert!(Contents::read(&path).devices.is_empty(), "{text}");
            Contents::keep(&path, device("a", "1")).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
        }
    }
}
