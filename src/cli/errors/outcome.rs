//! How commands end.

use crate::{Error, Result};
use std::process::ExitCode;

/// What a command returns.
pub(crate) type Outcome = Result<ExitCode>;

/// The exit code of an error: 2 for a request that cannot be met, 1 for everything else.
pub(crate) fn exit_code(error: &Error) -> ExitCode {
    let impossible =
        matches!(error, Error::Usage(_) | Error::Unsupported { .. } | Error::BatchTooLarge { .. });
    ExitCode::from(if impossible { 2 } else { 1 })
}
