//! Handles and single outputs: NULL is an error with the parameter's name, never a crash.

use crate::error::{Error, Result};
use std::sync::Arc;

/// What an unexpected NULL gets.
pub(super) fn null(name: &str) -> Error {
    Error::argument(format!("{name} is NULL"))
}

/// The object behind a handle. It lives as long as the result, even when the handle is freed meanwhile.
///
/// # Safety
/// `handle` is NULL or came from [`give`] and was not freed.
pub(super) unsafe fn borrow<T>(handle: *const T, name: &str) -> Result<Arc<T>> {
    if handle.is_null() {
        return Err(null(name));
    }
    // SAFETY: from Arc::into_raw, and live, by this function's contract. Handles are only shared: what changes is
    // behind a lock.
    unsafe {
        Arc::increment_strong_count(handle);
        Ok(Arc::from_raw(handle))
    }
}

/// Checks an output that the caller must give, before anything is computed or changed.
pub(super) fn required<T>(out: *mut T, name: &str) -> Result<()> {
    if out.is_null() { Err(null(name)) } else { Ok(()) }
}

/// Writes an output; NULL is left alone.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn put<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: writable by this function's contract; unaligned is allowed for.
        unsafe { out.write_unaligned(value) };
    }
}

/// Gives `object` to the caller as a handle.
///
/// # Safety
/// `out` is writable.
pub(super) unsafe fn give<T>(out: *mut *mut T, object: T) {
    // SAFETY: by this function's contract.
    unsafe { put(out, Arc::into_raw(Arc::new(object)).cast_mut()) };
}

/// Takes back what [`give`] gave, and drops it when the last call on it has ended; NULL is left alone.
///
/// # Safety
/// `handle` is NULL or came from [`give`] and was not freed.
pub(super) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: by this function's contract.
        drop(unsafe { Arc::from_raw(handle) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_round_trip_and_null_is_named() {
        let mut handle: *mut String = std::ptr::null_mut();
        // SAFETY: `handle` is writable, then live, then freed once.
        unsafe {
            give(&mut handle, "text".to_string());
            let text = borrow(handle, "x").unwrap();
            free(handle);
            assert_eq!(*text, "text");
            assert_eq!(Arc::strong_count(&text), 1);
            free(std::ptr::null_mut::<String>());
            put(std::ptr::null_mut(), 3);
            assert_eq!(borrow::<String>(std::ptr::null(), "x").unwrap_err().to_string(), "x is NULL");
        }
    }
}
