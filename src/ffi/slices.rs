//! Buffers and strings of the caller.

use super::handle::null;
use crate::error::{Error, Result};
use std::ffi::{CStr, c_char};
use std::path::Path;

/// A string of the caller.
///
/// # Safety
/// `text` is NULL or ends with NUL, and lives as long as `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: NUL-terminated by this function's contract.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| Error::argument(format!("{name} is not UTF-8; convert it before the call")))
}

/// A path of the caller: UTF-8, on Unix any bytes.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn path<'a>(path: *const c_char, name: &str) -> Result<&'a Path> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        if path.is_null() {
            return Err(null(name));
        }
        // SAFETY: NUL-terminated by this function's contract.
        Ok(Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        // SAFETY: by this function's contract.
        unsafe { text(path, name) }.map(Path::new)
    }
}

/// A buffer that the library reads: `n` values.
///
/// # Safety
/// `data` is NULL or holds `n` values, and lives unchanged as long as `'a`.
pub(super) unsafe fn input<'a, T>(data: *const T, n: usize, name: &str) -> Result<&'a [T]> {
    check(data, n, name)?;
    // SAFETY: not NULL, aligned, of a sane length, and readable by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(data, n) })
}

/// A buffer that the library fills: `n` values, which must be `expected`.
///
/// # Safety
/// `data` is NULL or holds `n` values that nothing else uses as long as `'a`.
pub(super) unsafe fn output<'a, T>(data: *mut T, n: usize, expected: usize, name: &str) -> Result<&'a mut [T]> {
    check(data, n, name)?;
    check_count(n, expected, name)?;
    // SAFETY: not NULL, aligned, of a sane length, and writable by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, n) })
}

/// Like [`output`], but NULL (not wanted) gives `None`.
///
/// # Safety
/// As for [`output`].
pub(super) unsafe fn optional_output<'a, T>(
    data: *mut T,
    n: usize,
    expected: usize,
    name: &str,
) -> Result<Option<&'a mut [T]>> {
    if data.is_null() {
        return Ok(None);
    }
    // SAFETY: by this function's contract.
    unsafe { output(data, n, expected, name) }.map(Some)
}

/// Checks the number of values that the caller gives for a buffer.
pub(super) fn check_count(n: usize, expected: usize, name: &str) -> Result<()> {
    if n == expected {
        return Ok(());
    }
    Err(Error::argument(format!("{name} holds {n} values, but exactly {expected} are needed here")))
}

/// Fills a list whose length the caller does not know: NULL asks for the length only.
///
/// # Safety
/// `list` is NULL or holds `capacity` values; `count` is writable.
pub(super) unsafe fn put_list(list: *mut u32, capacity: usize, count: *mut usize, found: &[u32]) -> Result<()> {
    if !list.is_null() {
        if capacity < found.len() {
            return Err(Error::argument(format!(
                "the list has room for {capacity} values, but there are {}; ask for the count with NULL first",
                found.len()
            )));
        }
        check(list, found.len(), "the list")?;
        // SAFETY: room for at least as many values by this function's contract; `found` is our own memory.
        unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), list, found.len()) };
    }
    // SAFETY: by this function's contract.
    unsafe { super::handle::put(count, found.len()) };
    Ok(())
}

fn check<T>(data: *const T, n: usize, name: &str) -> Result<()> {
    if data.is_null() {
        return Err(null(name));
    }
    if !data.is_aligned() {
        return Err(Error::argument(format!("{name} is not aligned to its type; copy it to aligned memory")));
    }
    if n.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::argument(format!("{name} cannot hold {n} values; the size given is wrong")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_buffers_are_refused_before_they_are_touched() {
        let values = [1.0f64, 2.0];
        let odd = values.as_ptr().cast::<u8>().wrapping_add(1).cast::<f64>();
        // SAFETY: the bad ones are refused by their address or size alone.
        unsafe {
            assert_eq!(input(values.as_ptr(), 2, "points").unwrap(), &values);
            assert_eq!(input::<f64>(std::ptr::null(), 0, "points").unwrap_err().to_string(), "points is NULL");
            assert!(input(odd, 1, "points").unwrap_err().to_string().contains("not aligned"));
            assert!(input(values.as_ptr(), usize::MAX, "points").unwrap_err().to_string().contains("cannot hold"));
        }
    }

    #[test]
    fn outputs_must_have_the_size_of_what_is_written() {
        let mut mask = [9u8; 4];
        // SAFETY: four writable values.
        unsafe {
            let text = output(mask.as_mut_ptr(), 4, 6, "mask").unwrap_err().to_string();
            assert_eq!(text, "mask holds 4 values, but exactly 6 are needed here");
            output(mask.as_mut_ptr(), 4, 4, "mask").unwrap().fill(1);
            assert!(optional_output::<u8>(std::ptr::null_mut(), 0, 4, "mask").unwrap().is_none());
        }
        assert_eq!(mask, [1; 4]);
    }

    #[test]
    fn lists_give_their_length_and_never_overflow() {
        let mut list = [0u32; 2];
        let mut count = 0;
        // SAFETY: `list` has room for as many items as given.
        unsafe {
            put_list(std::ptr::null_mut(), 0, &mut count, &[4, 5]).unwrap();
            assert_eq!(count, 2);
            count = 77;
            assert!(put_list(list.as_mut_ptr(), 1, &mut count, &[4, 5]).is_err());
            assert_eq!((count, list), (77, [0, 0]));
            put_list(list.as_mut_ptr(), 2, &mut count, &[4]).unwrap();
        }
        assert_eq!((count, list), (1, [4, 0]));
    }

    #[test]
    fn text_must_be_utf8() {
        // SAFETY: both end with NUL.
        unsafe {
            assert_eq!(text(c"cuda:0".as_ptr(), "device").unwrap(), "cuda:0");
            assert!(text(c"\xff".as_ptr(), "device").unwrap_err().to_string().contains("not UTF-8"));
        }
    }
}
