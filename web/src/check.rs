//! "Is this GPU right?": the case list of `unheat check`.

use crate::device::Device;
use crate::failure::thrown;
use crate::settings::Settings;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use unheat::cases::{self, Case};
use unheat::gpu::Gpu;
use unheat::{Error, Result};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Comparisons of this device with the CPU engine in 64 bits.
#[wasm_bindgen]
pub struct Cases {
    gpu: Arc<Gpu>,
    cases: Vec<Case>,
}

#[wasm_bindgen]
impl Cases {
    /// All of them, or the kernels of trainings with these settings, which are few and small.
    ///
    /// # Errors
    /// Of the kind "usage" where the device is the CPU engine.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, quick: bool, settings: &str) -> std::result::Result<Self, JsValue> {
        Self::list(device, quick, settings).map_err(thrown)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    /// Runs a case, and returns a JSON object: name, shape, error (null where it is no number), tolerance,
    /// ok, skipped (what the device lacks, else null).
    ///
    /// # Errors
    /// Of the kind "device" where the device is lost; a kernel that does not build is a case that fails.
    pub async fn run(&self, index: usize) -> std::result::Result<String, JsValue> {
        let case = &self.cases[index];
        let Case { name, shape, tolerance, .. } = case;
        if let Some(missing) = case.missing(&self.gpu) {
            let skipped = format!("the adapter has no {missing}");
            let line = json!({ "name": name, "shape": shape, "error": null, "tolerance": tolerance,
                "ok": true, "skipped": skipped });
            return Ok(line.to_string());
        }
        let error = match case.error(&self.gpu, false).await {
            Ok(error) => error,
            Err(Error::Device(_)) if self.gpu.finished().await.is_ok() => f64::NAN,
            Err(error) => return Err(thrown(error)),
        };
        let line = json!({ "name": name, "shape": shape, "error": error, "tolerance": tolerance,
            "ok": case.passes(error), "skipped": null });
        Ok(line.to_string())
    }
}

impl Cases {
    fn list(device: &Device, quick: bool, settings: &str) -> Result<Self> {
        let open = device.gpu.as_ref();
        let gpu =
            open.ok_or_else(|| Error::usage("check: there is no WebGPU here, and so nothing to check"))?;
        let cases = if quick {
            let settings = Settings::read(settings, None)?;
            let mut known = BTreeSet::new();
            let of_method = |&method| cases::of_step(&settings.spec(method));
            let mut list: Vec<Case> = settings.methods.iter().flat_map(of_method).collect();
            list.retain(|case| known.insert((case.name.clone(), case.shape.clone())));
            list
        } else {
            cases::all()
        };
        Ok(Self { gpu: gpu.gpu.clone(), cases })
    }
}
