//! Handles and single outputs: NULL is an error with the parameter's name, never a crash.

use crate::error::{Error, Result};

/// What an unexpected NULL gets.
pub(super) fn null(name: &str) -> Error {
    Error::argument(format!("{name} is NULL"))
}

/// The object behind a handle.
///
/// # Safety
/// `handle` is NULL or came from the matching `_new` or `_load` and was not freed; it lives as long as `'a`.
pub(super) unsafe fn borrow<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: NULL or live, by this function's contract. Handles are only shared: what changes is behind a lock.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
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
    unsafe { put(out, Box::into_raw(Box::new(object))) };
}

/// Takes back what [`give`] gave, and drops it; NULL is left alone.
///
/// # Safety
/// `handle` is NULL or came from [`give`] and was not freed.
pub(super) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: by this function's contract.
        drop(unsafe { Box::from_raw(handle) });
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
            assert_eq!(borrow(handle, "x").unwrap(), "text");
            free(handle);
            free(std::ptr::null_mut::<String>());
            put(std::ptr::null_mut(), 3);
            assert_eq!(borrow::<String>(std::ptr::null(), "x").unwrap_err().to_string(), "x is NULL");
        }
    }
}
