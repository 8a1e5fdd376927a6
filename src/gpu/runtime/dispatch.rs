//! One call of a kernel: its parameters and buffers are bound once, and it is encoded as often as wanted.

use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::reflect::Binding;
use crate::gpu::runtime::uniform::{self, Scalar, Uniform};
use crate::gpu::{Gpu, Tensor};
use crate::{Error, Result};
use std::sync::Arc;

/// A buffer by its name in the shader, and the number of its elements that the call touches.
pub(crate) type Buffer<'a> = (&'a str, &'a Tensor, usize);

/// One kernel with everything bound.
pub struct Dispatch {
    pub(crate) kernel: Arc<Kernel>,
    bind_groups: Vec<wgpu::BindGroup>,
    workgroups: [u32; 3],
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

impl Dispatch {
    /// Fills the uniform from `params` and makes the bind groups.
    ///
    /// # Errors
    /// [`Error::Device`] with the kernel's name where parameters or buffers are missing, unknown or do not
    /// fit, where one buffer is bound twice and written, or where there are too many workgroups.
    pub(crate) fn new(
        gpu: &Gpu,
        kernel: &Arc<Kernel>,
        params: &[(&str, Scalar)],
        buffers: &[Buffer],
        workgroups: [u32; 3],
    ) -> Result<Self> {
        let fail = |what: String| Error::Device(format!("kernel {}: {what}", kernel.spec().name));
        check_workgroups(workgroups).map_err(fail)?;
        let traffic = buffers.iter().map(|buffer| traffic(kernel, buffer));
        let traffic = traffic.collect::<std::result::Result<_, _>>().map_err(fail)?;
        let declared = declared_uniform(kernel).map_err(fail)?;
        let uniform = uniform_buffer(gpu, kernel, &uniform::bytes(declared, params).map_err(fail)?);
        let bound = bind(kernel, &uniform, buffers).map_err(fail)?;
        check_aliases(&bound).map_err(fail)?;
        let bind_groups = gpu.checked(&format!("bind groups of {}", kernel.spec().name), || {
            let groups = bound.iter().map(|(binding, _)| binding.group + 1).max().unwrap_or(0);
            (0..groups).map(|group| bind_group(gpu, kernel, group, &bound)).collect()
        })?;
        Ok(Self { kernel: kernel.clone(), bind_groups, workgroups, traffic })
    }

    /// Writes this dispatch into a pass.
    pub(crate) fn encode(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(self.kernel.pipeline());
        for (group, bind_group) in self.bind_groups.iter().enumerate() {
            pass.set_bind_group(group as u32, bind_group, &[]);
        }
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A binding of a shader and what is bound to it.
type Bound<'a> = (&'a Binding, &'a wgpu::Buffer);

fn check_workgroups(workgroups: [u32; 3]) -> std::result::Result<(), String> {
    if workgroups.iter().all(|n| (1..=65535).contains(n)) {
        return Ok(());
    }
    Err(format!("{workgroups:?} workgroups; each count must be from 1 to 65535: use a smaller batch"))
}

fn traffic(kernel: &Kernel, (name, tensor, len): &Buffer) -> std::result::Result<Traffic, String> {
    let binding = kernel.bindings().iter().find(|binding| binding.name == *name);
    let binding = binding.ok_or_else(|| format!("has no binding {name}"))?;
    if tensor.len() < *len {
        return Err(format!("{name} needs {len} elements, {} has {}", tensor.label(), tensor.len()));
    }
    let bytes_per_element = tensor.element().bytes() * binding.passes as usize;
    Ok(Traffic { name: (*name).to_owned(), elements: *len, bytes_per_element })
}

/// The uniform of a kernel that has one.
fn declared_uniform(kernel: &Kernel) -> std::result::Result<Option<&Uniform>, String> {
    let uniforms: Vec<_> = kernel.bindings().iter().filter_map(|binding| binding.uniform.as_ref()).collect();
    match uniforms.len() {
        0 | 1 => Ok(uniforms.first().copied()),
        count => Err(format!("has {count} uniforms; put all parameters into one")),
    }
}

/// Four bytes where there is no uniform, which nothing binds: a buffer must not be empty.
fn uniform_buffer(gpu: &Gpu, kernel: &Kernel, bytes: &[u8]) -> wgpu::Buffer {
    let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(&kernel.spec().name),
        size: bytes.len().max(4) as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&buffer, 0, bytes);
    buffer
}

/// Finds for every binding the buffer of its name.
fn bind<'a>(
    kernel: &'a Kernel,
    uniform: &'a wgpu::Buffer,
    buffers: &[Buffer<'a>],
) -> std::result::Result<Vec<Bound<'a>>, String> {
    let bound = kernel.bindings().iter().map(|binding| {
        if binding.uniform.is_some() {
            return Ok((binding, uniform));
        }
        let Some((_, tensor, _)) = buffers.iter().find(|(name, ..)| *name == binding.name) else {
            return Err(format!("{} is not bound", binding.name));
        };
        let has = tensor.element().bytes();
        if binding.width.is_some_and(|wanted| usize::from(wanted) != has) {
            return Err(format!("{} holds numbers of {has} bytes", tensor.label()));
        }
        Ok((binding, &tensor.buffer))
    });
    bound.collect()
}

/// No buffer that is written may be bound twice.
fn check_aliases(bound: &[Bound]) -> std::result::Result<(), String> {
    for (i, (binding, buffer)) in bound.iter().enumerate() {
        let before = bound[..i].iter();
        let mut same = before.filter(|(other, b)| b == buffer && (binding.writable || other.writable));
        if let Some((other, _)) = same.next() {
            return Err(format!(
                "{} and {} are the same buffer, and one is written",
                binding.name, other.name
            ));
        }
    }
    Ok(())
}

fn bind_group(gpu: &Gpu, kernel: &Kernel, group: u32, bound: &[Bound]) -> wgpu::BindGroup {
    let own = bound.iter().filter(|(binding, _)| binding.group == group);
    let entries: Vec<_> = own
        .map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding: binding.binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&kernel.spec().name),
        layout: &kernel.pipeline().get_bind_group_layout(group),
        entries: &entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Checks, Recorder};
    use crate::model::DType;

    const SCALE: &str = "
        struct Params { count: u32, rate: f32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> field: array<f32>;
        @compute @workgroup_size(WORKGROUP)
        fn main(@builtin(local_invocation_index) i: u32) {
            if i < params.count { field[i] *= params.rate; }
        }";

    const BARE: &str = "
        @group(0) @binding(0) var<storage, read_write> field: array<f32>;
        @compute @workgroup_size(1) fn main() { field[0] = 1.0; }";

    const TWO: &str = "
        struct Params { count: u32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<uniform> more: Params;
        @group(0) @binding(2) var<storage, read_write> field: array<f32>;
        @compute @workgroup_size(1) fn main() { field[params.count] = f32(more.count); }";

    fn gpu() -> Gpu {
        let (device, queue) = wgpu::Device::noop(&Default::default());
        let info = device.adapter_info();
        Gpu::from_device(device, queue, info, Checks::Checked)
    }

    #[test]
    fn a_call_that_does_not_fit_is_refused_by_name() {
        let gpu = gpu();
        let (field, wide) = (gpu.tensor("u", 8).unwrap(), gpu.tensor_in("v", 8, DType::F64));
        let (count, rate, wide) = (("count", 8_usize.into()), ("rate", 0.5.into()), wide.unwrap());
        let call = |wgsl, params: &[(&str, Scalar)], buffers: &[Buffer], groups| {
            Recorder::new(&gpu).call_source("scale", wgsl, params, buffers, groups)
        };
        let (both, bound) = ([count, rate], [("field", &field, 8)]);
        call(SCALE, &both, &bound, [1; 3]).unwrap();
        call(BARE, &[], &bound, [1; 3]).unwrap();
        let refused = |wgsl, params: &[(&str, Scalar)], buffers: &[Buffer], groups, expected: &str| {
            let message = call(wgsl, params, buffers, groups).unwrap_err().to_string();
            assert!(message.contains("kernel scale: ") && message.contains(expected), "{message}");
        };
        refused(SCALE, &[count], &bound, [1; 3], "parameter rate is not given");
        refused(SCALE, &[count, rate, count], &bound, [1; 3], "parameter count is given twice");
        refused(SCALE, &[count, rate, ("height", 1.0.into())], &bound, [1; 3], "has no parameter height");
        refused(SCALE, &[count, ("rate", 1_u32.into())], &bound, [1; 3], "parameter rate is of type f32");
        refused(SCALE, &[rate, ("count", (1_usize << 32).into())], &bound, [1; 3], "4294967296 is no u32");
        refused(BARE, &[count], &bound, [1; 3], "has no parameter count");
        refused(TWO, &[count], &bound, [1; 3], "has 2 uniforms");
        refused(SCALE, &both, &[], [1; 3], "field is not bound");
        refused(SCALE, &both, &[("u", &field, 8)], [1; 3], "has no binding u");
        refused(SCALE, &both, &[("field", &field, 9)], [1; 3], "field needs 9 elements, u has 8");
        refused(SCALE, &both, &[("field", &wide, 8)], [1; 3], "v holds numbers of 8 bytes");
        refused(SCALE, &both, &bound, [1, 0, 1], "[1, 0, 1] workgroups");
    }
}
