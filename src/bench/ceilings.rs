//! What a device can do at most.

use serde::{Deserialize, Serialize};

/// The two ceilings of the roofline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// 10⁹ floating-point operations per second: multiply-adds in registers, each counting two.
    pub gflops: f64,
    /// 10⁹ bytes per second, reads and writes together: the faster of the two copies below.
    pub gbytes_per_second: f64,
    /// A copy by a shader, a vector of four per invocation.
    pub copy_kernel: f64,
    /// A copy by the driver's own command.
    pub copy_command: f64,
}

impl Ceilings {
    /// FLOP per byte above which arithmetic bounds the time, and below which memory does.
    pub fn ridge(&self) -> f64 {
        self.gflops / self.gbytes_per_second
    }

    /// Seconds for this work at the ceilings.
    pub fn seconds(&self, flops: u64, bytes: u64) -> f64 {
        1e-9 * (flops as f64 / self.gflops).max(bytes as f64 / self.gbytes_per_second)
    }
}
