//! Golden values of the reference system (tests/golden/README.md) and how to compare with them.
#![allow(dead_code, unreachable_pub)] // every test binary uses its own part

pub mod desk;
pub mod kernels;
pub mod runs;

use std::collections::HashMap;
use std::path::Path;
use unheat::cpu::Real;
use unheat::cpu::heat::rasterise::rasterise;
use unheat::engine::{Device, Trainer};
use unheat::io::arrays::tensors::{self, Data, Tensor};
use unheat::model::rectangles::PER_SAMPLE;
use unheat::model::unet::{Entry, Place};
use unheat::model::{Batch, DType, Losses, Rectangle, UNet, UNetConfig};

/// One safetensors file.
pub struct Golden(HashMap<String, Tensor>);

impl Golden {
    pub fn open(name: &str) -> Self {
        Self::open_in("tests/golden", name)
    }

    pub fn open_in(folder: &str, name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.safetensors"));
        let (tensors, _) = tensors::read(&path).unwrap();
        Self(tensors.into_iter().map(|t| (t.name.clone(), t)).collect())
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0.get(name).unwrap_or_else(|| panic!("no golden {name}")).shape
    }

    pub fn f64(&self, name: &str) -> Vec<f64> {
        match &self.0.get(name).unwrap_or_else(|| panic!("no golden {name}")).data {
            Data::F64(values) => values.clone(),
            Data::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.f64(name).into_iter().map(|v| v as f32).collect()
    }

    /// The rectangles under `prefix`, in sample order.
    pub fn rectangles(&self, prefix: &str) -> Vec<Rectangle> {
        let center = self.f64(&format!("{prefix}center"));
        let half_size = self.f64(&format!("{prefix}half_size"));
        let strength = self.f64(&format!("{prefix}strength"));
        let pair = |values: &[f64], i: usize| [values[2 * i], values[2 * i + 1]];
        let list: Vec<Rectangle> = strength
            .iter()
            .enumerate()
            .map(|(i, &strength)| Rectangle {
                center: pair(&center, i),
                half_size: pair(&half_size, i),
                strength,
            })
            .collect();
        assert_eq!(list.len() % PER_SAMPLE, 0);
        list
    }

    /// Flat parameters from tensors named `prefix` + parameter name.
    pub fn params(&self, net: &UNet, prefix: &str) -> Vec<f64> {
        let mut flat = vec![0.0; net.param_count];
        for (entry, offset) in params(net) {
            flat[offset..][..entry.len()].copy_from_slice(&self.f64(&format!("{prefix}{}", entry.name)));
        }
        flat
    }

    /// Flat running statistics from tensors named `prefix` + buffer name.
    pub fn buffers(&self, net: &UNet, prefix: &str) -> Vec<f64> {
        let mut flat = vec![0.0; net.buffer_count];
        for entry in &net.entries {
            if let Place::Buffer(offset) = entry.place {
                flat[offset..][..entry.len()].copy_from_slice(&self.f64(&format!("{prefix}{}", entry.name)));
            }
        }
        flat
    }
}

/// Rectangles rasterised by the CPU twin, `[batch, nx, ny]`.
pub fn rasterised<T: Real>(rectangles: &[Rectangle], nx: usize, ny: usize) -> Vec<f64> {
    let mut field = vec![T::zero(); nx * ny];
    let samples = rectangles.chunks_exact(PER_SAMPLE);
    samples
        .flat_map(|sample| {
            rasterise(sample, nx, ny, &mut field);
            field.iter().map(|v| v.f64()).collect::<Vec<_>>()
        })
        .collect()
}

/// Every adapter; none is a failure, never a silent pass.
pub fn adapters() -> Vec<wgpu::Adapter> {
    let adapters = unheat::blocking::adapters();
    assert!(!adapters.is_empty(), "{}", unheat::engine::device::NO_ADAPTER);
    adapters
}

/// What `--device` can be on this machine: the CPU engine and the number of every adapter.
pub fn devices() -> Vec<String> {
    let numbers = (0..adapters().len()).map(|i| i.to_string());
    std::iter::once("cpu".to_owned()).chain(numbers).collect()
}

/// The same, opened.
pub fn opened() -> Vec<Device> {
    devices().iter().map(|name| Device::open(&name.parse().unwrap()).unwrap()).collect()
}

/// Every device with every precision of the physics that it has.
pub fn precisions() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for (name, device) in devices().into_iter().zip(opened()) {
        all.push((name.clone(), "f32"));
        if !matches!(device, Device::Gpu(gpu) if !gpu.computes_in(DType::F64)) {
            all.push((name, "f64"));
        }
    }
    all
}

/// One training step to its end.
pub fn step(trainer: &mut Trainer, batch: &Batch) -> Losses {
    trainer.submit(batch).unwrap();
    let losses = trainer.losses(true).unwrap();
    assert_eq!(losses.len(), 1);
    losses.into_iter().next().unwrap()
}

/// The reference network.
pub fn net() -> UNet {
    UNet::new(&UNetConfig::default())
}

/// Every parameter tensor with its offset.
pub fn params(net: &UNet) -> impl Iterator<Item = (&Entry, usize)> {
    net.entries.iter().filter_map(|entry| match entry.place {
        Place::Param(offset) => Some((entry, offset)),
        _ => None,
    })
}

/// ‖a - b‖/‖b‖; panics on different lengths.
pub fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    squares(&mut a.iter().zip(b).map(|(a, b)| a - b)) / squares(&mut b.iter().copied())
}

/// The largest relative error of a live gradient tensor, and that of all live ones together.
pub fn live_errors(net: &UNet, ours: &[f64], golden: &[f64]) -> (f64, f64) {
    let mut worst = 0.0f64;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (entry, offset) in params(net).filter(|(entry, _)| !entry.dead) {
        let range = offset..offset + entry.len();
        worst = worst.max(relative(&ours[range.clone()], &golden[range.clone()]));
        a.extend_from_slice(&ours[range.clone()]);
        b.extend_from_slice(&golden[range]);
    }
    (worst, relative(&a, &b))
}

/// Fails, naming `what`, unless `error` ≤ `tolerance`; NaN fails.
#[track_caller]
pub fn check(what: &str, error: f64, tolerance: f64) {
    assert!(error <= tolerance, "{what}: {error:.2e} > {tolerance:.0e}");
    println!("{what}: {error:.2e} (tolerance {tolerance:.0e})");
}

pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}
