//! A typed-by-convention array on the GPU: 4-byte elements, f32 unless a kernel says otherwise.

use super::Gpu;
use crate::{Error, Result};

/// A storage buffer of `len` 4-byte elements. Clones share the memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) buffer: wgpu::Buffer,
    label: String,
    len: usize,
}

impl Tensor {
    /// Elements, not bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements; no tensor is made like that.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The name in error messages and GPU debuggers.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        4 * self.len as u64
    }
}

impl Gpu {
    /// A new tensor; its contents are zero.
    pub fn tensor(&self, label: &str, len: usize) -> Result<Tensor> {
        let bytes = 4 * len as u64;
        if bytes > self.max_tensor_bytes() || len == 0 {
            return Err(Error::Device(format!(
                "{label}: {bytes} bytes do not fit into one buffer binding of {} ({} bytes); use a smaller batch or size",
                self.name(),
                self.max_tensor_bytes()
            )));
        }
        let buffer = self.checked(label, || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        Ok(Tensor { buffer, label: label.to_owned(), len })
    }

    /// A new tensor holding `values`.
    pub fn tensor_from(&self, label: &str, values: &[f32]) -> Result<Tensor> {
        let tensor = self.tensor(label, values.len())?;
        self.write(&tensor, values);
        Ok(tensor)
    }

    /// Overwrites the first `values.len()` elements, before the next submission runs.
    pub fn write(&self, tensor: &Tensor, values: &[f32]) {
        self.queue.write_buffer(&tensor.buffer, 0, bytemuck::cast_slice(values));
    }

    /// Waits for everything submitted so far and returns the contents.
    pub fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        let staging = self.checked(tensor.label(), || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("readback"),
                size: tensor.bytes(),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&tensor.buffer, 0, &staging, 0, tensor.bytes());
        self.queue.submit([encoder.finish()]);
        let (sender, receiver) = std::sync::mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = sender.send(result);
        });
        self.wait()?;
        match receiver.try_recv() {
            Ok(Ok(())) => {}
            _ => {
                return Err(Error::Device(format!(
                    "{}: reading {} back failed",
                    self.name(),
                    tensor.label()
                )));
            }
        }
        let view =
            staging.get_mapped_range(..).map_err(|e| Error::Device(format!("{}: {e}", tensor.label())))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}
