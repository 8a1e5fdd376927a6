//! The terminal as the live view needs it: the whole screen, and every key.
//!
//! One thread per process reads the keys, since nobody can end a read that waits: the views of a comparison
//! share it. It reads bytes and asks the terminal nothing, so a terminal that is silent or has gone away
//! costs nothing but the view.

use crate::cli::terminal::interrupt;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};
use std::io::{ErrorKind, IsTerminal, Read, stderr, stdin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How soon the rest of an arrow key's bytes follows its escape, also from afar.
const SEQUENCE: Duration = Duration::from_millis(100);

/// What the thread that reads the keys has found.
struct Keys {
    /// What a key that ends the run sets.
    stop: Arc<AtomicBool>,
    /// Whether keys are meant for a view.
    is_open: AtomicBool,
    is_gone: AtomicBool,
    /// Reads so far: whether anything has followed an escape.
    reads: AtomicU64,
}

static KEYS: OnceLock<Keys> = OnceLock::new();

/// Whether somebody sits before a terminal: one to draw on, and one to read keys from.
pub(super) fn is_there() -> bool {
    stderr().is_terminal() && stdin().is_terminal()
}

/// Why nothing can be drawn on the terminal at standard error, if so.
pub(super) fn flaw() -> Option<&'static str> {
    if std::env::var("TERM").is_ok_and(|name| name == "dumb") {
        return Some("TERM=dumb cannot be drawn on");
    }
    match size() {
        Ok((width, height)) if width > 0 && height > 0 => None,
        _ => Some("the terminal does not say how large it is"),
    }
}

/// Takes the screen and the keys; q, Esc and Ctrl-C set `stop` from now on, or the reason why not.
pub(super) fn open(stop: &Arc<AtomicBool>) -> Result<(), String> {
    if let Some(flaw) = flaw() {
        return Err(flaw.to_owned());
    }
    let failed = |error: std::io::Error| format!("the terminal cannot be drawn on: {error}");
    if KEYS.get().is_none() {
        let stop = stop.clone();
        let (is_open, is_gone, reads) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let keys = KEYS.get_or_init(|| Keys { stop, is_open, is_gone, reads });
        std::thread::Builder::new().name("keys".to_owned()).spawn(|| keys.read()).map_err(failed)?;
    }
    if is_gone() {
        return Err("the terminal has gone away".to_owned());
    }
    enable_raw_mode().map_err(failed)?;
    set_open(true);
    execute!(stderr(), EnterAlternateScreen, Clear(ClearType::All), cursor::Hide).map_err(failed).inspect_err(
        |_| {
            close();
        },
    )
}

/// Gives the screen and the keys back, as far as the terminal is still there.
pub(super) fn close() {
    release();
    let _ = execute!(stderr(), LeaveAlternateScreen, cursor::Show);
}

/// Gives the keys back alone: nothing is written, which a terminal that nobody reads would never take.
pub(super) fn release() {
    set_open(false);
    let _ = disable_raw_mode();
}

/// Whether there is nobody at the keyboard any more.
pub(super) fn is_gone() -> bool {
    KEYS.get().is_some_and(|keys| keys.is_gone.load(Ordering::Relaxed))
}

fn set_open(is_open: bool) {
    KEYS.get().inspect(|keys| keys.is_open.store(is_open, Ordering::Relaxed));
}

impl Keys {
    fn read(&'static self) {
        let mut bytes = [0; 64];
        loop {
            match stdin().read(&mut bytes) {
                Err(error) if [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind()) => {
                    std::thread::sleep(SEQUENCE);
                }
                Ok(0) | Err(_) => return self.is_gone.store(true, Ordering::Relaxed),
                Ok(count) => {
                    let now = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
                    match Key::of(&bytes[..count]) {
                        _ if !self.is_open.load(Ordering::Relaxed) => {}
                        Key::Other => {}
                        Key::Stop => self.stop.store(true, Ordering::Relaxed),
                        Key::Escape => drop(std::thread::spawn(move || {
                            std::thread::sleep(SEQUENCE);
                            let is_alone = self.reads.load(Ordering::Relaxed) == now;
                            self.stop.fetch_or(is_alone, Ordering::Relaxed);
                        })),
                        Key::Interrupt if self.stop.swap(true, Ordering::Relaxed) => self.end(),
                        Key::Interrupt => {}
                    }
                }
            }
        }
    }

    /// The second Ctrl-C ends the program at once, also where the terminal takes nothing more.
    fn end(&self) -> ! {
        release();
        std::thread::spawn(close);
        std::thread::sleep(SEQUENCE);
        std::process::exit(interrupt::EXIT_CODE.into())
    }
}

/// What was pressed. A terminal in raw mode does not turn Ctrl-C into a signal.
#[derive(Debug, PartialEq)]
enum Key {
    Stop,
    Interrupt,
    /// Esc, unless the rest of an arrow key follows.
    Escape,
    Other,
}

impl Key {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [.., 0x1b] => Self::Escape,
            // The letters of an arrow key or of pasted text behind its escape are no keys.
            [0x1b, ..] => Self::Other,
            _ if bytes.contains(&0x03) => Self::Interrupt,
            _ if bytes.contains(&b'q') => Self::Stop,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_said_end_the_run() {
        for (bytes, key) in [
            (&b"q"[..], Key::Stop),
            (b"\x03", Key::Interrupt),
            (b"x\x03", Key::Interrupt),
            (b"\x1b", Key::Escape),
            (b"\x1b[A", Key::Other),
            (b"\x1bOq", Key::Other),
            (b"\x1b[200~quit\x03", Key::Other),
            (b"c", Key::Other),
            (b"\r", Key::Other),
        ] {
            assert_eq!(Key::of(bytes), key, "{bytes:?}");
        }
    }
}
