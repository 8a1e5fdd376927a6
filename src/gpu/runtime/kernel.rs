//! A kernel is declared once, in WGSL: bindings, access modes and workgroup size are read from the shader, and
//! the host's parameter struct is checked against it.

use crate::gpu::runtime::device::Checks;
use crate::gpu::runtime::reflect::{self, Binding};
use crate::gpu::runtime::spec::{KernelSpec, validate_source};
use crate::gpu::runtime::stopwatch::Stopwatch;
use crate::gpu::runtime::uniform::{self, Scalar};
use crate::gpu::{Gpu, Tensor};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// One kernel with everything bound.
pub struct Dispatch {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) bind_groups: Vec<wgpu::BindGroup>,
    pub(crate) workgroups: [u32; 3],
    pub(crate) traffic: Vec<Traffic>,
}

/// What a dispatch reads and writes of one buffer.
pub(crate) struct Traffic {
    /// The buffer's name in the shader.
    pub(crate) name: String,
    /// Elements that the dispatch touches.
    pub(crate) elements: usize,
    /// The size of one, twice that if it is read and written.
    bytes_per_element: usize,
}

impl Traffic {
    /// Bytes that cross the memory bus if every element does so once.
    pub(crate) fn bytes(&self) -> u64 {
        (self.elements * self.bytes_per_element) as u64
    }
}

/// A compiled kernel.
pub struct Kernel {
    spec: KernelSpec,
    pipeline: wgpu::ComputePipeline,
    bindings: Vec<Binding>,
    /// What building it took. Some drivers compile only when it runs for the first time.
    pub(crate) build_time: Duration,
}

impl Kernel {
    /// Parses, validates and compiles; an error names the kernel and holds the compiler's message.
    pub(crate) fn new(gpu: &Gpu, spec: &KernelSpec, checks: Checks) -> Result<Self> {
        let watch = Stopwatch::start();
        let source = spec.assemble()?;
        let (module, info) = validate_source(spec, &source)?;
        reflect::check_workgroup(&spec.name, &module, &gpu.device.limits())?;
        let bindings = reflect::bindings(&module, &info);
        let pipeline = gpu.checked(&format!("shader {}", spec.name), || {
            let module = shader_module(gpu, checks, &spec.name, &source.text);
            gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&spec.name),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                // Every workgroup variable is written before it is read.
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: checks == Checks::Checked,
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

    /// Binds `buffers`, each with its name in the shader and the number of elements that the call touches, and
    /// makes the bind groups once. Missing, unknown, too small and aliasing buffers are errors.
    pub(crate) fn call(
        self: &Arc<Self>,
        gpu: &Gpu,
        params: &[(&str, Scalar)],
        buffers: &[(&str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<Dispatch> {
        let fail = |what: String| Err(Error::Device(format!("kernel {}: {what}", self.spec.name)));
        if workgroups.iter().any(|&n| n == 0 || n > 65535) {
            return fail(format!(
                "{workgroups:?} workgroups; each count must be from 1 to 65535: use a smaller batch"
            ));
        }
        let mut traffic = Vec::with_capacity(buffers.len());
        for (name, tensor, len) in buffers {
            let Some(binding) = self.bindings.iter().find(|b| b.name == *name) else {
                return fail(format!("has no binding {name}"));
            };
            if tensor.len() < *len {
                return fail(format!("{name} needs {len} elements, {} has {}", tensor.label(), tensor.len()));
            }
            traffic.push(Traffic {
                name: (*name).to_owned(),
                elements: *len,
                bytes_per_element: tensor.element().bytes() * binding.passes as usize,
            });
        }
        let mut entries: Vec<Vec<(u32, &wgpu::Buffer)>> = Vec::new();
        let mut bound: Vec<(&Binding, &wgpu::Buffer)> = Vec::new();
        let uniform = self.bindings.iter().find_map(|binding| binding.uniform.as_ref());
        let uniform = match uniform::bytes(uniform, params) {
            Ok(bytes) => self.uniform(gpu, &bytes),
            Err(what) => return fail(what),
        };
        for binding in &self.bindings {
            let buffer = match &binding.uniform {
                Some(_) => &uniform,
                None => match buffers.iter().find(|(name, ..)| *name == binding.name) {
                    Some((_, tensor, _)) => {
                        let (wants, has) = (binding.width, tensor.element().bytes());
                        if wants.is_some_and(|width| usize::from(width) != has) {
                            return fail(format!("{} holds numbers of {has} bytes", tensor.label()));
                        }
                        &tensor.buffer
                    }
                    None => return fail(format!("{} is not bound", binding.name)),
                },
            };
            if let Some((other, _)) =
                bound.iter().find(|(other, b)| *b == buffer && (binding.writable || other.writable))
            {
                return fail(format!(
                    "{} and {} are the same buffer, and one is written",
                    binding.name, other.name
                ));
            }
            bound.push((binding, buffer));
            entries.resize(entries.len().max(binding.group as usize + 1), Vec::new());
            entries[binding.group as usize].push((binding.binding, buffer));
        }
        let bind_groups = gpu.checked(&format!("bind groups of {}", self.spec.name), || {
            let groups = entries.iter().enumerate().map(|(group, entries)| {
                let entries: Vec<wgpu::BindGroupEntry> = entries
                    .iter()
                    .map(|(binding, buffer)| wgpu::BindGroupEntry {
                        binding: *binding,
                        resource: buffer.as_entire_binding(),
                    })
                    .collect();
                gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(&self.spec.name),
                    layout: &self.pipeline.get_bind_group_layout(group as u32),
                    entries: &entries,
                })
            });
            groups.collect()
        })?;
        Ok(Dispatch { kernel: self.clone(), bind_groups, workgroups, traffic })
    }

    pub(crate) fn pipeline(&self) -> &wgpu::ComputePipeline {
        &self.pipeline
    }

    fn uniform(&self, gpu: &Gpu, bytes: &[u8]) -> wgpu::Buffer {
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&self.spec.name),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, bytes);
        buffer
    }
}

/// With or without injected checks.
#[allow(unsafe_code)]
fn shader_module(gpu: &Gpu, checks: Checks, name: &str, source: &str) -> wgpu::ShaderModule {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(source.into()) };
    match checks {
        Checks::Checked => gpu.device.create_shader_module(descriptor),
        // SAFETY: the sources are this crate's own; those that come from outside are always checked
        // (`Recorder::call_source`), and no one outside can call a kernel of the crate. Each invocation's
        // indices are bounded by the sizes in its parameters; the stages' functions derive these and the lengths
        // that `Kernel::call` compares with the bound buffers from the same shape. Loops run over bounded counters,
        // divisors are sizes of at least 1. The same cases run with every access checked (`unheat check`; in tests/cases.rs
        // one shape of each).
        Checks::Trusted => unsafe {
            gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        },
    }
}
