//! Text for C, and that of the last failure of each thread.

use crate::error::Error;
use std::cell::RefCell;
use std::error::Error as _;
use std::ffi::{CString, c_char};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Keeps the text of `error` for this thread.
pub(super) fn keep_error(error: &Error) {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some variants already show their cause.
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    let text = c_string(&text);
    // A failure while the thread ends has nobody left to read it.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
}

/// The text kept last for this thread; valid until the next is kept.
pub(super) fn last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// `text` for C; what follows a NUL character would be lost, so these are replaced.
pub(super) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}
