//! How commands end.

use crate::sweep::process::code;
use crate::{Error, Result};
use std::process::ExitCode;

/// What a command returns.
pub(crate) type Outcome = Result<ExitCode>;

/// The exit code of a result that cannot be right, where `--strict` asks for one.
const DOUBTFUL: u8 = 3;

/// The exit code where some members of a folder were left out.
const LEFT_OUT: u8 = code::LEFT_OUT as u8;

/// The exit code of a training that ended since a loss was not finite.
const DIVERGED: u8 = code::DIVERGED as u8;

/// The exit code of work that is done.
pub(crate) fn done(is_doubtful: bool, has_left_out: bool) -> ExitCode {
    match (is_doubtful, has_left_out) {
        (true, _) => ExitCode::from(DOUBTFUL),
        (false, true) => ExitCode::from(LEFT_OUT),
        (false, false) => ExitCode::SUCCESS,
    }
}

/// The exit code of an error: 2 for a request that cannot be met, 5 for a training that has diverged, 1 for
/// everything else.
pub(crate) fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(match error {
        Error::Usage(_) | Error::Unsupported { .. } | Error::BatchTooLarge { .. } => 2,
        Error::NonFinite { .. } => DIVERGED,
        _ => 1,
    })
}
