//! Whether a case fails, and how.

use crate::cases::Case;
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::sync::Arc;

/// How a case fails.
pub(super) enum Failure {
    /// Its relative error.
    Differs(f64),
    /// The driver's error.
    Refused(Error),
}

/// The failure of a case, if it fails, in any variant that is in force for any work. Lack of memory and a
/// lost device are no failures of a kernel.
pub(super) fn failure(case: &Case, gpu: &Arc<Gpu>) -> Result<Option<Failure>> {
    match gpu.block_on(case.error_in(gpu, &gpu.variants(), false)) {
        Ok(error) if error <= case.margin() => Ok(None),
        Ok(error) => Ok(Some(Failure::Differs(error))),
        Err(error @ Error::Device(_)) if gpu.is_alive() => Ok(Some(Failure::Refused(error))),
        Err(error) => Err(error),
    }
}
