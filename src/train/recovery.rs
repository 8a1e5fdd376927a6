//! The way back when a device fails in the middle of a run: open it anew, return to the last state on the
//! host.

use crate::blocking::block_on;
use crate::engine::Device;
use crate::model::Snapshot;
use crate::{Error, Result};
use std::thread;
use std::time::{Duration, Instant};

/// Failures without a newer state between them that are one too many.
const LIMIT: u32 = 3;

/// The state comes to the host at least this often, so that a failure costs no more than that. The copy waits
/// for the steps in flight and moves five arrays as long as the parameters: by time, not by steps, it is a
/// small part of any run.
const INTERVAL: Duration = Duration::from_secs(10);

/// A driver that has reset its device is asked again after this, times the failures so far.
const PAUSE: Duration = Duration::from_millis(300);

/// The last state that the host knows, and what has happened since.
pub(crate) struct Recovery {
    /// Steps before `snapshot`.
    pub(crate) step: u64,
    pub(crate) snapshot: Snapshot,
    taken: Instant,
    failures: u32,
}

impl Recovery {
    /// From the state after `step` steps.
    pub(crate) fn new(step: u64, snapshot: Snapshot) -> Self {
        Self { step, snapshot, taken: Instant::now(), failures: 0 }
    }

    /// Whether the state should be taken once more. On the CPU nothing is lost that the process does not
    /// share.
    pub(crate) fn is_due(&self, device: &Device) -> bool {
        matches!(device, Device::Gpu(_)) && self.taken.elapsed() > INTERVAL
    }

    /// The state after `step` steps.
    pub(crate) fn keep(&mut self, step: u64, snapshot: &Snapshot) {
        if step > self.step {
            *self = Self::new(step, snapshot.clone());
        }
        self.taken = Instant::now();
    }

    /// Opens the device of `compute` anew after `error`, as often as it may fail, and lets `build` build on
    /// it.
    ///
    /// # Errors
    /// `error` itself, where another device would not help; after too many failures the last of them.
    pub(crate) fn restart<T>(
        &mut self,
        mut error: Error,
        device: &Device,
        build: impl Fn(&Device) -> Result<T>,
    ) -> Result<(Device, T)> {
        let Device::Gpu(gpu) = device else { return Err(error) };
        while matches!(error, Error::Device(_) | Error::OutOfMemory(_)) {
            self.failures += 1;
            if self.failures >= LIMIT {
                let step = self.step;
                let what =
                    format!("{error} ({LIMIT} failures after step {step}; opening it anew did not help)");
                return Err(Error::Device(what));
            }
            thread::sleep(PAUSE * (self.failures - 1));
            let opened = block_on(gpu.reopen()).map(|gpu| Device::Gpu(gpu.into()));
            match opened.and_then(|device| Ok((build(&device)?, device))) {
                Ok((built, device)) => return Ok((device, built)),
                Err(again) => error = again,
            }
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DeviceChoice;
    use crate::model::unet::init::State;
    use std::cell::Cell;

    fn recovery() -> Recovery {
        Recovery::new(3, Snapshot::before(State { params: vec![1.0], buffers: vec![], batches_tracked: 0 }))
    }

    /// `failing` times before it builds.
    fn restarted(recovery: &mut Recovery, error: Error, device: &Device, failing: u32) -> Result<u32> {
        let tries = Cell::new(0);
        let build = |_: &Device| {
            tries.set(tries.get() + 1);
            if tries.get() > failing { Ok(tries.get()) } else { Err(Error::OutOfMemory("full".to_owned())) }
        };
        recovery.restart(error, device, build).map(|(_, tries)| tries)
    }

    #[test]
    fn what_another_device_may_mend_is_tried_and_nothing_else() {
        let gpu = Device::open(&DeviceChoice::Index(0)).unwrap();
        let full = || Error::OutOfMemory("full".to_owned());
        let text = |outcome: Result<u32>| outcome.unwrap_err().to_string();
        assert_eq!(restarted(&mut recovery(), full(), &gpu, 0).unwrap(), 1);
        assert_eq!(restarted(&mut recovery(), full(), &gpu, 1).unwrap(), 2);
        let ended = text(restarted(&mut recovery(), full(), &gpu, 9));
        assert!(ended.contains("full") && ended.contains("3 failures after step 3"), "{ended}");
        assert_eq!(text(restarted(&mut recovery(), Error::usage("typo"), &gpu, 0)), "typo");
        assert_eq!(text(restarted(&mut recovery(), full(), &Device::Cpu, 0)), "full");

        // Failures count until there is a newer state.
        let mut tired = recovery();
        let snapshot = tired.snapshot.clone();
        for step in 4..6 {
            restarted(&mut tired, full(), &gpu, 0).unwrap();
            tired.keep(step - 1, &snapshot); // the same as before: no step forward
            restarted(&mut tired, full(), &gpu, 0).unwrap();
            tired.keep(step, &snapshot);
        }
        assert_eq!((tired.step, tired.failures), (5, 0));
    }
}
