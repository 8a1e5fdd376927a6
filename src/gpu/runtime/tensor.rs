//! An array on the GPU: 32-bit elements, f32 unless a kernel says otherwise, f64 where the physics asks for
//! it, or f16 where activations and their gradients are kept in less memory.

use crate::gpu::Gpu;
use crate::gpu::runtime::checks;
use crate::gpu::runtime::memory::{Allocation, MemoryUse};
use crate::gpu::runtime::one_shot::one_shot;
use crate::model::DType;
use crate::{Error, Result};
use half::f16;
use std::sync::Arc;

/// Bytes for uploads that must be left when memory is given to a large tensor. An upload that finds no memory
/// loses the device, while a tensor that finds none is an error which names the batch that fits.
const UPLOADS: u64 = 16 << 20;

/// Bytes that come back in one piece, at most.
const TOGETHER: u64 = 32 << 20;

/// Bytes of a tensor that can take much of that.
const LARGE: u64 = 1 << 20;

/// A storage buffer of `len` elements of 2, 4 or 8 bytes. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) buffer: wgpu::Buffer,
    label: String,
    len: usize,
    element: DType,
    _allocation: Arc<Allocation>,
}

/// A buffer that the host can read once something was copied into it.
pub(crate) struct Staging {
    pub(crate) buffer: wgpu::Buffer,
    _allocation: Allocation,
}

impl Tensor {
    /// Elements, not bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name in error messages and GPU debuggers.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its memory, for who draws what it holds.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        (self.element.bytes() * self.len) as u64
    }

    /// The type of its elements.
    pub fn element(&self) -> DType {
        self.element
    }

    /// What kernels compute with its elements in.
    pub fn precision(&self) -> DType {
        match self.element {
            DType::F16 | DType::F32 => DType::F32,
            DType::F64 => DType::F64,
        }
    }

    /// How a tensor of activations or their gradients is stored.
    pub fn storage(&self) -> DType {
        match self.element {
            DType::F16 => DType::F16,
            DType::F32 | DType::F64 => DType::F32,
        }
    }
}

impl Gpu {
    /// A new tensor of 32-bit elements; its contents are zero.
    pub fn tensor(&self, label: &str, len: usize) -> Result<Tensor> {
        self.tensor_in(label, len, DType::F32)
    }

    /// A new tensor of elements of this type; its contents are zero.
    pub fn tensor_in(&self, label: &str, len: usize, element: DType) -> Result<Tensor> {
        let bytes = (element.bytes() * len) as u64;
        if bytes > self.max_tensor_bytes() {
            return Err(Error::Device(format!(
                "{label}: {bytes} bytes do not fit into one buffer binding of {} ({} bytes); use a smaller \
                 batch or size",
                self.name(),
                self.max_tensor_bytes()
            )));
        }
        // Kernels bind some arrays as vectors of four, and no binding may be empty.
        let size = bytes.max(1).next_multiple_of(16);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        if !self.ledger.has_room(bytes) {
            return Err(checks::full(self.name(), label));
        }
        let buffer = self.buffer(label, size, usage)?;
        let allocation = Arc::new(Allocation::new(&self.ledger, bytes));
        Ok(Tensor { buffer, label: label.to_owned(), len, element, _allocation: allocation })
    }

    /// A new buffer for bringing `bytes` back to the host.
    pub(crate) fn staging(&self, label: &str, bytes: u64) -> Result<Staging> {
        let buffer =
            self.buffer(label, bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
        let allocation = self.allocate_for(MemoryUse::Readback, || Allocation::new(&self.ledger, bytes));
        Ok(Staging { buffer, _allocation: allocation })
    }

    /// A new buffer; a large one only where memory for uploads is left beside it.
    fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let make = |size, usage| {
            let descriptor =
                wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
            self.device.create_buffer(&descriptor)
        };
        self.checked(label, || {
            let buffer = make(size, usage);
            if size >= LARGE {
                drop(make(UPLOADS, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC));
            }
            buffer
        })
    }

    /// A new tensor holding `values`.
    pub fn tensor_from(&self, label: &str, values: &[f32]) -> Result<Tensor> {
        let tensor = self.tensor(label, values.len())?;
        self.write(&tensor, values);
        Ok(tensor)
    }

    /// A new tensor holding `values`, rounded to this type.
    pub fn table(&self, label: &str, values: &[f64], element: DType) -> Result<Tensor> {
        let tensor = self.tensor_in(label, values.len(), element)?;
        self.write_f64(&tensor, values);
        Ok(tensor)
    }

    /// Overwrites the first `values.len()` elements, rounded to the tensor's type, before the next submission
    /// runs. Those of a 16-bit tensor must be even in number, or all.
    pub fn write_f64(&self, tensor: &Tensor, values: &[f64]) {
        match tensor.element {
            DType::F16 => {
                let mut halves: Vec<f16> = values.iter().map(|&v| f16::from_f64(v)).collect();
                // Copies take four bytes at a time.
                halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
                self.queue.write_buffer(&tensor.buffer, 0, bytemuck::cast_slice(&halves));
            }
            DType::F32 => self.write(tensor, &values.iter().map(|&v| v as f32).collect::<Vec<_>>()),
            DType::F64 => self.queue.write_buffer(&tensor.buffer, 0, bytemuck::cast_slice(values)),
        }
    }

    /// Overwrites the first `values.len()` elements of a 32-bit tensor, before the next submission runs.
    pub fn write(&self, tensor: &Tensor, values: &[f32]) {
        self.write_at(tensor, 0, values);
    }

    /// Overwrites `values.len()` elements of a 32-bit tensor from element `first` on, before the next
    /// submission runs.
    pub fn write_at(&self, tensor: &Tensor, first: usize, values: &[f32]) {
        assert_eq!(tensor.element, DType::F32, "{}", tensor.label);
        self.queue.write_buffer(&tensor.buffer, 4 * first as u64, bytemuck::cast_slice(values));
    }

    /// The contents once everything submitted so far has run, whatever their type.
    ///
    /// # Errors
    /// As [`Gpu::fetch`].
    pub async fn fetch_f64(&self, tensor: &Tensor) -> Result<Vec<f64>> {
        match tensor.element {
            DType::F16 => Ok(self.fetch_as::<f16>(tensor).await?.into_iter().map(f64::from).collect()),
            DType::F32 => Ok(self.fetch(tensor).await?.into_iter().map(f64::from).collect()),
            DType::F64 => self.fetch_as(tensor).await,
        }
    }

    /// The contents of a 32-bit tensor once everything submitted so far has run.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or has reported an error, [`Error::OutOfMemory`].
    pub async fn fetch(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        assert_eq!(tensor.element, DType::F32, "{}", tensor.label);
        self.fetch_as(tensor).await
    }

    /// The contents of several 32-bit tensors, in one readback where they are small: in a browser each takes
    /// a tenth of a second.
    ///
    /// # Errors
    /// As [`Gpu::fetch`].
    pub async fn fetch_all<const N: usize>(&self, tensors: [&Tensor; N]) -> Result<[Vec<f32>; N]> {
        let mut all = [const { Vec::new() }; N];
        let bytes: u64 = tensors.iter().map(|tensor| tensor.bytes()).sum();
        if bytes > TOGETHER {
            for (values, tensor) in all.iter_mut().zip(tensors) {
                *values = self.fetch(tensor).await?;
            }
            return Ok(all);
        }
        let parts = tensors.map(|tensor| {
            assert_eq!(tensor.element, DType::F32, "{}", tensor.label);
            (&tensor.buffer, tensor.bytes())
        });
        let encoder = self.device.create_command_encoder(&Default::default());
        let values: Vec<f32> = self.fetch_buffers(encoder, &parts, "arrays").await?;
        let mut rest = values.as_slice();
        for (part, tensor) in all.iter_mut().zip(tensors) {
            let (own, others) = rest.split_at(tensor.len);
            (*part, rest) = (own.to_vec(), others);
        }
        Ok(all)
    }

    async fn fetch_as<T: bytemuck::Pod>(&self, tensor: &Tensor) -> Result<Vec<T>> {
        if tensor.is_empty() {
            return Ok(Vec::new());
        }
        let encoder = self.device.create_command_encoder(&Default::default());
        // Copies take four bytes at a time.
        let bytes = tensor.bytes().next_multiple_of(4);
        let mut values = self.fetch_buffer(encoder, &tensor.buffer, bytes, tensor.label()).await?;
        values.truncate(tensor.len);
        Ok(values)
    }

    /// Submits `encoder` and a copy of the first `bytes` of `buffer`, and returns what they hold then.
    pub(crate) async fn fetch_buffer<T: bytemuck::Pod>(
        &self,
        encoder: wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        bytes: u64,
        label: &str,
    ) -> Result<Vec<T>> {
        self.fetch_buffers(encoder, &[(buffer, bytes)], label).await
    }

    /// The same of several buffers, one behind another.
    async fn fetch_buffers<T: bytemuck::Pod>(
        &self,
        mut encoder: wgpu::CommandEncoder,
        parts: &[(&wgpu::Buffer, u64)],
        label: &str,
    ) -> Result<Vec<T>> {
        let staging = self.staging(label, parts.iter().map(|(_, bytes)| bytes).sum())?.buffer;
        let mut at = 0;
        for &(buffer, bytes) in parts.iter().filter(|(_, bytes)| *bytes > 0) {
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, at, bytes);
            at += bytes;
        }
        self.queue.submit([encoder.finish()]);
        let (sender, mapped) = one_shot();
        staging.map_async(wgpu::MapMode::Read, .., move |result| sender.send(result.is_ok()));
        let mapped = mapped.await;
        self.poll()?; // a lost device says why nothing could be mapped
        if mapped != Some(true) {
            return Err(Error::Device(format!("{}: reading {label} back failed", self.name())));
        }
        let view = staging.get_mapped_range(..).map_err(|e| Error::Device(format!("{label}: {e}")))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}
