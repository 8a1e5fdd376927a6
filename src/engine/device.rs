//! Which device computes: a GPU, or the CPU engine.

use crate::blocking::{adapters, check_wait_limit};
use crate::engine::several;
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

/// Which device is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU if there is one, else the CPU engine. Of several the first discrete one, unless another is
    /// clearly faster.
    Auto,
    /// The CPU engine.
    Cpu,
    /// The adapter of this number in `unheat devices`.
    Index(usize),
    /// The adapter whose name contains this, whatever the case.
    Name(String),
}

impl FromStr for DeviceChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(match (text.to_lowercase().as_str(), text.parse()) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            (_, Ok(index)) => Self::Index(index),
            _ => Self::Name(text.to_owned()),
        })
    }
}

/// An engine's hardware.
#[derive(Clone)]
pub enum Device {
    /// This crate's CPU twins.
    Cpu,
    /// An open GPU.
    Gpu(Arc<Gpu>),
}

impl Device {
    /// Opens what `choice` names. A GPU that cannot be opened is logged for [`DeviceChoice::Auto`], and the
    /// CPU engine taken.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown device or a wrong environment variable, [`Error::Device`] where a
    /// named one refuses.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        Self::open_with_reason(choice).map(|(device, _)| device)
    }

    /// As [`Device::open`]; where there were several GPUs to choose from, with a line that says which one was
    /// taken and why.
    pub fn open_with_reason(choice: &DeviceChoice) -> Result<(Self, Option<String>)> {
        check_wait_limit()?; // before anything is made that a failed wait would leave behind
        let opened = match choice {
            DeviceChoice::Cpu => return Ok((Self::Cpu, None)),
            DeviceChoice::Index(_) | DeviceChoice::Name(_) => several::open(&[&find(choice)?])?,
            DeviceChoice::Auto => {
                let adapters = adapters();
                let infos: Vec<wgpu::AdapterInfo> = adapters.iter().map(wgpu::Adapter::get_info).collect();
                let real: Vec<&wgpu::Adapter> =
                    several::real(&infos).into_iter().map(|i| &adapters[i]).collect();
                if real.is_empty() {
                    return Ok((Self::Cpu, None));
                }
                match several::open(&real) {
                    Ok(opened) => opened,
                    Err(error @ Error::Usage(_)) => return Err(error),
                    Err(error) => {
                        log::warn!("{error}; the CPU engine takes over");
                        return Ok((Self::Cpu, None));
                    }
                }
            }
        };
        let (gpu, reason) = opened;
        Ok((Self::Gpu(Arc::new(gpu)), reason))
    }

    /// One line that says what computes.
    pub fn describe(&self) -> String {
        match self {
            Self::Cpu => format!("CPU engine, {} threads", rayon::current_num_threads()),
            Self::Gpu(gpu) => {
                let info = gpu.info();
                format!("{} ({}, {})", info.name, info.backend, info.driver_info)
            }
        }
    }
}

/// The adapter with a number or name; the error lists what there is. A number beyond the last adapter's is
/// tried as a part of a name (4090).
pub fn find(choice: &DeviceChoice) -> Result<wgpu::Adapter> {
    let mut adapters = adapters();
    if adapters.is_empty() {
        let asked = match choice {
            DeviceChoice::Name(name) => name.clone(),
            DeviceChoice::Index(index) => index.to_string(),
            DeviceChoice::Auto | DeviceChoice::Cpu => format!("{choice:?}").to_lowercase(),
        };
        return Err(Error::usage(format!("device '{asked}': {NO_ADAPTER}")));
    }
    let list = |indices: &[usize]| {
        let describe = |&i: &usize| {
            let info = adapters[i].get_info();
            format!("{i}: {} ({})", info.name, info.backend)
        };
        indices.iter().map(describe).collect::<Vec<_>>().join(", ")
    };
    let everything: Vec<usize> = (0..adapters.len()).collect();
    let named = |name: &str| -> Vec<usize> {
        let wanted = name.to_lowercase();
        let matches = |&i: &usize| adapters[i].get_info().name.to_lowercase().contains(&wanted);
        everything.iter().copied().filter(matches).collect()
    };
    let (asked, matching) = match choice {
        DeviceChoice::Index(index) if *index < adapters.len() => (index.to_string(), vec![*index]),
        DeviceChoice::Index(index) => (index.to_string(), named(&index.to_string())),
        DeviceChoice::Name(name) if name.trim().is_empty() => (name.clone(), Vec::new()),
        DeviceChoice::Name(name) => (name.clone(), named(name)),
        DeviceChoice::Auto | DeviceChoice::Cpu => (format!("{choice:?}").to_lowercase(), Vec::new()),
    };
    match matching[..] {
        [one] => Ok(adapters.swap_remove(one)),
        [] => Err(Error::usage(format!(
            "device '{asked}': no such adapter; there are {} (or auto, cpu)",
            list(&everything)
        ))),
        _ => Err(Error::usage(format!(
            "device '{asked}' matches several adapters: {}; use the number",
            list(&matching)
        ))),
    }
}

/// What to do where no adapter is found.
pub const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter found; install the GPU's Vulkan driver, or a \
     software one (scripts/setup does; on Debian and Ubuntu: apt install mesa-vulkan-drivers)";
