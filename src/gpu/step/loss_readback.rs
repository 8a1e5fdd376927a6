//! The losses of finished steps come to the host many at a time, so that it never waits for a single one.

use crate::gpu::runtime::memory::MemoryUse;
use crate::gpu::runtime::tensor::Staging;
use crate::gpu::{Gpu, Tensor};
use crate::model::Losses;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Steps whose losses the ring on the GPU holds: the most that one readback brings.
const RING: usize = 16;

/// Losses of the latest steps on the GPU, and their way to the host.
pub(crate) struct LossReadback {
    /// `[RING·parts, 3·batch + 1]`: loss, y_l2, x_l2, frozen.
    slots: Tensor,
    /// Slots that no readback has fetched.
    waiting: usize,
    batch: usize,
    /// Slots per step.
    parts: usize,
    pending: VecDeque<(Staging, usize)>,
    spare: Vec<Staging>,
    sender: Sender<bool>,
    receiver: Receiver<bool>,
}

impl LossReadback {
    /// For steps of `parts` micro-batches of `batch` samples.
    pub(crate) fn new(gpu: &Gpu, batch: usize, parts: usize) -> Result<Self> {
        let (sender, receiver) = channel();
        let len = RING * parts * slot_len(batch);
        let slots = gpu.allocate_for(MemoryUse::Readback, || gpu.tensor("loss ring", len))?;
        let (pending, spare) = (VecDeque::new(), Vec::new());
        Ok(Self { slots, waiting: 0, batch, parts, pending, spare, sender, receiver })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting == RING * self.parts
    }

    /// Keeps losses, x_l2 and the frozen flag of the micro-batch that `encoder` ends with.
    pub(crate) fn push(&mut self, encoder: &mut wgpu::CommandEncoder, parts: [&Tensor; 3]) {
        let mut at = 4 * (self.waiting * slot_len(self.batch)) as u64;
        for part in parts {
            encoder.copy_buffer_to_buffer(&part.buffer, 0, &self.slots.buffer, at, part.bytes());
            at += part.bytes();
        }
        self.waiting += 1;
    }

    /// Starts a readback of what was kept since the last one, whole steps.
    pub(crate) fn flush(&mut self, gpu: &Gpu) -> Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let staging = match self.spare.pop() {
            Some(staging) => staging,
            None => gpu.staging("loss readback", self.slots.bytes())?,
        };
        let bytes = 4 * (self.waiting * slot_len(self.batch)) as u64;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&self.slots.buffer, 0, &staging.buffer, 0, bytes);
        gpu.queue.submit([encoder.finish()]);
        let sender = self.sender.clone();
        staging.buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            let _ = sender.send(result.is_ok());
        });
        self.pending.push_back((staging, self.waiting));
        self.waiting = 0;
        Ok(())
    }

    /// What has come, by step. Readbacks finish in the order of their submission.
    pub(crate) fn arrived(&mut self, gpu: &Gpu) -> Result<Vec<Losses>> {
        let batch = self.batch;
        let mut all = Vec::new();
        while let Ok(mapped) = self.receiver.try_recv() {
            let (staging, slots) = self.pending.pop_front().expect("one message per pending readback");
            let failed = || Error::Device(format!("{}: reading the losses back failed", gpu.name()));
            if !mapped {
                return Err(failed());
            }
            let bytes = 4 * (slots * slot_len(batch)) as u64;
            let view = staging.buffer.get_mapped_range(..bytes).map_err(|_| failed())?;
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&view);
            drop(view);
            staging.buffer.unmap();
            self.spare.push(staging);
            all.extend(values.chunks_exact(self.parts * slot_len(batch)).map(|step| {
                let mut losses = Losses::default();
                step.chunks_exact(slot_len(batch)).for_each(|slot| losses.append(of_slot(slot, batch)));
                losses
            }));
        }
        Ok(all)
    }
}

fn of_slot(slot: &[f32], batch: usize) -> Losses {
    let part = |i: usize| slot[i * batch..][..batch].iter().map(|&v| f64::from(v)).collect();
    let frozen = slot[3 * batch].to_bits() != 0;
    Losses { loss: part(0), y_l2: part(1), x_l2: part(2), frozen }
}

/// Numbers per slot.
fn slot_len(batch: usize) -> usize {
    3 * batch + 1
}
