//! What computes: a WebGPU device, or the CPU engine in WebAssembly.

use crate::failure::thrown;
use std::sync::Arc;
use unheat::gpu::adapters::instance;
use unheat::gpu::{Checks, Gpu};
use unheat::{Error, Result};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// A device that experiments run on.
#[wasm_bindgen]
pub struct Device {
    pub(crate) gpu: Option<OpenGpu>,
}

/// An open WebGPU device, with what draws its fields on canvases.
#[derive(Clone)]
pub(crate) struct OpenGpu {
    pub(crate) gpu: Arc<Gpu>,
    pub(crate) instance: wgpu::Instance,
    pub(crate) adapter: wgpu::Adapter,
    /// Whether it may draw on canvases.
    pub(crate) draws: bool,
}

#[wasm_bindgen]
impl Device {
    /// The CPU engine.
    pub fn cpu() -> Self {
        Self { gpu: None }
    }

    /// Opens the browser's adapter, which the page knows by `name` and to be `software` or not; whether it
    /// `draws` on canvases itself, or what it has computed is brought here and painted.
    ///
    /// # Errors
    /// An error of the kind "device" where there is none, or it refuses.
    pub async fn gpu(name: String, software: bool, draws: bool) -> std::result::Result<Self, JsValue> {
        let gpu = open(name, software, draws).await.map_err(thrown)?;
        Ok(Self { gpu: Some(gpu) })
    }

    /// Loses the device, as drivers do at the worst moment: for tests.
    pub fn lose(&self) {
        if let Some(open) = &self.gpu {
            open.gpu.lose();
        }
    }
}

async fn open(name: String, software: bool, draws: bool) -> Result<OpenGpu> {
    let instance = instance();
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance.request_adapter(&options).await.map_err(|error| {
        Error::Device(format!("this browser has no WebGPU adapter ({error}); use device=cpu"))
    })?;
    let mut info = adapter.get_info();
    info.name = name;
    if software {
        info.device_type = wgpu::DeviceType::Cpu;
    }
    let gpu = Gpu::open_as(&adapter, info, Checks::default()).await?;
    Ok(OpenGpu { gpu: Arc::new(gpu), instance, adapter, draws })
}

/// Builds on a device, whose browser says afterwards whether it has the memory: then nothing else on it is
/// harmed by what it had not.
pub(crate) async fn in_scopes<T>(device: &Device, build: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(open) = &device.gpu else { return build() };
    let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory]
        .map(|filter| open.gpu.device().push_error_scope(filter));
    let built = build();
    let mut caught = None;
    for scope in scopes.into_iter().rev() {
        let error = scope.pop().await;
        caught = caught.or(error); // the innermost is the cause of the others
    }
    match caught {
        Some(wgpu::Error::OutOfMemory { .. }) => {
            let name = open.gpu.name();
            Err(Error::OutOfMemory(format!("{name} has not enough memory; take a smaller batch or size")))
        }
        Some(error) => {
            let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Err(Error::Device(format!("{}: {line}", open.gpu.name())))
        }
        None => built,
    }
}
