//! What is dropped is gone: trainers made and dropped again and again leave no memory behind, on the host or
//! the device.

mod support;

use std::sync::Arc;
use support::adapters;
use unheat::blocking::block_on;
use unheat::engine::Device;
use unheat::gpu::runtime::memory::MemoryUse;
use unheat::gpu::{Checks, Gpu};
use unheat::model::UNetConfig;
use unheat::train::{Size, TrainConfig};

/// Resident memory of this process in KiB; none where the system does not tell.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// Bytes of living buffers, by unheat's own count.
fn allocated(gpu: &Gpu) -> u64 {
    MemoryUse::ALL.into_iter().map(|memory_use| gpu.memory(memory_use)).sum()
}

fn config() -> TrainConfig {
    TrainConfig {
        batch: 2,
        size: Size { nx: 16, ny: 16 },
        levels: 2,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        ..TrainConfig::default()
    }
}

fn cycle(device: &Device, config: &TrainConfig) {
    let mut plan = config.plan().unwrap();
    let mut trainer = plan.trainer(device).unwrap();
    trainer.submit(&plan.data.batch(0)).unwrap();
    assert_eq!(trainer.losses(true).unwrap().len(), 1);
}

/// On an open device, and with a device of its own every time.
#[test]
fn trainers_leave_nothing_behind() {
    let cycles: u64 = std::env::var("UNHEAT_TRAINERS").map_or(24, |text| text.parse().expect("a number"));
    let config = config();
    let mut kinds: Vec<(String, Box<dyn Fn()>)> =
        vec![("CPU engine".to_owned(), Box::new(|| cycle(&Device::Cpu, &self::config())))];
    for adapter in adapters() {
        let name = adapter.get_info().name;
        let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::default())).unwrap());
        let before = allocated(&gpu);
        let (shared, settings) = (gpu.clone(), config.clone());
        kinds.push((
            format!("one device of {name}"),
            Box::new(move || {
                cycle(&Device::Gpu(shared.clone()), &settings);
                assert_eq!(allocated(&shared), before, "device memory by unheat's own count");
            }),
        ));
        let settings = config.clone();
        kinds.push((
            format!("devices of {name}"),
            Box::new(move || {
                let gpu = Arc::new(block_on(Gpu::open(&adapter, Checks::default())).unwrap());
                cycle(&Device::Gpu(gpu), &settings);
            }),
        ));
    }
    for (name, cycle) in kinds {
        // Caches of the allocator, the driver and wgpu fill in the beginning.
        (0..cycles / 4 + 4).for_each(|_| cycle());
        let before = resident();
        (0..cycles).for_each(|_| cycle());
        let Some((before, after)) = before.zip(resident()) else {
            println!("torture: {name}: memory NOT MEASURED: this system does not tell");
            continue;
        };
        let per_cycle = after.saturating_sub(before) as f64 / cycles as f64;
        println!("torture: {name}: {cycles} trainers made and dropped: {before} KiB became {after} KiB");
        // A trainer of this size holds about a megabyte. What drivers keep of a device is theirs
        // (docs/reliability.md).
        let most = if name.starts_with("devices") { 512.0 } else { 64.0 };
        assert!(per_cycle < most || after < before + 4096, "{name}: {per_cycle} KiB stay of every trainer");
    }
}
