//! Ctrl-C, the signal by which a system asks a process to end, and that of a terminal that has gone away: the
//! first one is noted. A second Ctrl-C or request ends at once.

#[cfg(unix)]
use crate::cli::terminal::hang_up;
use crate::sweep::process::code;
use crate::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a program that Ctrl-C has ended.
pub(crate) const EXIT_CODE: u8 = code::STOPPED as u8;

/// From now on the first signal sets the flag that is returned.
pub(crate) fn catch() -> Result<Arc<AtomicBool>> {
    let [caught, asked] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let failed = |e: std::io::Error| Error::Device(format!("Ctrl-C cannot be caught: {e}"));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        register_conditional_shutdown(signal, EXIT_CODE.into(), asked.clone())
            .and_then(|_| register(signal, asked.clone()))
            .and_then(|_| register(signal, caught.clone()))
            .map_err(failed)?;
    }
    #[cfg(unix)]
    if !hang_up::is_ignored() {
        // A closing terminal sends it several times, and a closing session another request beside it: none of
        // them is somebody's second thought.
        register(signal_hook::consts::SIGHUP, caught.clone()).map_err(failed)?;
    }
    Ok(caught)
}
