//! The one case list on every adapter, with injected checks and without.

use std::sync::Arc;
use unheat::blocking::{adapters, block_on};
use unheat::cases;
use unheat::gpu::{Checks, Gpu};

fn run(open: impl Fn(&wgpu::Adapter) -> unheat::Result<Gpu>) {
    let adapters = adapters();
    assert!(
        !adapters.is_empty(),
        "no Vulkan, Metal or DX12 adapter: run scripts/setup, which installs Mesa's software Vulkan driver"
    );
    for adapter in adapters {
        let gpu = Arc::new(open(&adapter).unwrap());
        let mut failures = Vec::new();
        for case in cases::all() {
            if let Some(missing) = case.missing(&gpu) {
                eprintln!("{} {}: skipped, {} has no {missing}", case.name, case.shape, gpu.name());
                continue;
            }
            match case.error(&gpu, false) {
                Ok(error) if case.passes(error) => {}
                Ok(error) => failures
                    .push(format!("{} {}: {error:.1e} > {:.0e}", case.name, case.shape, case.tolerance)),
                Err(error) => failures.push(format!("{} {}: {error}", case.name, case.shape)),
            }
        }
        assert!(failures.is_empty(), "on {}:\n{}", gpu.name(), failures.join("\n"));
    }
}

/// On the adapter as it is; then with what every WebGPU device has, and nothing else: no f16, f64, timestamps, subgroups,
/// nor larger buffers. One after the other, since drivers keep what they have compiled.
#[test]
fn every_case_agrees_with_the_reference_trusted_and_on_the_least_device() {
    run(|adapter| block_on(Gpu::open(adapter, Checks::Trusted)));
    run(|adapter| {
        block_on(Gpu::open_with(adapter, Checks::Trusted, wgpu::Features::empty(), wgpu::Limits::default()))
    });
}

#[test]
fn every_case_agrees_with_the_reference_checked() {
    run(|adapter| block_on(Gpu::open(adapter, Checks::Checked)));
}
