//! `unheat devices`.

use crate::Error;
use crate::blocking::adapters;
use crate::cli::outcome::Outcome;
use crate::cli::terminal::messages::say;
use crate::engine::device::NO_ADAPTER;
use clap::Args;
use std::process::ExitCode;

#[derive(Args)]
pub(super) struct Arguments {}

pub(super) fn run(_: Arguments) -> Outcome {
    let adapters = adapters();
    if adapters.is_empty() {
        return Err(Error::Device(NO_ADAPTER.to_owned()));
    }
    for (index, adapter) in adapters.iter().enumerate() {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let yes = |feature| if features.contains(feature) { "yes" } else { "no" };
        say!("{index}: {}", info.name);
        say!("   kind             {:?} through {}", info.device_type, info.backend);
        say!("   driver           {} {}", info.driver, info.driver_info);
        say!("   f16 / f64        {} / {}", yes(wgpu::Features::SHADER_F16), yes(wgpu::Features::SHADER_F64));
        say!("   timestamps       {}", yes(wgpu::Features::TIMESTAMP_QUERY));
        say!(
            "   subgroups        {} ({} to {})",
            yes(wgpu::Features::SUBGROUP),
            info.subgroup_min_size,
            info.subgroup_max_size
        );
        say!("   largest binding  {} MiB", limits.max_storage_buffer_binding_size >> 20);
        say!("   largest buffer   {} MiB", limits.max_buffer_size >> 20);
        say!("   workgroup memory {} KiB", limits.max_compute_workgroup_storage_size >> 10);
        say!("   invocations      {} per workgroup", limits.max_compute_invocations_per_workgroup);
    }
    Ok(ExitCode::SUCCESS)
}
