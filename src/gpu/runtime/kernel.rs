//! A compiled kernel. It is declared once, in WGSL: bindings, access modes, parameters and workgroup size are
//! read from the shader.

use crate::gpu::faults::{Effect, spoiled};
use crate::gpu::runtime::checks::{self, Checks};
use crate::gpu::runtime::reflect::{self, Binding};
use crate::gpu::runtime::spec::{KernelSpec, validate_source};
use crate::gpu::stopwatch::Stopwatch;
use crate::{Error, Result};
use std::time::Duration;

/// A compiled kernel.
pub struct Kernel {
    spec: KernelSpec,
    pipeline: wgpu::ComputePipeline,
    bindings: Vec<Binding>,
    /// What building it took. Some drivers compile only when it runs for the first time.
    pub(crate) build_time: Duration,
}

impl Kernel {
    /// Parses, validates and compiles for `device`, a device of `adapter`; an error names the kernel and
    /// holds the compiler's message. Its workgroup memory starts as zeros if it is `zeroed`. A `fault` is
    /// injected.
    pub(crate) fn new(
        device: &wgpu::Device,
        adapter: &str,
        spec: &KernelSpec,
        checks: Checks,
        zeroed: bool,
        fault: Option<Effect>,
    ) -> Result<Self> {
        let watch = Stopwatch::start();
        let mut source = spec.assemble()?;
        match fault {
            None => {}
            Some(Effect::Wrong) => source.text = spoiled(&source.text),
            Some(Effect::Refused) => {
                return Err(Error::Device(format!("{adapter}: shader {}: refused by a fault", spec.name)));
            }
        }
        let (module, info) = validate_source(spec, &source)?;
        reflect::check_workgroup(&spec.name, &module, &device.limits())?;
        let bindings = reflect::bindings(&module, &info);
        if device.adapter_info().backend == wgpu::Backend::BrowserWebGpu {
            source.text.insert_str(0, spec.directives()); // elsewhere naga reads it once more
        }
        let pipeline = checks::scoped(device, adapter, &format!("shader {}", spec.name), || {
            let module = shader_module(device, checks, &spec.name, &source.text);
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&spec.name),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                // Every workgroup variable is written before it is read.
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: zeroed || checks == Checks::Checked,
                    ..Default::default()
                },
                cache: None,
            })
        })?;
        Ok(Self { spec: spec.clone(), pipeline, bindings, build_time: watch.elapsed() })
    }

    /// The description that this kernel was built from.
    pub fn spec(&self) -> &KernelSpec {
        &self.spec
    }

    /// What its shader declares.
    pub(crate) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    pub(crate) fn pipeline(&self) -> &wgpu::ComputePipeline {
        &self.pipeline
    }
}

/// With or without injected checks.
#[allow(unsafe_code)]
fn shader_module(device: &wgpu::Device, checks: Checks, name: &str, source: &str) -> wgpu::ShaderModule {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
    match checks {
        Checks::Checked => device.create_shader_module(descriptor),
        // SAFETY: the sources are this crate's own; those that come from outside are always checked
        // (`Recorder::call_source`), and no one outside can call a kernel of the crate. Each invocation's
        // indices are bounded by the sizes in its parameters; the stages' functions derive these and the
        // lengths that `Dispatch::new` compares with the bound buffers from the same shape. Loops run over
        // bounded counters, divisors are sizes of at least 1. The same cases run with every access checked
        // (`unheat check`; in tests/integration/numbers/cases.rs one shape of each).
        Checks::Trusted => unsafe {
            device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        },
    }
}
