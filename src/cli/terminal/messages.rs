//! Printing that survives a reader who has left: `unheat devices | head -1` must not end in a panic.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line to standard output; ends the program quietly where nobody reads on.
pub(crate) fn line(text: Arguments) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(1);
    }
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
