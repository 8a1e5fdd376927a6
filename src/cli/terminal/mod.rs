//! What a person sees while a command runs, and how a command is stopped.

mod console;
#[cfg(unix)]
mod hang_up;
pub(super) mod interrupt;
pub(super) mod messages;
pub(super) mod progress;
mod scene;
mod view;
