//! A straight list of dispatches, recorded once and replayed as often as wanted.

use super::kernel::{Dispatch, KernelSpec};
use super::params::Params;
use super::{Gpu, Tensor};
use crate::Result;
use crate::model::Precision;

/// Collects dispatches; the stages' functions append to it.
pub struct Recorder<'a> {
    /// The device that the dispatches are for.
    pub gpu: &'a Gpu,
    dispatches: Vec<Dispatch>,
}

impl<'a> Recorder<'a> {
    /// An empty list for `gpu`.
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, dispatches: Vec::new() }
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
        self.dispatches.push(dispatch);
        Ok(())
    }

    /// The finished list.
    pub fn finish(self) -> Recording {
        Recording { dispatches: self.dispatches }
    }
}

/// A list of dispatches, ready to be run in order.
pub struct Recording {
    dispatches: Vec<Dispatch>,
}

impl Recording {
    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.dispatches.is_empty()
    }

    /// Writes the dispatches into `encoder` as one compute pass; each sees what those before it wrote.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        Self::encode_dispatches(&self.dispatches, encoder);
    }

    fn encode_dispatches(dispatches: &[Dispatch], encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for dispatch in dispatches {
            pass.set_pipeline(dispatch.kernel.pipeline());
            for (group, bind_group) in dispatch.bind_groups.iter().enumerate() {
                pass.set_bind_group(group as u32, bind_group, &[]);
            }
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Runs the dispatches one by one, waiting for each; returns names and seconds. For finding out where time
    /// goes: the sum is larger than what the list takes as a whole.
    pub fn time_each(&self, gpu: &Gpu) -> Result<Vec<(String, f64)>> {
        gpu.wait()?;
        let mut times = Vec::with_capacity(self.dispatches.len());
        for dispatch in &self.dispatches {
            let start = std::time::Instant::now();
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            Self::encode_dispatches(std::slice::from_ref(dispatch), &mut encoder);
            gpu.queue.submit([encoder.finish()]);
            gpu.wait()?;
            times.push((dispatch.kernel.spec().name.clone(), start.elapsed().as_secs_f64()));
        }
        Ok(times)
    }

    /// Submits the list once, without waiting.
    pub fn submit(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(&mut encoder);
        gpu.queue.submit([encoder.finish()]);
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
    }
}
