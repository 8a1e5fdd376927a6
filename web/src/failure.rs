//! Errors as the page gets them: one line, and what kind of mistake it is.

use std::cell::RefCell;
use unheat::Error;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    /// What the last panic has said, in one line.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says, for [`last_panic`].
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        let line = panic.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        PANIC.with(|kept| *kept.borrow_mut() = Some(line));
    }));
}

/// What the last panic has said: a browser tells of it as "unreachable" alone.
#[wasm_bindgen]
pub fn last_panic() -> Option<String> {
    PANIC.with(|kept| kept.borrow().clone())
}

/// A JavaScript `Error` with the message and, as `kind`, "usage", "device", "memory" or "other".
pub(crate) fn thrown(error: Error) -> JsValue {
    let kind = match &error {
        Error::Usage(_) | Error::Unsupported { .. } | Error::BatchTooLarge { .. } => "usage",
        Error::Device(_) | Error::Distrusted(_) => "device",
        Error::OutOfMemory(_) => "memory",
        _ => "other",
    };
    let thrown = js_sys::Error::new(&error.to_string());
    // An object that was just made takes any property.
    let _ = js_sys::Reflect::set(&thrown, &"kind".into(), &kind.into());
    thrown.into()
}
