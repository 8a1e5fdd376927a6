//! A straight list of dispatches, recorded once and replayed as often as wanted.

use super::kernel::{Dispatch, KernelSpec};
use super::params::Params;
use super::{Gpu, Tensor};
use crate::model::{Precision, Storage};
use crate::{Error, Result};
use std::sync::Arc;

/// The least that a dispatch must do, whatever the hardware: `unheat bench` divides it by the time taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Additions and multiplications, as its stage declares them.
    pub flops: u64,
    /// Bytes that it reads and writes, each element of each buffer once per direction.
    pub bytes: u64,
}

/// One dispatch with its place in the step.
struct Entry {
    dispatch: Dispatch,
    label: Arc<str>,
    flops: u64,
}

/// Collects dispatches; the stages' functions append to it.
pub struct Recorder<'a> {
    /// The device that the dispatches are for.
    pub gpu: &'a Gpu,
    label: Arc<str>,
    entries: Vec<Entry>,
}

impl<'a> Recorder<'a> {
    /// An empty list for `gpu`.
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, label: "".into(), entries: Vec::new() }
    }

    /// Names what is recorded from here on: a layer (`up3.conv.double_conv.3`) or a stage (`diffusion`). The tables
    /// of `unheat bench` show it.
    pub fn label(&mut self, label: &str) {
        self.label = label.into();
    }

    /// Appends one call; see [`Kernel::call`](super::Kernel::call).
    pub(crate) fn call<P: Params>(
        &mut self,
        spec: &KernelSpec,
        params: &P,
        buffers: &[(&str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let dispatch = self.gpu.kernel(spec)?.call(self.gpu, params, buffers, workgroups)?;
        self.entries.push(Entry { dispatch, label: self.label.clone(), flops: 0 });
        Ok(())
    }

    /// Declares the floating-point operations of the last call, a multiply-add counting two. Copies, loads and
    /// address arithmetic count nothing. What a stage does not declare is 0.
    pub(crate) fn declare_flops(&mut self, flops: usize) {
        if let Some(entry) = self.entries.last_mut() {
            entry.flops = flops as u64;
        }
    }

    /// Corrects how many elements of the buffer `name` the last call touches, where that is fewer than it must
    /// hold, as for one layer's weights among all parameters.
    pub(crate) fn declare_touched(&mut self, name: &str, elements: usize) -> Result<()> {
        let of_last = self.entries.last_mut().map(|entry| &mut entry.dispatch.traffic);
        match of_last.and_then(|traffic| traffic.iter_mut().find(|t| t.name == name)) {
            Some(traffic) => {
                traffic.elements = elements;
                Ok(())
            }
            None => Err(Error::Device(format!("the last kernel recorded has no buffer {name}"))),
        }
    }

    /// The finished list.
    pub fn finish(self) -> Recording {
        Recording { entries: self.entries }
    }
}

/// A list of dispatches, ready to be run in order.
pub struct Recording {
    entries: Vec<Entry>,
}

/// What a recording tells about one of its dispatches.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// The kernel's name.
    pub kernel: &'a str,
    /// The layer or stage, empty where none was named.
    pub label: &'a str,
    /// What it has to do.
    pub work: Work,
}

impl Recording {
    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every dispatch in order.
    pub fn describe(&self) -> impl Iterator<Item = Description<'_>> {
        self.entries.iter().map(|entry| {
            let bytes = entry.dispatch.traffic.iter().map(|t| t.bytes()).sum();
            Description {
                kernel: &entry.dispatch.kernel.spec().name,
                label: &entry.label,
                work: Work { flops: entry.flops, bytes },
            }
        })
    }

    /// The dispatches themselves.
    pub(crate) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.entries.iter().map(|entry| &entry.dispatch)
    }

    /// Writes the dispatches into `encoder` as one compute pass; each sees what those before it wrote.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for dispatch in self.dispatches() {
            dispatch.encode(&mut pass);
        }
    }

    /// Submits the list once, without waiting.
    pub fn submit(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
    }
}

impl Dispatch {
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

/// Invocations per workgroup of the element-wise and reducing kernels.
pub(crate) const WORKGROUP: u32 = 256;

/// Workgroups of [`WORKGROUP`] invocations for `len` elements, folded into two axes as `flat_index` expects.
pub(crate) fn flat_workgroups(len: usize) -> [u32; 3] {
    let groups = len.div_ceil(WORKGROUP as usize);
    let wide = groups.min(32768);
    [wide as u32, groups.div_ceil(wide) as u32, 1]
}

/// The spec of a kernel that uses [`WORKGROUP`].
pub(crate) fn spec(name: &str, files: &[&'static str]) -> KernelSpec {
    real_spec(name, files, Precision::F32)
}

/// The spec of a kernel written in `real`s that uses [`WORKGROUP`].
pub(crate) fn real_spec(name: &str, files: &[&'static str], precision: Precision) -> KernelSpec {
    KernelSpec {
        name: match precision {
            Precision::F32 => name.to_owned(),
            Precision::F64 => format!("{name}/f64"),
        },
        files: files.to_vec(),
        constants: vec![("WORKGROUP", WORKGROUP)],
        precision,
        storage: Storage::F32,
    }
}

/// The spec of a kernel that uses [`WORKGROUP`] and reads or writes activations or their gradients, stored like this.
pub(crate) fn stored_spec(name: &str, files: &[&'static str], storage: Storage) -> KernelSpec {
    KernelSpec { storage, ..spec(name, files) }
}
