//! `unheat devices`.

use crate::Error;
use crate::blocking::adapters;
use crate::cli::errors::outcome::Outcome;
use crate::cli::terminal::messages::print_line;
use crate::engine::device::NO_ADAPTER;
use crate::gpu::adapters::is_fxc;
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
        print_line!("{index}: {}", info.name);
        print_line!("   kind             {:?} through {}", info.device_type, info.backend);
        print_line!("   driver           {} {}", info.driver, info.driver_info);
        if let Some(compiler) = shader_compiler(info.backend, features) {
            print_line!("   shader compiler  {compiler}");
        }
        print_line!(
            "   f16 / f64        {} / {}",
            yes(wgpu::Features::SHADER_F16),
            yes(wgpu::Features::SHADER_F64)
        );
        print_line!("   timestamps       {}", yes(wgpu::Features::TIMESTAMP_QUERY));
        print_line!(
            "   subgroups        {} ({} to {})",
            yes(wgpu::Features::SUBGROUP),
            info.subgroup_min_size,
            info.subgroup_max_size
        );
        print_line!("   largest binding  {} MiB", limits.max_storage_buffer_binding_size >> 20);
        print_line!("   largest buffer   {} MiB", limits.max_buffer_size >> 20);
        print_line!("   workgroup memory {} KiB", limits.max_compute_workgroup_storage_size >> 10);
        print_line!("   invocations      {} per workgroup", limits.max_compute_invocations_per_workgroup);
    }
    Ok(ExitCode::SUCCESS)
}

/// Which of Microsoft's compilers DX12 uses on an adapter with these features, and how to get the other one.
fn shader_compiler(backend: wgpu::Backend, features: wgpu::Features) -> Option<&'static str> {
    (backend == wgpu::Backend::Dx12).then(|| match is_fxc(backend, features) {
        false => "DXC (WGPU_DX12_COMPILER=fxc for FXC)",
        true => {
            "FXC: no f16, no subgroups (for DXC put dxcompiler.dll beside unheat.exe or on PATH, and leave \
             WGPU_DX12_COMPILER unset)"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::{Backend, Features};

    #[test]
    fn the_compiler_of_dx12_shows_in_its_features() {
        let said = |backend, features| shader_compiler(backend, features).map(|said| &said[..3]);
        assert_eq!(said(Backend::Dx12, Features::TIMESTAMP_QUERY), Some("FXC"));
        for newer in [Features::SUBGROUP, Features::SHADER_F16, Features::SHADER_INT64] {
            assert_eq!(said(Backend::Dx12, newer | Features::TIMESTAMP_QUERY), Some("DXC"));
            assert_eq!(said(Backend::Vulkan, newer), None);
        }
        assert_eq!(said(Backend::Metal, Features::SUBGROUP), None);
    }
}
