//! The one case list on every adapter, with injected checks and without.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use unheat::blocking::{adapters, block_on};
use unheat::cases::{self, Case};
use unheat::gpu::{Checks, Gpu};

/// Runs the cases with the numbers `wanted` on every adapter, on all cores: what takes time is drivers that
/// compile, and llvmpipe does that in the thread of a device's queue, so that every core needs a device.
fn run(wanted: &[usize], open: impl Fn(&wgpu::Adapter) -> unheat::Result<Gpu> + Sync) {
    let adapters = adapters();
    assert!(
        !adapters.is_empty(),
        "no Vulkan, Metal or DX12 adapter: run scripts/setup, which installs Mesa's software Vulkan driver"
    );
    for adapter in adapters {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            let gpu = Arc::new(open(&adapter).unwrap());
            let mut cases: Vec<Option<Case>> = cases::all().into_iter().map(Some).collect();
            while let Some(&number) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let case = cases[number].take().unwrap();
                let found = failure(&case, &gpu); // before the lock
                failures.lock().unwrap().extend(found);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(8) {
                scope.spawn(work);
            }
        });
        let failures = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "on {}:\n{}", adapter.get_info().name, failures.join("\n"));
    }
}

fn failure(case: &Case, gpu: &Arc<Gpu>) -> Option<String> {
    let Case { name, shape, tolerance, .. } = case;
    if let Some(missing) = case.missing(gpu) {
        eprintln!("{name} {shape}: skipped, {} has no {missing}", gpu.name());
        return None;
    }
    match gpu.block_on(case.error(gpu, false)) {
        Ok(error) if case.passes(error) => None,
        Ok(error) => Some(format!("{name} {shape}: {error:.1e} > {tolerance:.0e}")),
        Err(error) => Some(format!("{name} {shape}: {error}")),
    }
}

/// With 16- and 64-bit floats but no subgroups, so on the tiled kernels that are usual on GPUs; then with
/// what every WebGPU device has, and nothing else: no floats but those of 32 bits, no timestamps, nor larger
/// buffers; then on the adapter as it is, with its direct kernels where it has subgroups, and injected
/// checks, where one shape of every case is enough (`unheat check` runs them all). One after the other, since
/// drivers keep what they have compiled.
#[test]
fn every_case_agrees_with_the_reference_tiled_on_the_least_device_and_checked() {
    let names: Vec<String> = cases::all().into_iter().map(|case| case.name).collect();
    let all: Vec<usize> = (0..names.len()).collect();
    let floats = wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_F16;
    run(&all, |adapter| {
        let offered = adapter.limits().max_compute_workgroup_storage_size;
        let limits =
            wgpu::Limits { max_compute_workgroup_storage_size: offered.min(32 << 10), ..Default::default() };
        block_on(Gpu::open_with(adapter, Checks::Trusted, adapter.features() & floats, limits))
    });
    run(&all, |adapter| {
        block_on(Gpu::open_with(adapter, Checks::Trusted, wgpu::Features::empty(), wgpu::Limits::default()))
    });
    let mut seen = BTreeSet::new();
    let first: Vec<usize> = all.into_iter().filter(|&number| seen.insert(&names[number])).collect();
    run(&first, |adapter| block_on(Gpu::open(adapter, Checks::Checked)));
}
