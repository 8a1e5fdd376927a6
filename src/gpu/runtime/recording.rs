//! A straight list of dispatches, recorded once and replayed as often as wanted.

use crate::gpu::runtime::dispatch::Dispatch;
use crate::gpu::runtime::kernel::Kernel;
use crate::gpu::runtime::spec::{KernelSpec, WORKGROUP};
use crate::gpu::runtime::uniform::Scalar;
use crate::gpu::runtime::variants::{Key, Variant};
use crate::gpu::{Gpu, Tensor};
use crate::{Error, Result};
use std::ops::Range;
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
    kept: Vec<Tensor>,
    /// What was recorded in variants, where somebody wants to time them.
    tunables: Option<Vec<Tunable>>,
}

/// A kernel that comes in variants, and the work of one call.
pub(crate) struct Choices<'s> {
    /// The work.
    pub(crate) key: Key,
    /// All variants that exist for it.
    pub(crate) possible: Vec<Variant>,
    /// Good ones on most devices, in order of preference; the last one fits every device.
    pub(crate) usual: Vec<Variant>,
    /// The kernel in some variant.
    pub(crate) spec: &'s dyn Fn(Variant) -> KernelSpec,
}

/// A recorded call that can be made again in other variants.
pub(crate) struct Tunable {
    /// The work that it stands for.
    pub(crate) key: Key,
    /// The variant that was recorded.
    pub(crate) recorded: Variant,
    /// What is usual for it, the variants that a search starts with.
    pub(crate) usual: Vec<Variant>,
    /// Every variant.
    pub(crate) specs: Vec<(Variant, KernelSpec)>,
    /// Declared operations.
    pub(crate) flops: u64,
    /// Binds a kernel to the call's parameters and buffers.
    pub(crate) bind: Bind,
    entry: usize,
}

type Bind = Box<dyn Fn(&Gpu, &Arc<Kernel>) -> Result<Dispatch>>;

impl<'a> Recorder<'a> {
    /// An empty list for `gpu`.
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, label: "".into(), entries: Vec::new(), kept: Vec::new(), tunables: None }
    }

    /// As [`Recorder::new`], but [`Recorder::into_tunables`] tells which calls can be made in other variants.
    pub(crate) fn for_tuning(gpu: &'a Gpu) -> Self {
        Self { tunables: Some(Vec::new()), ..Self::new(gpu) }
    }

    /// Keeps a tensor that nobody else has for as long as the recording, so that its memory is counted.
    pub(crate) fn keep(&mut self, tensor: Tensor) {
        self.kept.push(tensor);
    }

    /// Names what is recorded from here on: a layer (`up3.conv.double_conv.3`) or a stage (`diffusion`). The
    /// tables of `unheat bench` show it.
    pub fn label(&mut self, label: &str) {
        self.label = label.into();
    }

    /// Appends one call: the kernel, a value for every field of its uniform, its buffers by their names in
    /// the shader with the elements that the call touches, and the workgroups.
    ///
    /// # Errors
    /// [`Error::Device`] when the kernel cannot be built, or as [`Dispatch::new`].
    pub(crate) fn call(
        &mut self,
        spec: &KernelSpec,
        params: &[(&str, Scalar)],
        buffers: &[(&str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let kernel = self.gpu.kernel(spec)?;
        self.append(&kernel, params, buffers, workgroups)
    }

    /// Appends one call of a kernel of your own: its name; its WGSL with an entry point `main`, which may use
    /// the constant [`WORKGROUP`] and begin with the files of this crate that it needs (`//! needs
    /// lib/grid`); its parameters; every storage buffer by its name in the shader, with the elements that it
    /// must hold; and the workgroups. The shader runs with wgpu's checks, in release builds too.
    ///
    /// # Errors
    /// [`Error::Device`] when the shader does not compile, or when parameters, names, lengths or limits do
    /// not fit it.
    pub fn call_source(
        &mut self,
        name: &str,
        wgsl: &str,
        params: &[(&str, Scalar)],
        buffers: &[(&str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let kernel = self.gpu.checked_kernel(&KernelSpec::from_outside(name, wgsl))?;
        self.append(&kernel, params, buffers, workgroups)
    }

    fn append(
        &mut self,
        kernel: &Arc<Kernel>,
        params: &[(&str, Scalar)],
        buffers: &[(&str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let dispatch = Dispatch::new(self.gpu, kernel, params, buffers, workgroups)?;
        self.entries.push(Entry { dispatch, label: self.label.clone(), flops: 0 });
        Ok(())
    }

    /// Appends one call of a kernel that comes in variants: the one in force for this work, else a usual one,
    /// else any that the driver builds.
    pub(crate) fn call_variant(
        &mut self,
        choices: Choices,
        params: &[(&'static str, Scalar)],
        buffers: &[(&'static str, &Tensor, usize)],
        workgroups: [u32; 3],
    ) -> Result<()> {
        let gpu = self.gpu;
        let in_force = gpu.variant_in_force(&choices.key, &choices.possible);
        let usual: Vec<Variant> =
            choices.usual.into_iter().filter(|variant| choices.possible.contains(variant)).collect();
        // What no driver has refused yet comes before what is left.
        let left = choices.possible.iter().copied().filter(|variant| !usual.contains(variant));
        let mut wanted = in_force.into_iter().chain(usual.iter().copied()).chain(left).peekable();
        let mut refused = false;
        let (recorded, kernel) = loop {
            let Some(variant) = wanted.next() else {
                return Err(Error::Device(format!("kernel {}: has no variant", choices.key.kernel)));
            };
            match gpu.kernel(&(choices.spec)(variant)) {
                Ok(kernel) => break (variant, kernel),
                Err(error) if wanted.peek().is_none() => return Err(error),
                Err(error) => log::debug!("{error}; another variant than {variant:?} takes its place"),
            }
            refused = true;
        };
        if refused {
            gpu.replaced(&choices.key.kernel, recorded);
        }
        let dispatch = Dispatch::new(gpu, &kernel, params, buffers, workgroups)?;
        if let Some(tunables) = &mut self.tunables {
            let owned: Vec<_> =
                buffers.iter().map(|&(name, tensor, len)| (name, tensor.clone(), len)).collect();
            let params = params.to_vec();
            tunables.push(Tunable {
                recorded,
                usual,
                specs: choices.possible.iter().map(|&variant| (variant, (choices.spec)(variant))).collect(),
                key: choices.key,
                flops: 0,
                bind: Box::new(move |gpu, kernel| {
                    let buffers: Vec<_> =
                        owned.iter().map(|(name, tensor, len)| (*name, tensor, *len)).collect();
                    Dispatch::new(gpu, kernel, &params, &buffers, workgroups)
                }),
                entry: self.entries.len(),
            });
        }
        self.entries.push(Entry { dispatch, label: self.label.clone(), flops: 0 });
        Ok(())
    }

    /// What was recorded by [`Recorder::call_variant`].
    pub(crate) fn into_tunables(self) -> Vec<Tunable> {
        let flops = |t: &Tunable| self.entries[t.entry].flops;
        let all = self.tunables.unwrap_or_default().into_iter();
        all.map(|t| Tunable { flops: flops(&t), ..t }).collect()
    }

    /// Declares the floating-point operations of the last call, a multiply-add counting two. Copies, loads
    /// and address arithmetic count nothing. What a stage does not declare is 0.
    pub fn declare_flops(&mut self, flops: usize) {
        if let Some(entry) = self.entries.last_mut() {
            entry.flops = flops as u64;
        }
    }

    /// Corrects how many elements of the buffer `name` the last call touches, where that is fewer than it
    /// must hold, as for one layer's weights among all parameters.
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
        Recording { entries: self.entries, _kept: self.kept }
    }
}

/// A list of dispatches, ready to be run in order.
pub struct Recording {
    entries: Vec<Entry>,
    _kept: Vec<Tensor>,
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
        self.encode_range(0..self.len(), encoder);
    }

    /// As [`Recording::encode`], of the dispatches in `range`.
    pub(crate) fn encode_range(&self, range: Range<usize>, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        self.entries[range].iter().for_each(|entry| entry.dispatch.encode(&mut pass));
    }

    /// Submits the list once, without waiting.
    pub fn submit(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
    }
}

/// Workgroups of [`WORKGROUP`] invocations for `len` elements, folded into two axes as `flat_index` expects.
pub fn flat_workgroups(len: usize) -> [u32; 3] {
    folded(len.div_ceil(WORKGROUP as usize))
}

/// So many workgroups, or a few more, folded into two axes as `flat_index` expects.
pub(crate) fn folded(groups: usize) -> [u32; 3] {
    let wide = groups.min(32768);
    [wide as u32, groups.div_ceil(wide) as u32, 1]
}
