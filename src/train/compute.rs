//! Which device computes: a GPU, or the CPU engine.

use crate::gpu::{Checks, Gpu, device};
use crate::{Error, Result};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

/// What `--device` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU if there is one, else the CPU engine.
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
        Ok(match (text, text.parse()) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            (_, Ok(index)) => Self::Index(index),
            (name, _) => Self::Name(name.to_owned()),
        })
    }
}

/// An engine's hardware.
#[derive(Clone)]
pub enum Compute {
    /// This crate's CPU twins.
    Cpu,
    /// An open GPU.
    Gpu(Arc<Gpu>),
}

impl Compute {
    /// Opens what `choice` names.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        let adapter = match choice {
            DeviceChoice::Cpu => None,
            DeviceChoice::Auto => best(device::adapters()),
            DeviceChoice::Index(_) | DeviceChoice::Name(_) => Some(find(choice)?),
        };
        match adapter {
            Some(adapter) => Ok(Self::Gpu(Arc::new(Gpu::open(&adapter, Checks::default())?))),
            None => Ok(Self::Cpu),
        }
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

/// The adapter with a number or name; the error lists what there is.
pub fn find(choice: &DeviceChoice) -> Result<wgpu::Adapter> {
    let mut adapters = device::adapters();
    let list = |adapters: &[wgpu::Adapter]| {
        let names = adapters.iter().enumerate().map(|(i, a)| format!("{i}: {}", a.get_info().name));
        names.collect::<Vec<_>>().join(", ")
    };
    if adapters.is_empty() {
        return Err(Error::Usage(NO_ADAPTER.to_owned()));
    }
    let matching: Vec<usize> = match choice {
        DeviceChoice::Index(index) => (0..adapters.len()).filter(|i| i == index).collect(),
        DeviceChoice::Name(name) => {
            let wanted = name.to_lowercase();
            let matches = |i: &usize| adapters[*i].get_info().name.to_lowercase().contains(&wanted);
            (0..adapters.len()).filter(matches).collect()
        }
        DeviceChoice::Auto | DeviceChoice::Cpu => Vec::new(),
    };
    let asked = match choice {
        DeviceChoice::Index(index) => index.to_string(),
        DeviceChoice::Name(name) => name.clone(),
        DeviceChoice::Auto => "auto".to_owned(),
        DeviceChoice::Cpu => "cpu".to_owned(),
    };
    match matching[..] {
        [one] => Ok(adapters.swap_remove(one)),
        [] => Err(Error::usage(format!(
            "device '{asked}': no such adapter; there are {} (or auto, cpu)",
            list(&adapters)
        ))),
        _ => Err(Error::usage(format!(
            "device '{asked}' matches several adapters: {}; use the number",
            list(&adapters)
        ))),
    }
}

/// What to do where no adapter is found.
pub const NO_ADAPTER: &str = "no Vulkan, Metal or DX12 adapter found; install the GPU's Vulkan driver, or a software one (scripts/setup does; on Debian and Ubuntu: apt install mesa-vulkan-drivers)";

/// The fastest kind of real GPU, the first of its kind.
fn best(adapters: Vec<wgpu::Adapter>) -> Option<wgpu::Adapter> {
    let rank = |adapter: &wgpu::Adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => Some(0),
        wgpu::DeviceType::IntegratedGpu => Some(1),
        wgpu::DeviceType::VirtualGpu => Some(2),
        wgpu::DeviceType::Other => Some(3),
        wgpu::DeviceType::Cpu => None,
    };
    adapters.into_iter().filter(|a| rank(a).is_some()).min_by_key(|a| rank(a))
}
