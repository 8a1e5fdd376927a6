//! What is known of devices between runs: one file in the user's cache folder, which is made anew where it is
//! missing.
//!
//! A device is known by its adapter, back end, driver, driver's version and by whether its shaders are
//! checked; the whole file belongs to one version of unheat. What does not read as expected is ignored and
//! written anew.

use crate::gpu::runtime::variants::{Key, Variant, Variants};
use crate::gpu::{Checks, Gpu, Remedy};
use crate::io::cache;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "tuning.toml";

/// What a device does best, and what it does right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDevice {
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
    /// The work that was measured; see [`tuning::describe`](crate::engine::tuning::describe).
    pub measured: Vec<String>,
    /// The kinds of training whose kernels passed the self-test.
    #[serde(default)]
    pub tested: Vec<String>,
    /// The kinds of training whose last self-test failed, with what it has said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub distrusted: BTreeMap<String, String>,
    /// What makes kernels right that failed the self-test.
    #[serde(default, rename = "remedy", skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// The variants that were measured to be the fastest.
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
struct KnownDevices {
    /// The version of unheat whose kernels were measured.
    unheat: String,
    #[serde(default, rename = "device")]
    devices: Vec<KnownDevice>,
}

/// The cache's file; none where the system names no folder for it.
pub fn path() -> Option<PathBuf> {
    cache::folder().map(|folder| folder.join(FILE))
}

impl KnownDevice {
    /// What the file `path` says about a device; nothing, where it does not know it.
    pub fn recall(gpu: &Gpu, path: Option<&Path>) -> Self {
        let unknown = Self::of(gpu);
        path.and_then(|path| KnownDevices::read(path).find(&unknown).cloned()).unwrap_or(unknown)
    }

    /// Writes what is known into the file `path`, and returns that.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written, [`Error::Usage`] where there is no `path`, since the system
    /// names no folder for caches.
    pub fn keep(self, path: Option<&Path>) -> Result<PathBuf> {
        let path = path.ok_or_else(|| {
            let variable = cache::FOLDER_VARIABLE;
            Error::usage(format!("this system names no folder for caches; {variable} can name one"))
        })?;
        KnownDevices::keep(path, self).map(|()| path.to_owned())
    }

    /// A device of which nothing is known.
    fn of(gpu: &Gpu) -> Self {
        let info = gpu.info();
        Self {
            adapter: info.name.clone(),
            backend: info.backend.to_string(),
            driver: info.driver.clone(),
            // Metal's driver and compiler come with the system, and wgpu tells nothing of them.
            driver_version: match info.driver_info.is_empty() {
                true => sysinfo::System::long_os_version().unwrap_or_default(),
                false => info.driver_info.clone(),
            },
            checked: gpu.checks() == Checks::Checked,
            measured: Vec::new(),
            tested: Vec::new(),
            distrusted: BTreeMap::new(),
            remedies: Vec::new(),
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

    /// The variants that were measured to be the fastest.
    pub fn variants(&self) -> Variants {
        self.choices.iter().map(|choice| (choice.key.clone(), choice.variant)).collect()
    }
}

impl KnownDevices {
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

    fn find(&self, wanted: &KnownDevice) -> Option<&KnownDevice> {
        self.devices.iter().find(|device| device.is(wanted))
    }

    /// Writes the file with this device and the others that it holds now. Of two processes that do so at once
    /// one may lose its result, and measures again the next time.
    fn keep(path: &Path, device: KnownDevice) -> Result<()> {
        let mut contents = Self::read(path);
        contents.devices.retain(|other| !device.replaces(other));
        contents.devices.push(device);
        let text = toml::to_string(&contents).map_err(|e| Error::file(path, e.to_string()))?;
        let note = "# What unheat knows of this machine's devices: the fastest variants of its \
                    convolutions, and whether its kernels are right. Delete this file to have them measured \
                    and tested again.\n";
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

    fn device(adapter: &str, driver_version: &str) -> KnownDevice {
        KnownDevice {
            adapter: adapter.to_owned(),
            backend: "vulkan".to_owned(),
            driver: "d".to_owned(),
            driver_version: driver_version.to_owned(),
            checked: false,
            measured: vec!["batch 1".to_owned()],
            tested: vec!["sip".to_owned()],
            distrusted: [("gd".to_owned(), "adam differs\nby 1".to_owned())].into(),
            remedies: vec![
                Remedy { kernel: "adam".to_owned(), variant: None, zeroed: true },
                Remedy {
                    kernel: "conv3x3/a".to_owned(),
                    variant: Some(Variant::Direct { patch: 2 }),
                    zeroed: false,
                },
            ],
            choices: vec![choice("conv3x3/a", 8, 2), choice("conv3x3/b", 1, 1)],
        }
    }

    #[test]
    fn devices_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tuning.toml");
        assert!(KnownDevices::read(&path).devices.is_empty());
        let empty = KnownDevice { choices: Vec::new(), ..device("c", "1") };
        let all = [device("a", "1"), device("b \"quoted\"\n", "1"), empty];
        for device in &all {
            KnownDevices::keep(&path, device.clone()).unwrap();
        }
        assert_eq!(KnownDevices::read(&path).devices, all);
        // A new driver replaces the old one.
        KnownDevices::keep(&path, device("a", "2")).unwrap();
        let found = KnownDevices::read(&path).devices;
        assert_eq!(found.len(), 3);
        assert!(found.contains(&device("a", "2")) && !found.contains(&device("a", "1")));
    }

    #[test]
    fn a_device_is_known_by_everything_that_changes_its_kernels() {
        let one = device("a", "1");
        assert!(one.is(&one.clone()));
        for other in [
            device("b", "1"),
            device("a", "2"),
            KnownDevice { backend: "metal".to_owned(), ..one.clone() },
            KnownDevice { driver: "e".to_owned(), ..one.clone() },
            KnownDevice { checked: true, ..one.clone() },
        ] {
            assert!(!one.is(&other), "{other:?}");
        }
    }

    #[test]
    fn what_unheat_has_not_written_is_ignored_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        KnownDevices::keep(&path, device("a", "1")).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        assert_eq!(KnownDevices::read(&path).devices.len(), 1);
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
            assert!(KnownDevices::read(&path).devices.is_empty(), "{text}");
            KnownDevices::keep(&path, device("a", "1")).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), good);
        }
    }
}
