//! Functions that wait. Nothing in [`gpu`](crate::gpu) waits: what takes time there is a future, which a
//! browser's event loop can drive. Here a thread drives it, for programs and tests. A browser must not block,
//! so that this module is not built for it.

use crate::gpu::adapters;
use crate::gpu::{Gpu, Tensor};
use crate::{Error, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long to wait for a call back from a device that has nothing left to do. After that it never comes.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// The environment variable with the seconds that nothing may finish on a device that is waited for.
pub const LIMIT_VARIABLE: &str = "UNHEAT_WAIT_LIMIT";

/// How long nothing may finish on a device that is waited for.
#[derive(Clone, Copy)]
struct Limits {
    /// Then a line says so.
    told: Duration,
    /// Then it is an error. No driver that watches over its device lets a submission run for so long; a
    /// software adapter on few cores may need minutes for one.
    longest: Duration,
    /// The time between two looks at what has finished.
    look: Duration,
}

impl Limits {
    /// Those for a longest wait of `seconds`, or the usual ones.
    fn new(seconds: Option<&str>) -> Result<Self> {
        let longest = match seconds {
            None => Duration::from_secs(30 * 60),
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0.0)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| {
                    Error::usage(format!("{LIMIT_VARIABLE} {text}: must be a number of seconds above 0"))
                })?,
        };
        Ok(Self::within(longest))
    }

    fn within(longest: Duration) -> Self {
        Self { told: Duration::from_secs(60), longest, look: Duration::from_secs(1).min(longest / 4) }
    }

    fn of_environment() -> Result<Self> {
        let asked = std::env::var_os(LIMIT_VARIABLE);
        Self::new(asked.as_deref().map(|text| text.to_string_lossy()).as_deref())
    }
}

/// What to do after another look at a device.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    Tell,
    GiveUp,
}

/// Tells a device that is slow from one that hangs: on the latter nothing finishes.
struct Patience {
    limits: Limits,
    /// Submissions that had finished at the last sign of life.
    finished: u64,
    since: Instant,
    told: bool,
}

impl Patience {
    fn new(limits: Limits, finished: u64, now: Instant) -> Self {
        Self { limits, finished, since: now, told: false }
    }

    fn look(&mut self, finished: u64, now: Instant) -> Verdict {
        if finished != self.finished {
            *self = Self::new(self.limits, finished, now);
        }
        match now.duration_since(self.since) {
            quiet if quiet >= self.limits.longest => Verdict::GiveUp,
            quiet if quiet >= self.limits.told && !self.told => {
                self.told = true;
                Verdict::Tell
            }
            _ => Verdict::Wait,
        }
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls `future` until it is ready, and calls `interlude` each time that it is not.
fn drive<R, E>(
    future: impl Future<Output = R>,
    mut interlude: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<R, E> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(output);
        }
        interlude()?;
    }
}

/// Waits for a future that needs no open device, such as opening one: `block_on(Gpu::open(&adapter,
/// checks))`. What an open device runs never ends this way, since the device is not polled: use
/// [`Gpu::block_on`] for it.
pub use pollster::block_on;

/// Every adapter, as of [`adapters::adapters`].
pub fn adapters() -> Vec<wgpu::Adapter> {
    block_on(adapters::adapters())
}

/// Refuses a limit of waits in the environment that is none.
///
/// # Errors
/// [`Error::Usage`] with the variable's name.
pub fn check_wait_limit() -> Result<()> {
    Limits::of_environment().map(drop)
}

impl Gpu {
    /// Waits for a future of what this device runs, such as `gpu.block_on(step.losses(true))`.
    ///
    /// # Errors
    /// Those of `future`; [`Error::Device`] where the device is lost, has reported an error, or lets nothing
    /// finish for half an hour ([`LIMIT_VARIABLE`] says otherwise, or [`Error::Usage`]).
    pub fn block_on<R>(&self, future: impl Future<Output = Result<R>>) -> Result<R> {
        self.block_within(Limits::of_environment()?, future)
    }

    /// As [`Gpu::block_on`], where nothing may finish for `longest` at most.
    ///
    /// # Errors
    /// Those of [`Gpu::block_on`].
    pub fn block_on_for<R>(&self, longest: Duration, future: impl Future<Output = Result<R>>) -> Result<R> {
        self.block_within(Limits::within(longest), future)
    }

    fn block_within<R>(&self, limits: Limits, future: impl Future<Output = Result<R>>) -> Result<R> {
        let finished = || self.finished.load(Ordering::Relaxed);
        let mut patience = Patience::new(limits, finished(), Instant::now());
        let mut unfinished = None;
        drive(future, || {
            let submission_index = self.awaited.lock().unwrap().take().or(unfinished.take());
            let everything = submission_index.is_none();
            unfinished = submission_index.clone();
            if self.poll_as(wgpu::PollType::Wait { submission_index, timeout: Some(limits.look) })? {
                unfinished = None;
                return if everything { self.expect_call() } else { Ok(()) };
            }
            match patience.look(finished(), Instant::now()) {
                Verdict::Wait => Ok(()),
                Verdict::Tell => {
                    self.tell_of_waiting(limits);
                    Ok(())
                }
                Verdict::GiveUp => Err(self.given_up(limits)),
            }
        })?
    }

    /// Once in a process: on a slow device every step would say it again.
    fn tell_of_waiting(&self, limits: Limits) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            let (told, longest) = (limits.told.as_secs(), limits.longest.as_secs());
            log::warn!(
                "{}: no submission has finished for {told} s: it is slow, or it hangs; after {longest} s \
                 that is an error ({LIMIT_VARIABLE}=SECONDS says otherwise); a second Ctrl-C ends at once",
                self.name()
            );
        });
    }

    fn given_up(&self, limits: Limits) -> Error {
        self.given_up.store(true, Ordering::Relaxed);
        // A queue that is dropped waits for its device, without a limit: this one never is.
        std::mem::forget(self.queue.clone());
        let longest = limits.longest.as_secs_f64();
        Error::Device(format!(
            "{}: no submission has finished for {longest} s: the device hangs, or one takes longer; try a \
             smaller batch, another device, or {LIMIT_VARIABLE}=SECONDS to wait longer",
            self.name()
        ))
    }

    /// Waits for the call back. It has come already, unless another thread that waits for the same device is
    /// about to make it.
    fn expect_call(&self) -> Result<()> {
        let start = Instant::now();
        thread::park_timeout(PATIENCE);
        if start.elapsed() < PATIENCE {
            return Ok(());
        }
        Err(Error::Device(format!("{}: everything has run, but what was waited for never came", self.name())))
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// As [`Gpu::finished`].
    pub fn wait(&self) -> Result<()> {
        self.block_on(self.finished())
    }

    /// Waits for everything submitted so far and returns the contents of a 32-bit tensor.
    ///
    /// # Errors
    /// As [`Gpu::fetch`].
    pub fn read(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        self.block_on(self.fetch(tensor))
    }

    /// Waits for everything submitted so far and returns the contents of a tensor of any type.
    ///
    /// # Errors
    /// As [`Gpu::fetch_f64`].
    pub fn read_f64(&self, tensor: &Tensor) -> Result<Vec<f64>> {
        self.block_on(self.fetch_f64(tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::device::NO_ADAPTER;
    use crate::gpu::probes::multiply_add::{MAX_ROUNDS, multiply_add};
    use crate::gpu::{Checks, Recorder};
    use crate::model::DType;
    use std::sync::atomic::AtomicBool;

    fn gpus() -> Vec<Gpu> {
        let adapters = adapters();
        assert!(!adapters.is_empty(), "{NO_ADAPTER}");
        adapters.iter().map(|adapter| block_on(Gpu::open(adapter, Checks::default())).unwrap()).collect()
    }

    fn polled_once<R>(future: impl Future<Output = R>) -> Poll<R> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Polls again and again, as an event loop does, and never waits.
    fn looking_in<R>(gpu: &Gpu, future: impl Future<Output = Result<R>>) -> R {
        drive(future, || gpu.poll()).unwrap().unwrap()
    }

    #[test]
    fn what_is_fetched_is_what_is_read() {
        let values = [0.0, -0.0, 1.0, -1.5, f32::MAX, f32::INFINITY, 65504.0];
        let wide = values.map(f64::from);
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let wide_bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        for gpu in gpus() {
            let tensor = gpu.tensor_from("values", &values).unwrap();
            assert!(polled_once(gpu.fetch(&tensor)).is_pending(), "fetching does not wait");
            assert_eq!(bits(&looking_in(&gpu, gpu.fetch(&tensor))), bits(&values));
            assert_eq!(bits(&gpu.read(&tensor).unwrap()), bits(&values));
            let mut elements = vec![DType::F32];
            elements.extend(gpu.stores_in(DType::F16).then_some(DType::F16));
            elements.extend(gpu.computes_in(DType::F64).then_some(DType::F64));
            for element in elements {
                let tensor = gpu.table("values", &wide, element).unwrap();
                let fetched = looking_in(&gpu, gpu.fetch_f64(&tensor));
                assert_eq!(wide_bits(&fetched), wide_bits(&gpu.read_f64(&tensor).unwrap()), "{element:?}");
                assert_eq!(fetched.len(), wide.len());
            }
            assert!(looking_in(&gpu, gpu.fetch(&gpu.tensor("nothing", 0).unwrap())).is_empty());
        }
    }

    #[test]
    fn a_lost_device_says_so_however_it_is_asked() {
        for gpu in gpus() {
            let tensor = gpu.tensor_from("values", &[1.0; 8]).unwrap();
            gpu.lose();
            let fetched = drive(gpu.fetch(&tensor), || Err(Error::usage("never comes")));
            let [first, second] = [fetched.and_then(|fetched| fetched), gpu.read(&tensor)]
                .map(|lost| lost.unwrap_err().to_string());
            assert!(first.starts_with(gpu.name()) && !first.contains('\n'), "{first}");
            assert_eq!(first, second);
            assert_eq!(first, gpu.wait().unwrap_err().to_string());
        }
        for gpu in gpus() {
            gpu.lose();
            let error = gpu.wait().unwrap_err().to_string();
            assert!(error.contains("device lost"), "{error}");
        }
    }

    /// Waiting for the first of two submissions does not wait for the second: else the device would be idle
    /// between steps.
    #[test]
    fn later_submissions_are_not_waited_for() {
        for gpu in gpus() {
            let sums = gpu.tensor("sums", 1 << 15).unwrap();
            let is_first_alone = |_| {
                let [first, second] = [1, 1 << 9].map(|rounds| {
                    let mut recorder = Recorder::new(&gpu);
                    multiply_add(&mut recorder, &sums, 1 << 15, rounds).unwrap();
                    let mut encoder = gpu.device.create_command_encoder(&Default::default());
                    recorder.finish().encode(&mut encoder);
                    gpu.submit(encoder.finish())
                });
                gpu.block_on(gpu.has_run(first)).unwrap();
                let alone = polled_once(gpu.has_run(second)).is_pending();
                gpu.wait().unwrap();
                alone
            };
            // On a busy machine the second may have run before it is polled.
            assert!((0..20).any(is_first_alone), "{}", gpu.name());
        }
    }

    /// Seconds of arithmetic on a processor, some milliseconds on a GPU.
    fn busy(gpu: &Gpu) -> crate::gpu::runtime::submission::InFlight {
        let sums = gpu.tensor("sums", 1 << 15).unwrap();
        let mut recorder = Recorder::new(gpu);
        let (times, rounds) = if gpu.is_software() { (1, MAX_ROUNDS / 4) } else { (64, MAX_ROUNDS) };
        (0..times).for_each(|_| multiply_add(&mut recorder, &sums, 1 << 15, rounds).unwrap());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        recorder.finish().encode(&mut encoder);
        gpu.submit(encoder.finish())
    }

    #[test]
    fn a_device_that_hangs_is_an_error_and_does_not_hang_who_drops_it() {
        for gpu in gpus() {
            let work = busy(&gpu);
            let start = Instant::now();
            let longest = Duration::from_millis(2);
            let error = gpu.block_on_for(longest, gpu.has_run(work)).unwrap_err().to_string();
            let given_up = start.elapsed();
            assert!(error.starts_with(gpu.name()) && error.contains("finished for 0.002 s"), "{error}");
            assert!(error.contains(LIMIT_VARIABLE) && !error.contains('\n'), "{error}");
            // It was only busy, and runs to its end; waiting for that takes longer.
            let queue = gpu.queue.clone();
            let everything = Arc::new(AtomicBool::new(false));
            let has_run = everything.clone();
            queue.on_submitted_work_done(move || has_run.store(true, Ordering::Relaxed));
            let device = gpu.device.clone();
            drop((gpu, queue));
            let dropped = start.elapsed();
            device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            assert!(everything.load(Ordering::Relaxed));
            println!("given up after {given_up:?}, dropped {dropped:?}, done {:?}", start.elapsed());
            assert!(start.elapsed() > 2 * dropped, "dropping waited");
        }
    }

    #[test]
    fn patience_is_renewed_by_whatever_finishes() {
        let limits = Limits::within(Duration::from_secs(100));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(limits, 7, start);
        for (finished, seconds, expected) in [
            (7, 59, Verdict::Wait),
            (7, 60, Verdict::Tell),
            (7, 99, Verdict::Wait), // told once
            (8, 99, Verdict::Wait),
            (8, 158, Verdict::Wait),
            (8, 159, Verdict::Tell),
            (9, 198, Verdict::Wait),
            (9, 297, Verdict::Tell),
            (9, 298, Verdict::GiveUp),
        ] {
            assert_eq!(patience.look(finished, at(seconds)), expected, "{finished} at {seconds}");
        }
    }

    #[test]
    fn the_limit_of_a_wait_is_a_number_of_seconds() {
        let seconds = |text| Limits::new(text).map(|limits| limits.longest.as_secs_f64());
        assert_eq!(seconds(None).unwrap(), 1800.0);
        assert_eq!(seconds(Some("7200")).unwrap(), 7200.0);
        assert_eq!(seconds(Some("0.5")).unwrap(), 0.5);
        for wrong in ["", "0", "-1", "NaN", "inf", "1e300", "an hour", "60 s"] {
            let error = seconds(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains("UNHEAT_WAIT_LIMIT") && error.contains("seconds"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_never_comes_is_an_error() {
        for gpu in gpus() {
            let error = gpu.block_on(std::future::pending::<Result<()>>()).unwrap_err();
            assert!(error.to_string().contains("never came"), "{error}");
        }
    }
}
