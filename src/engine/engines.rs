//! The engine that a device has for a training.

use crate::Result;
use crate::engine::cpu_engine::{self, CpuEngine};
use crate::engine::device::Device;
use crate::engine::gpu_engine::GpuEngine;
use crate::engine::training::Sharing;
use crate::model::unet::init::State;
use crate::model::{DType, StepSpec};

/// An engine for steps as `spec` says, starting from `start`.
pub(crate) fn new(device: &Device, spec: &StepSpec, start: &State) -> Result<Box<dyn Sharing>> {
    check(device, spec)?;
    Ok(match (device, spec.physics) {
        (Device::Gpu(gpu), _) => Box::new(GpuEngine::new(gpu, spec, start)?),
        (Device::Cpu, DType::F16 | DType::F32) => Box::new(CpuEngine::<f32>::new(spec, start)),
        (Device::Cpu, DType::F64) => Box::new(CpuEngine::<f64>::new(spec, start)),
    })
}

/// Refuses what [`new`] would refuse before it builds anything.
pub(crate) fn check(device: &Device, spec: &StepSpec) -> Result<()> {
    spec.check_types()?;
    match device {
        Device::Gpu(gpu) => GpuEngine::check(gpu, spec),
        Device::Cpu => cpu_engine::check(spec),
    }
}
