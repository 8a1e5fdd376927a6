//! Printing that survives a reader who has left: `unheat devices | head -1` must not end in a panic. What
//! cannot be printed for another reason, such as a full disk, is said.

use crate::error::reason;
use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Whether standard output is for a file's bytes alone.
static HOLDS_A_FILE: AtomicBool = AtomicBool::new(false);

/// From now on lines go to standard error, since standard output holds a file.
pub(crate) fn leave_standard_output() {
    HOLDS_A_FILE.store(true, Ordering::Relaxed);
}

/// How long a terminal that nobody reads is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the terminal has not taken for that long what was to be shown.
static NOBODY_READS: AtomicBool = AtomicBool::new(false);

/// From now on no line is waited for longer than [`PATIENCE`]: a program whose work is done must end, also
/// where somebody has stopped its terminal.
pub(crate) fn nobody_reads() {
    NOBODY_READS.store(true, Ordering::Relaxed);
}

fn say(write: impl FnOnce() + Send + 'static) {
    if !NOBODY_READS.load(Ordering::Relaxed) {
        return write();
    }
    let (writing, written) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        write();
        drop(writing);
    });
    let _ = written.recv_timeout(PATIENCE);
}

/// What a system answers whose terminal has gone away (EIO of every Unix).
const GONE: i32 = 5;

/// Writes a line to standard output. Ends the program where that fails: quietly where nobody reads on, else
/// with a line that says why. A terminal that has gone away makes no failure of work that is done.
pub(crate) fn line(text: Arguments) {
    if HOLDS_A_FILE.load(Ordering::Relaxed) {
        return note_line(text);
    }
    let text = text.to_string();
    say(move || {
        let mut out = std::io::stdout();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if !cfg!(unix) || error.raw_os_error() != Some(GONE) => unprintable(&error),
            _ => {}
        }
    });
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
    let text = text.to_string();
    say(move || {
        let _ = writeln!(std::io::stderr(), "{text}");
    });
}

/// `eprintln!`, but without its panic.
macro_rules! note {
    ($($text:tt)*) => { crate::cli::terminal::messages::note_line(format_args!($($text)*)) };
}
pub(crate) use note;
