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

/// A device may round so many times as much as a case allows, which is made for `check`: a kernel that is wrong
/// is wrong by far more, and nobody is to be refused for rounding.
pub(super) const MARGIN: f64 = 10.0;

/// The failure of a case, if it fails. Lack of memory is no failure of a kernel.
pub(super) fn failure(case: &Case, gpu: &Arc<Gpu>) -> Result<Option<Failure>> {
    match case.error(gpu, false) {
        Ok(error) if error <= MARGIN * case.tolerance => Ok(None),
        Ok(error) => Ok(Some(Failure::Differs(error))),
        Err(error @ Error::OutOfMemory(_)) => Err(error),
        Err(error) => Ok(Some(Failure::Refused(error))),
    }
}
