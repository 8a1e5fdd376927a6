//! A kernel is declared once, in WGSL: bindings, access modes and workgroup size are read from the shader, and
//! the host's parameter struct is checked against it.

use crate::gpu::runtime::device::{Checks, one_line};
use crate::gpu::runtime::params::Params;
use crate::gpu::runtime::reflect::{self, Binding, check_fields};
use crate::gpu::runtime::stopwatch::Stopwatch;
use crate::gpu::{Gpu, Tensor};
use crate::model::storage::GRADIENT_SCALE;
use crate::model::{Precision, Storage};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// What a kernel is made of: constants, the scalar `real`, how activations are `stored`, then WGSL files one after the
/// other. The entry point is `main`.
///
/// Constants become `const NAME: u32 = value;` lines. (Not pipeline overrides: those cannot size an array in
/// registers, and wgpu does not check the limits of what they resolve to.)
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// Name in errors, profiles and tables: that of the shader's file, with its variant.
    pub name: String,
    /// WGSL texts.
    pub(crate) files: Vec<&'static str>,
    /// Values of the constants that the files leave open.
    pub(crate) constants: Vec<(&'static str, u32)>,
    /// What `real` means in the files.
    pub(crate) precision: Precision,
    /// What `stored` and `stored4` mean in the files.
    pub(crate) storage: Storage,
    /// Whether invocations hand values round in their subgroup, which not every adapter can.
    pub(crate) subgroups: bool,
}

impl KernelSpec {
    /// The scalar of its physics; 64 bits are for SPIR-V alone.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// How it stores activations; 16 bits want adapters with 16-bit floats in shaders.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// Whether it needs an adapter with subgroups.
    pub fn subgroups(&self) -> bool {
        self.subgroups
    }

    /// The whole WGSL text.
    pub fn source(&self) -> String {
        let mut text = match self.storage {
            Storage::F32 => String::new(),
            Storage::F16 => format!("enable f16;\nconst GRADIENT_SCALE: f32 = {GRADIENT_SCALE:?};\n"),
        };
        for (name, value) in &self.constants {
            text += &format!("const {name}: u32 = {value}u;\n");
        }
        let prelude: &[&str] = match self.precision {
            Precision::F32 => &[include_str!("../../../shaders/lib/real32.wgsl")],
            Precision::F64 => &[
                include_str!("../../../shaders/lib/exp64.wgsl"),
                include_str!("../../../shaders/lib/real64.wgsl"),
            ],
        };
        let stored = match self.storage {
            Storage::F32 => include_str!("../../../shaders/lib/stored32.wgsl"),
            Storage::F16 => include_str!("../../../shaders/lib/stored16.wgsl"),
        };
        for file in prelude.iter().chain([&stored]).chain(&self.files) {
            text += file;
        }
        text
    }
}

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
        let source = spec.source();
        let (module, info) = validate(spec)?;
        reflect::check_workgroup(&spec.name, &module, &gpu.device.limits())?;
        let bindings = reflect::bindings(&module, &info);
        let pipeline = gpu.checked(&format!("shader {}", spec.name), || {
            let module = shader_module(gpu, checks, &spec.name, &source);
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
    pub(crate) fn call<P: Params>(
        self: &Arc<Self>,
        gpu: &Gpu,
        params: &P,
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
        let uniform = self.uniform(gpu, params);
        for binding in &self.bindings {
            let buffer = match &binding.uniform {
                Some(fields) => {
                    check_fields(&self.spec.name, fields, P::FIELDS)?;
                    &uniform
                }
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

    fn uniform<P: Params>(&self, gpu: &Gpu, params: &P) -> wgpu::Buffer {
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&self.spec.name),
            size: size_of::<P>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, bytemuck::bytes_of(params));
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

/// Parses and validates a spec without any device, as the portability tests do.
pub fn validate(spec: &KernelSpec) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    let source = spec.source();
    let module = naga::front::wgsl::parse_str(&source)
        .map_err(|e| Error::Device(format!("shader {}: {}", spec.name, e.emit_to_string(&source))))?;
    let mut capabilities = naga::valid::Capabilities::empty();
    capabilities.set(naga::valid::Capabilities::FLOAT64, spec.precision == Precision::F64);
    capabilities.set(naga::valid::Capabilities::SHADER_FLOAT16, spec.storage == Storage::F16);
    capabilities.set(naga::valid::Capabilities::SUBGROUP, spec.subgroups);
    let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
    if spec.subgroups {
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
    }
    let info = validator
        .validate(&module)
        .map_err(|e| Error::Device(format!("shader {}: {}", spec.name, one_line(&e.into_inner()))))?;
    Ok((module, info))
}
