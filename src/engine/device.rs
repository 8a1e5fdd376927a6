//! Which device computes: a GPU, or the CPU engine.

use crate::blocking::{adapters, check_wait_limit};
use crate::engine::ranks::environment::Rank;
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
    /// The adapter whose name contains this, whatever the case. It has a letter: what looks like a number,
    /// such as that of a driver's version, names no adapter.
    Name(String),
}

impl FromStr for DeviceChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit()); // Rust reads +1 as well
        Ok(match (text.to_lowercase().as_str(), text.parse()) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            (_, Ok(index)) if is_number => Self::Index(index),
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
            Self::Cpu => match rayon::current_num_threads() {
                1 => "CPU engine, 1 thread".to_owned(),
                threads => format!("CPU engine, {threads} threads"),
            },
            Self::Gpu(gpu) => {
                let info = gpu.info();
                format!("{} ({}, {})", info.name, info.backend, info.driver_info)
            }
        }
    }
}

/// The numbers of all real GPUs, for work that is spread over them; none where there is no real one.
pub fn real_gpus() -> Vec<usize> {
    let infos: Vec<wgpu::AdapterInfo> = adapters().iter().map(wgpu::Adapter::get_info).collect();
    several::all(&infos)
}

/// What one of several processes opens where this is asked for: by itself each takes one of the real GPUs of
/// its machine, in turn.
pub fn choice_of(rank: Rank, asked: DeviceChoice) -> DeviceChoice {
    match (asked, &real_gpus()[..]) {
        (DeviceChoice::Auto, []) => DeviceChoice::Cpu,
        (DeviceChoice::Auto, gpus) => DeviceChoice::Index(gpus[rank.local % gpus.len()]),
        (named, _) => named,
    }
}

/// Whether what is asked for computes on the processor's cores and in the system's memory, as the CPU engine
/// and software adapters do. It is not opened.
///
/// # Errors
/// [`Error::Usage`] for an unknown device.
pub fn computes_on_cores(choice: &DeviceChoice) -> Result<bool> {
    match choice {
        DeviceChoice::Cpu => Ok(true),
        DeviceChoice::Auto => Ok(real_gpus().is_empty()),
        DeviceChoice::Index(_) | DeviceChoice::Name(_) => {
            Ok(find(choice)?.get_info().device_type == wgpu::DeviceType::Cpu)
        }
    }
}

/// The adapter with a number or name; the error lists what there is.
///
/// # Errors
/// [`Error::Usage`] where there is none, or several have the name.
pub fn find(choice: &DeviceChoice) -> Result<wgpu::Adapter> {
    let mut adapters = adapters();
    let names: Vec<(String, wgpu::Backend)> =
        adapters.iter().map(wgpu::Adapter::get_info).map(|info| (info.name, info.backend)).collect();
    number(choice, &names).map(|number| adapters.swap_remove(number))
}

/// The number of the adapter that is meant, among those with these names.
fn number(choice: &DeviceChoice, names: &[(String, wgpu::Backend)]) -> Result<usize> {
    let asked = match choice {
        DeviceChoice::Name(name) => name.clone(),
        DeviceChoice::Index(index) => index.to_string(),
        DeviceChoice::Auto | DeviceChoice::Cpu => format!("{choice:?}").to_lowercase(),
    };
    if names.is_empty() {
        return Err(Error::usage(format!("device '{asked}': {NO_ADAPTER}")));
    }
    let list = |numbers: &[usize]| {
        let describe = |&i: &usize| format!("{i}: {} ({})", names[i].0, names[i].1);
        numbers.iter().map(describe).collect::<Vec<_>>().join(", ")
    };
    let everything: Vec<usize> = (0..names.len()).collect();
    let matching: Vec<usize> = match choice {
        DeviceChoice::Index(index) => everything.iter().copied().filter(|i| i == index).collect(),
        DeviceChoice::Name(name) if name.chars().any(char::is_alphabetic) => {
            let wanted = name.to_lowercase();
            everything.iter().copied().filter(|&i| names[i].0.to_lowercase().contains(&wanted)).collect()
        }
        DeviceChoice::Name(_) | DeviceChoice::Auto | DeviceChoice::Cpu => Vec::new(),
    };
    match matching[..] {
        [one] => Ok(one),
        [] => Err(Error::usage(format!(
            "device '{asked}': no such adapter; there are {}; give a number of these, a part of a name that \
             has a letter, auto or cpu",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_index_and_a_name_has_a_letter() {
        let names: Vec<(String, wgpu::Backend)> =
            ["llvmpipe (LLVM 15.0.6, 256 bits)", "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3090"]
                .map(|name| (name.to_owned(), wgpu::Backend::Vulkan))
                .to_vec();
        let found = |text: &str, names: &[(String, wgpu::Backend)]| {
            let Ok(choice) = text.parse::<DeviceChoice>();
            number(&choice, names).map_err(|error| error.to_string())
        };
        for (text, expected) in
            [("0", 0), ("2", 2), ("002", 2), ("LLVM", 0), ("rtx 4090", 1), ("X 3", 2), ("llvm 15.0.6", 0)]
        {
            assert_eq!(found(text, &names), Ok(expected), "{text}");
        }
        for text in [
            "3",
            "15",
            "256",
            "4090",
            "15.0.6",
            "-1",
            "+1",
            "1.0",
            "1e0",
            " 1",
            "",
            " ",
            "(",
            ",",
            "0x1",
            "١",
            "99999999999999999999",
            "18446744073709551616",
            "6, 256",
        ] {
            let said = found(text, &names).unwrap_err();
            let lists = said.contains("no such adapter; there are 0: llvmpipe") && said.contains("2: NVIDIA");
            assert!(lists && said.contains("has a letter"), "{text}: {said}");
        }
        let said = found("nvidia", &names).unwrap_err();
        assert!(said.contains("1: NVIDIA GeForce RTX 4090 (vulkan), 2:") && said.contains("use the number"));
        for text in ["1", "llvm"] {
            assert!(found(text, &[]).unwrap_err().contains("no Vulkan, Metal or DX12 adapter"));
        }
        assert_eq!(found("1", &names[..1]).unwrap_err().matches("llvmpipe").count(), 1);
    }
}
