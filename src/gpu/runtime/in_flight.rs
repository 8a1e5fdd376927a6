//! What was submitted runs some time later. A future tells when it has: a browser must not be kept waiting.

use crate::Result;
use crate::gpu::Gpu;
use crate::gpu::runtime::one_shot::{Promise, promise};

/// What was submitted and may not have run yet.
pub(crate) struct InFlight {
    index: wgpu::SubmissionIndex,
    finished: Promise<()>,
}

impl Gpu {
    /// Submits `commands`.
    pub(crate) fn submit(&self, commands: wgpu::CommandBuffer) -> InFlight {
        let index = self.queue.submit([commands]);
        InFlight { index, finished: self.when_finished() }
    }

    /// Returns once this has run.
    pub(crate) async fn has_run(&self, work: InFlight) -> Result<()> {
        *self.awaited.lock().unwrap() = Some(work.index);
        work.finished.await;
        self.poll(wgpu::PollType::Poll)
    }

    /// Returns once everything submitted so far has run. Readbacks requested before have arrived then.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device is lost or has reported an error.
    pub async fn finished(&self) -> Result<()> {
        self.when_finished().await;
        self.poll(wgpu::PollType::Poll)
    }

    fn when_finished(&self) -> Promise<()> {
        let (fulfil, finished) = promise();
        self.queue.on_submitted_work_done(move || fulfil.with(()));
        finished
    }
}
