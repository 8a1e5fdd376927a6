//! How much work goes into one submission. Drivers take a device for hung that is busy with one for seconds
//! (2 on Windows), and a desktop on the same device stands still meanwhile; so slow devices get a step in
//! pieces.

use crate::Result;
use crate::gpu::Gpu;
use crate::gpu::runtime::one_shot::{Receiver, one_shot};
use crate::gpu::runtime::recording::{Recording, Work};
use crate::gpu::stopwatch::Stopwatch;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Operations that take as long as moving a byte, roughly: GPUs reach 5 to 20 in these kernels, processors 1
/// to 10.
const OPERATIONS_PER_BYTE: f64 = 8.0;

/// How long a submission may take, and how fast the device is.
#[derive(Default)]
pub(crate) struct Pace {
    /// The longest time for a submission; none where all work goes into one submission.
    longest: Option<Duration>,
    speed: Arc<Speed>,
    /// Whether [`Pace::take_measurement`] has told of it.
    told: bool,
    submissions: u64,
}

/// How fast the device is.
#[derive(Default)]
struct Speed {
    /// What the second step or micro-batch took, known when it has finished; never without a clock.
    measured: OnceLock<Measured>,
    /// Since the one before has finished. The first warms the device up, and some drivers' compilers.
    before: Mutex<Option<Stopwatch>>,
}

/// A time and the [`cost`] of what was done in it.
#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    cost: f64,
}

impl Speed {
    /// Work of this cost has finished. It ran neither before it was submitted nor before the work in front
    /// had finished.
    fn finished(&self, submitted: Stopwatch, cost: f64) {
        let mut before = self.before.lock().unwrap();
        if let Some(before) = *before {
            let seconds = before.elapsed().min(submitted.elapsed()).as_secs_f64();
            let _ = self.measured.set(Measured { seconds, cost });
        }
        *before = Some(Stopwatch::start());
    }
}

impl Pace {
    /// Learns the device's speed from the next submissions.
    pub(crate) fn measured(longest: Duration) -> Self {
        Self { longest: Some(longest), ..Self::default() }
    }

    /// The [`cost`] that one submission may have; 0: a single dispatch; infinite: any, without adding it up.
    fn budget(&self) -> f64 {
        match (self.longest.map(|longest| longest.as_secs_f64()), self.speed.measured.get()) {
            (None, _) => f64::INFINITY,
            (Some(_), None) => 0.0,
            (Some(longest), Some(whole)) if whole.seconds <= longest => f64::INFINITY,
            (Some(longest), Some(whole)) => longest / whole.seconds * whole.cost,
        }
    }

    /// What a submission may take, and an estimate of what a dispatch does; once, when the device's speed is
    /// known.
    pub(crate) fn take_measurement(&mut self) -> Option<(Duration, impl Fn(Work) -> Duration + use<>)> {
        let (longest, whole) = (self.longest?, *self.speed.measured.get()?);
        let time = move |work| Duration::from_secs_f64(whole.seconds * cost(work) / whole.cost);
        (!std::mem::replace(&mut self.told, true)).then_some((longest, time))
    }

    /// Whether the device's speed is wanted and not known yet. Until then one piece of work has to finish
    /// before the next is submitted, so that somebody waits for it and its end is noticed at once.
    pub(crate) fn is_measuring(&self) -> bool {
        self.longest.is_some() && self.speed.measured.get().is_none()
    }

    /// Submissions so far.
    pub(crate) fn submissions(&self) -> u64 {
        self.submissions
    }
}

/// What a dispatch takes, in units of one floating-point operation.
fn cost(work: Work) -> f64 {
    work.flops as f64 + OPERATIONS_PER_BYTE * work.bytes as f64
}

/// Recordings, one behind the other, in as many submissions as the pace asks for.
pub(crate) struct Submission<'a> {
    gpu: &'a Gpu,
    pace: &'a mut Pace,
    /// Holds what goes into the next submission.
    pub(crate) encoder: wgpu::CommandEncoder,
    budget: f64,
    /// The cost of what is in the encoder.
    cost: f64,
    /// The cost of everything that was appended.
    total: f64,
    start: Stopwatch,
}

impl<'a> Submission<'a> {
    /// A submission without any recording.
    pub(crate) fn new(gpu: &'a Gpu, pace: &'a mut Pace) -> Self {
        let (encoder, budget) = (gpu.device.create_command_encoder(&Default::default()), pace.budget());
        Self { gpu, pace, encoder, budget, cost: 0.0, total: 0.0, start: Stopwatch::start() }
    }

    /// Appends `recording`.
    pub(crate) fn run(&mut self, recording: &Recording) {
        if self.budget.is_infinite() {
            return recording.encode(&mut self.encoder);
        }
        let mut first = 0;
        for (i, dispatch) in recording.describe().enumerate() {
            let cost = cost(dispatch.work);
            if self.cost > 0.0 && self.cost + cost > self.budget {
                recording.encode_range(first..i, &mut self.encoder);
                let piece = self.take();
                self.gpu.submit(piece); // nobody waits for this one, but its end is a sign of life
                (self.cost, first) = (0.0, i);
            }
            self.cost += cost;
            self.total += cost;
        }
        recording.encode_range(first..recording.len(), &mut self.encoder);
    }

    /// Submits what is left, without waiting. Until the device's speed is known, lets it tell when it has
    /// finished.
    pub(crate) fn submit(mut self) -> InFlight {
        let last = self.take();
        let last = self.gpu.submit(last);
        if self.budget == 0.0 {
            let (speed, start, total) = (self.pace.speed.clone(), self.start, self.total);
            self.gpu.queue.on_submitted_work_done(move || speed.finished(start, total));
        }
        last
    }

    /// What was encoded since the last submission, to be submitted now.
    fn take(&mut self) -> wgpu::CommandBuffer {
        self.pace.submissions += 1;
        let next = self.gpu.device.create_command_encoder(&Default::default());
        std::mem::replace(&mut self.encoder, next).finish()
    }
}

/// What was submitted and may not have run yet.
pub(crate) struct InFlight {
    index: wgpu::SubmissionIndex,
    finished: Receiver<()>,
}

impl Gpu {
    /// Submits `commands` and returns what tells when they have run.
    pub(crate) fn submit(&self, commands: wgpu::CommandBuffer) -> InFlight {
        let index = self.queue.submit([commands]);
        InFlight { index, finished: self.when_finished() }
    }

    /// Returns once `work` has run.
    pub(crate) async fn has_run(&self, work: InFlight) -> Result<()> {
        *self.awaited.lock().unwrap() = Some(work.index);
        work.finished.await;
        self.poll()
    }

    /// Returns once everything submitted so far has run. Readbacks requested before have arrived then.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device is lost or has reported an error.
    pub async fn finished(&self) -> Result<()> {
        self.when_finished().await;
        self.poll()
    }

    fn when_finished(&self) -> Receiver<()> {
        let (sender, finished) = one_shot();
        let count = self.finished.clone();
        self.queue.on_submitted_work_done(move || {
            count.fetch_add(1, Ordering::Relaxed);
            sender.send(());
        });
        finished
    }
}
