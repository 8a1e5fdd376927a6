//! What a device can do at most.

use crate::Result;
use crate::cpu::fast::peak;
use serde::{Deserialize, Serialize};

/// The two ceilings of the roofline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// 10⁹ floating-point operations per second: multiply-adds in registers, each counting two.
    pub gflops: f64,
    /// 10⁹ bytes per second, reads and writes together: on a GPU the faster of the two copies below, on the
    /// CPU engine a copy by all threads.
    pub gbytes_per_second: f64,
    /// On a GPU, a copy by a shader, a vector of four per invocation.
    pub copy_kernel: Option<f64>,
    /// On a GPU, a copy by the driver's own command.
    pub copy_command: Option<f64>,
}

impl Ceilings {
    /// Those of the cores that the CPU engine computes on. It takes about a second.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn of_cores() -> Result<Self> {
        let (gflops, gbytes_per_second) = (peak::gflops(), peak::gbytes_per_second()?);
        Ok(Self { gflops, gbytes_per_second, copy_kernel: None, copy_command: None })
    }

    /// FLOP per byte above which arithmetic bounds the time, and below which memory does.
    pub fn ridge(&self) -> f64 {
        self.gflops / self.gbytes_per_second
    }

    /// Seconds for this work at the ceilings.
    pub fn seconds(&self, flops: u64, bytes: u64) -> f64 {
        1e-9 * (flops as f64 / self.gflops).max(bytes as f64 / self.gbytes_per_second)
    }
}
