//! Ctrl-C, and the signal by which a system asks a process to end: the first one is noted, the second one
//! ends.

use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a program that Ctrl-C has ended.
pub(crate) const EXIT_CODE: u8 = 130;

/// From now on the first signal sets the flag that is returned. A hang-up is left alone: nohup must keep its
/// meaning.
pub(crate) fn catch() -> Result<Arc<AtomicBool>> {
    let caught = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        register_conditional_shutdown(signal, EXIT_CODE.into(), caught.clone())
            .and_then(|_| register(signal, caught.clone()))
            .map_err(|e| Error::Device(format!("Ctrl-C cannot be caught: {e}")))?;
    }
    Ok(caught)
}
