//! Whether wgpu checks what shaders do, and how its errors are caught and put into one line.

use crate::{Error, Result};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Whether wgpu injects bounds checks and loop limits into the shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checks {
    /// Every access is checked: for tests and for finding out what is wrong.
    Checked,
    /// None: as fast as written. The shaders' own conditions keep every access inside, and
    /// [`Checks::Checked`] runs of the same cases show it.
    Trusted,
}

impl Default for Checks {
    /// Checked in debug builds, trusted in release builds.
    fn default() -> Self {
        if cfg!(debug_assertions) { Self::Checked } else { Self::Trusted }
    }
}

/// Runs `create` in error scopes of `device`, so that a failure is returned with the name of the adapter and
/// of what failed.
///
/// A browser's scopes answer later, and nothing here waits for them: there it does without, and an error is
/// one that no scope caught, which whatever is fetched next returns.
pub(crate) fn scoped<R>(
    device: &wgpu::Device,
    adapter: &str,
    what: &str,
    create: impl FnOnce() -> R,
) -> Result<R> {
    if cfg!(target_family = "wasm") {
        return Ok(create());
    }
    let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory]
        .map(|filter| device.push_error_scope(filter));
    let result = create();
    let mut error = None;
    for scope in scopes.into_iter().rev() {
        let answer = pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop()));
        error = error.or(match answer {
            Poll::Ready(caught) => caught,
            Poll::Pending => None, // in browsers alone
        });
    }
    match error {
        None => Ok(result),
        Some(wgpu::Error::OutOfMemory { .. }) => Err(full(adapter, what)),
        Some(error) => Err(Error::Device(format!("{adapter}: {what}: {}", one_line(&error)))),
    }
}

/// The error of an adapter whose memory has no room for this.
pub(crate) fn full(adapter: &str, what: &str) -> Error {
    Error::OutOfMemory(format!("{adapter} has not enough memory for {what}"))
}

/// The messages of an error and its sources, which run over many lines in wgpu, in one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
