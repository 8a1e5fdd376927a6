//! Equal seeds give the bytes that they gave before: what a run leaves, compared with a table of checksums of
//! commit a1a5379. A change of structure must not touch them; a change of numbers renews the table, and
//! CHANGELOG.md says why.
//!
//! The table knows the CPU engine of x86-64 with fused multiply-add on Linux, and Mesa's llvmpipe of one
//! version. Other devices round otherwise; there `numbers::golden_cpu` and the case list judge.

use crate::support::devices;
use crate::support::runs::{command, files, said};
use std::path::Path;
use tempfile::tempdir;
use unheat::engine::Device;

const TABLE: &str = include_str!("checksums.txt");

const NETWORK: &str =
    "--batch 8 --steps 3 --size 32x32 --levels 3 --filters 8,16,24 --no-tune --no-self-test";

/// Names in the table, with their flags.
const RUNS: [(&str, &str); 10] = [
    ("sip", "--method sip"),
    ("gd", "--method gd"),
    ("supervised", "--method supervised"),
    ("f64", "--physics f64"),
    ("gd64", "--method gd --physics f64"),
    ("f16", "--activations f16"),
    ("res", "--res-blocks"),
    ("micro", "--micro-batch 4"),
    ("noise", "--noise 1e-3 --activation silu"),
    ("nobn", "--batch-norm off --method gd"),
];

/// The 64-bit Fowler-Noll-Vo hash (FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Of the tensors in a safetensors file without its header, which may say more one day.
fn tensors(bytes: &[u8]) -> u64 {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    fnv(&bytes[8 + header..])
}

/// Of weights, gradients and metrics without their seconds.
fn checksums(run: &Path, gradients: &Path) -> String {
    let files = files(run);
    let content = |name: &str| &files.iter().find(|(file, _)| file == name).expect(name).1;
    let gradients = tensors(&std::fs::read(gradients).unwrap());
    format!(
        "{:016x} {gradients:016x} {:016x}",
        tensors(content("weights.safetensors")),
        fnv(content("metrics.csv"))
    )
}

/// The device's name in the table, if its numbers are known.
fn name_in_table(device: &Device) -> Option<String> {
    match device {
        Device::Cpu => {
            #[cfg(target_arch = "x86_64")]
            let fused = fearless_simd::Level::new().as_avx2().is_some();
            #[cfg(not(target_arch = "x86_64"))]
            let fused = false;
            (fused && cfg!(target_os = "linux")).then(|| "cpu".to_owned())
        }
        Device::Gpu(gpu) => {
            let info = gpu.info();
            let name = format!("{} {}", info.name, info.driver_info).replace(' ', "_");
            TABLE.lines().any(|line| line.starts_with(&name)).then_some(name)
        }
    }
}

#[test]
fn equal_seeds_give_the_bytes_they_always_gave() {
    let root = tempdir().unwrap();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (said_device, device) in devices().iter().zip(crate::support::opened()) {
        let Some(name) = name_in_table(&device) else {
            println!("NOT COMPARED: {}: the table does not know its numbers", device.describe());
            continue;
        };
        let on_cpu = matches!(device, Device::Cpu);
        for (run, flags) in RUNS {
            if on_cpu && run == "f16" {
                continue; // the CPU engine stores 32 bits only
            }
            let folder = root.path().join(format!("{said_device}-{run}"));
            let gradients = folder.with_extension("safetensors");
            let arguments = format!(
                "{NETWORK} {flags} --device {said_device} --save-gradients {} -o {}",
                gradients.display(),
                folder.display()
            );
            let output = command(&arguments).output().unwrap();
            assert!(output.status.success(), "{arguments}: {}", said(&output));
            compared += 1;
            let line = format!("{name} {run} {}", checksums(&folder, &gradients));
            if !TABLE.lines().any(|known| known == line) {
                wrong.push(line);
            }
        }
    }
    let wanted = std::env::var_os("UNHEAT_NEEDS_CHECKSUMS").is_some();
    assert!(compared > 0 || !wanted, "the table knows none of the devices here");
    assert!(wrong.is_empty(), "other bytes than in checksums.txt:\n{}", wrong.join("\n"));
}
