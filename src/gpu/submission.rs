//! How much work goes into one submission. Drivers take a device for hung that is busy with one for seconds (2 on
//! Windows), and a desktop on the same device stands still meanwhile; so slow devices get a step in pieces.

use super::Gpu;
use super::in_flight::InFlight;
use super::recording::{Description, Recording, Work};
use super::stopwatch::Stopwatch;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Operations that take as long as moving a byte, roughly: GPUs reach 5 to 20 in these kernels, processors 1 to 10.
const OPERATIONS_PER_BYTE: f64 = 8.0;

/// How long a submission may take, and how fast the device is.
#[derive(Default)]
pub(super) struct Pace {
    /// None: whatever is to be done goes into one submission.
    longest: Option<Duration>,
    speed: Arc<Speed>,
    submissions: u64,
}

/// How fast the device is.
#[derive(Default)]
struct Speed {
    /// Seconds per unit of [`cost`], known when the second piece of work has finished; never without a clock.
    measured: OnceLock<f64>,
    /// Since the first one has finished, which also warmed the device up, and some drivers' compilers.
    warm: Mutex<Option<Stopwatch>>,
}

impl Speed {
    /// Work of this cost has finished. It ran neither before it was submitted nor before the work in front had finished.
    fn finished(&self, submitted: Stopwatch, cost: f64) {
        let mut warm = self.warm.lock().unwrap();
        let times = warm.and_then(|warm| Some((warm.measured()?, submitted.measured()?)));
        if let Some((since_warm, since_submitted)) = times {
            let _ = self.measured.set(since_warm.min(since_submitted).as_secs_f64() / cost);
        }
        *warm = Some(Stopwatch::start());
    }
}

impl Pace {
    /// Learns the device's speed from the next submissions.
    pub(super) fn measured(longest: Duration) -> Self {
        Self { longest: Some(longest), ..Self::default() }
    }

    /// The [`cost`] that one submission may have; 0: a single dispatch.
    fn budget(&self) -> f64 {
        match (self.longest, self.speed.measured.get()) {
            (None, _) => f64::INFINITY,
            (Some(_), None) => 0.0,
            (Some(longest), Some(speed)) => longest.as_secs_f64() / speed,
        }
    }

    /// The kernel and layer of the longest of `dispatches` and its estimated time, if that is too long.
    pub(super) fn too_long<'a>(
        &self,
        dispatches: impl Iterator<Item = Description<'a>>,
    ) -> Option<(String, Duration)> {
        let (longest, speed) = (self.longest?, self.speed.measured.get()?);
        let time = |dispatch: &Description| Duration::from_secs_f64(speed * cost(dispatch.work));
        let slowest = dispatches.max_by(|a, b| cost(a.work).total_cmp(&cost(b.work)))?;
        (time(&slowest) > longest)
            .then(|| (format!("{} of {}", slowest.kernel, slowest.label), time(&slowest)))
    }

    /// Submissions so far.
    pub(super) fn submissions(&self) -> u64 {
        self.submissions
    }
}

/// What a dispatch takes, in units of one floating-point operation.
fn cost(work: Work) -> f64 {
    work.flops as f64 + OPERATIONS_PER_BYTE * work.bytes as f64
}

/// Recordings, one behind the other, in as many submissions as the pace asks for.
pub(super) struct Submission<'a> {
    gpu: &'a Gpu,
    pace: &'a mut Pace,
    /// Of the submission that is being filled.
    pub(super) encoder: wgpu::CommandEncoder,
    budget: f64,
    /// Of what is in the encoder.
    cost: f64,
    /// Of everything.
    total: f64,
    start: Stopwatch,
}

impl<'a> Submission<'a> {
    /// An empty one.
    pub(super) fn new(gpu: &'a Gpu, pace: &'a mut Pace) -> Self {
        let (encoder, budget) = (gpu.device.create_command_encoder(&Default::default()), pace.budget());
        Self { gpu, pace, encoder, budget, cost: 0.0, total: 0.0, start: Stopwatch::start() }
    }

    /// Appends `recording`.
    pub(super) fn run(&mut self, recording: &Recording) {
        if self.budget.is_infinite() {
            return recording.encode(&mut self.encoder);
        }
        let mut first = 0;
        for (i, dispatch) in recording.describe().enumerate() {
            let cost = cost(dispatch.work);
            if self.cost > 0.0 && self.cost + cost > self.budget {
                recording.encode_range(first..i, &mut self.encoder);
                self.send();
                (self.cost, first) = (0.0, i);
            }
            self.cost += cost;
            self.total += cost;
        }
        recording.encode_range(first..recording.len(), &mut self.encoder);
    }

    /// Submits what is left, without waiting. Until the device's speed is known, lets it tell when it has finished.
    pub(super) fn submit(mut self) -> InFlight {
        let last = self.send();
        if self.budget == 0.0 {
            let (speed, start, total) = (self.pace.speed.clone(), self.start, self.total);
            self.gpu.queue.on_submitted_work_done(move || speed.finished(start, total));
        }
        last
    }

    fn send(&mut self) -> InFlight {
        self.pace.submissions += 1;
        let next = self.gpu.device.create_command_encoder(&Default::default());
        self.gpu.submit(std::mem::replace(&mut self.encoder, next).finish())
    }
}
