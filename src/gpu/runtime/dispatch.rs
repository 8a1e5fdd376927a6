//! One call of a kernel: its parameters and buffers are bound once, and it is encoded as often as wanted.

use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::reflect::Binding;
use crate::gpu::runtime::uniform::{self, Scalar};
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
        let declared = kernel.bindings().iter().find_map(|binding| binding.uniform.as_ref());
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
