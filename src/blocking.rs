//! Functions that wait. Nothing in [`gpu`](crate::gpu) waits: what takes time there is a future, which a
//! browser's event loop can drive. Here a thread drives it, for programs and tests. A browser must not block,
//! so that this module is not built for it.

use crate::gpu::runtime::device;
use crate::gpu::{Gpu, Tensor};
use crate::{Error, Result};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long to wait for a call back from a device that has nothing left to do. After that it never comes.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

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

/// Every adapter, as of [`device::adapters`].
pub fn adapters() -> Vec<wgpu::Adapter> {
    block_on(device::adapters())
}

impl Gpu {
    /// Waits for a future of what this device runs, such as `gpu.block_on(step.losses(true))`.
    ///
    /// # Errors
    /// Those of `future`; [`Error::Device`] where the device is lost or has reported an error.
    pub fn block_on<R>(&self, future: impl Future<Output = Result<R>>) -> Result<R> {
        drive(future, || {
            let submission_index = self.awaited.lock().unwrap().take();
            let everything = submission_index.is_none();
            self.poll(wgpu::PollType::Wait { submission_index, timeout: None })?;
            if everything { self.expect_call() } else { Ok(()) }
        })?
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
    use crate::gpu::probes::multiply_add::multiply_add;
    use crate::gpu::{Checks, Recorder};
    use crate::model::DType;

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
        drive(future, || gpu.poll(wgpu::PollType::Poll)).unwrap().unwrap()
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

    #[test]
    fn what_never_comes_is_an_error() {
        for gpu in gpus() {
            let error = gpu.block_on(std::future::pending::<Result<()>>()).unwrap_err();
            assert!(error.to_string().contains("never came"), "{error}");
        }
    }
}
