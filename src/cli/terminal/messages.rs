//! Printing that survives a reader who has left: `unheat devices | head -1` must not end in a panic. What
//! cannot be printed for another reason, such as a full disk, is said.

use crate::error::reason;
use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output is for a file's bytes alone.
static HOLDS_A_FILE: AtomicBool = AtomicBool::new(false);

/// From now on lines go to standard error, since standard output holds a file.
pub(crate) fn leave_standard_output() {
    HOLDS_A_FILE.store(true, Ordering::Relaxed);
}

/// Writes a line to standard output. Ends the program where that fails: quietly where nobody reads on, else
/// with a line that says why.
pub(crate) fn line(text: Arguments) {
    if HOLDS_A_FILE.load(Ordering::Relaxed) {
        return note_line(text);
    }
    let mut out = std::io::stdout();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        unprintable(&error);
    }
}

/// Ends the program since standard output takes nothing more.
pub(crate) fn unprintable(error: &Error) -> ! {
    if error.kind() != ErrorKind::BrokenPipe {
        note_line(format_args!("unheat: standard output: cannot write: {}", reason(error)));
    }
    std::process::exit(1);
}

/// `println!`, but see [`line`].
macro_rules! print_line {
    ($($text:tt)*) => { crate::cli::terminal::messages::line(format_args!($($text)*)) };
}
pub(crate) use print_line;

/// Writes a line to standard error; where that is closed there is nobody to tell.
pub(crate) fn note_line(text: Arguments) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `eprintln!`, but without its panic.
macro_rules! note {
    ($($text:tt)*) => { crate::cli::terminal::messages::note_line(format_args!($($text)*)) };
}
pub(crate) use note;
