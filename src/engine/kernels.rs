//! The kernels that training and inference are made of, without running one.

use crate::Result;
use crate::engine::device::Device;
use crate::engine::predictor::{Norm, Predictor, Trained};
use crate::gpu::{Checks, Gpu, KernelSpec, Step};
use crate::model::StepSpec;
use crate::model::unet::init::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest buffer that wgpu's stub makes, rounded to what may be bound.
const LARGEST: u64 = i32::MAX as u64 & !3;

/// A device that computes nothing, and is there on every machine: wgpu's stub, with 16-bit floats and
/// subgroups, and `with_f64` with 64-bit floats too, which GPUs have through Vulkan alone. Kernels are made
/// for it in the variants that are usual on a device of this type.
pub fn stub(device_type: wgpu::DeviceType, with_f64: bool, checks: Checks) -> Gpu {
    let mut features = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    features.set(wgpu::Features::SHADER_F64, with_f64);
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
        required_features: features,
        required_limits: wgpu::Limits {
            max_compute_workgroup_storage_size: 32 << 10, // as `Gpu::open` asks for
            max_buffer_size: LARGEST,
            max_storage_buffer_binding_size: LARGEST,
            ..Default::default()
        },
        ..Default::default()
    });
    // The smallest subgroup that kernels use, so that none is left out.
    let [subgroup_min_size, subgroup_max_size] = [8; 2];
    let info =
        wgpu::AdapterInfo { device_type, subgroup_min_size, subgroup_max_size, ..device.adapter_info() };
    Gpu::from_device(device, queue, info, checks)
}

/// A [`stub`] that is a GPU on DX12 with FXC: without 16-bit floats and subgroups, and with the variants that
/// FXC compiles soon.
pub fn stub_with_fxc() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let info = wgpu::AdapterInfo {
        device_type: wgpu::DeviceType::DiscreteGpu,
        backend: wgpu::Backend::Dx12,
        ..device.adapter_info()
    };
    Gpu::from_device(device, queue, info, Checks::Trusted)
}

/// The kernels of a training step and of predictions in either norm, in the variants that are in force on
/// `gpu`, sorted by name. Those that `gpu` has built before come too.
///
/// # Errors
/// Those of [`Step::new`] and [`Predictor::new`].
pub fn of_training_and_inference(gpu: &Arc<Gpu>, spec: &StepSpec, start: &State) -> Result<Vec<KernelSpec>> {
    Step::new(gpu, spec, start)?;
    for norm in [Norm::Batch, Norm::Running] {
        let trained = Trained { net: &spec.net, state: start, norm };
        Predictor::new(
            &Device::Gpu(gpu.clone()),
            trained,
            spec.samples_at_once,
            spec.operator.nx,
            spec.operator.ny,
        )?;
    }
    sorted(gpu.kernel_specs())
}

/// In an order that depends on the kernels alone, each once.
///
/// # Errors
/// Those of [`KernelSpec::source`].
pub fn sorted(specs: Vec<KernelSpec>) -> Result<Vec<KernelSpec>> {
    let mut found = BTreeMap::new();
    for spec in specs {
        found.insert((spec.name.clone(), spec.subgroups(), spec.source()?), spec);
    }
    Ok(found.into_values().collect())
}
