//! Structs that grow: `struct_size` first, zero is the default of every field.
//!
//! A caller compiled against an older header passes a shorter struct: the fields it lacks are zero. A caller compiled
//! against a newer one passes a longer struct: fields unknown here must be zero, since they would be ignored. (The rule
//! of Linux's `copy_struct_from_user`.)

use super::handle::null;
use crate::error::{Error, Result};
use std::mem::MaybeUninit;

/// Larger than any version of any struct will be: a `struct_size` beyond it was never set.
const MAX_SIZE: usize = 4096;

/// A struct that may grow at its end.
///
/// # Safety
/// `repr(C)`; starts with `struct_size: u32`; has no padding; zero bytes are a valid value.
pub(super) unsafe trait Versioned: Copy {
    /// C name, for error texts.
    const NAME: &'static str;
    /// Size in the first published header; shorter ones are refused.
    const FIRST_SIZE: usize;
}

/// Reads a struct that the caller must give.
///
/// # Safety
/// `from` is NULL or readable for `struct_size` bytes.
pub(super) unsafe fn read<T: Versioned>(from: *const T, name: &str) -> Result<T> {
    // SAFETY: by this function's contract.
    let size = unsafe { size_of_callers(from, name) }?;
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `size` bytes are readable by this function's contract, and at most `size_of::<T>()` are written.
    unsafe {
        let known = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known);
        for i in known..size {
            if from.cast::<u8>().add(i).read() != 0 {
                return Err(Error::argument(format!(
                    "{name} sets a field of a newer {} than this library knows; update mem3d or leave it zero",
                    T::NAME
                )));
            }
        }
        // SAFETY: zero bytes are valid, and so are the caller's, by the contract of `Versioned`.
        Ok(value.assume_init())
    }
}

/// Reads a struct of options; NULL gives all defaults.
///
/// # Safety
/// As for [`read`].
pub(super) unsafe fn read_or_default<T: Versioned>(from: *const T, name: &str) -> Result<T> {
    if from.is_null() {
        // SAFETY: zero bytes are a valid value, by the contract of `Versioned`.
        return Ok(unsafe { MaybeUninit::zeroed().assume_init() });
    }
    // SAFETY: by this function's contract.
    unsafe { read(from, name) }
}

/// A struct of the caller that is going to be filled.
pub(super) struct Out<T> {
    to: *mut T,
    size: usize,
}

/// Checks a struct that is going to be filled, before anything is computed.
///
/// # Safety
/// `to` is NULL or writable for `struct_size` bytes, until [`Out::put`].
pub(super) unsafe fn out<T: Versioned>(to: *mut T, name: &str) -> Result<Out<T>> {
    // SAFETY: by this function's contract.
    let size = unsafe { size_of_callers(to, name) }?;
    Ok(Out { to, size })
}

impl<T: Versioned> Out<T> {
    /// Fills the struct as far as the caller knows it; `struct_size` stays, fields newer than this library become zero.
    pub(super) fn put(self, value: T) {
        let head = size_of::<u32>();
        let known = self.size.min(size_of::<T>());
        // SAFETY: `size` bytes are writable by the contract of `out`; `value` is our own memory without padding.
        unsafe {
            let to = self.to.cast::<u8>();
            std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>().add(head), to.add(head), known - head);
            to.add(known).write_bytes(0, self.size - known);
        }
    }
}

/// # Safety
/// `from` is NULL or starts with a readable `u32`.
unsafe fn size_of_callers<T: Versioned>(from: *const T, name: &str) -> Result<usize> {
    if from.is_null() {
        return Err(null(name));
    }
    // SAFETY: by this function's contract.
    let size = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    if size < T::FIRST_SIZE || size > MAX_SIZE {
        return Err(Error::argument(format!(
            "struct_size of {name} is {size}; zero the struct, then set it to sizeof({}) = {}",
            T::NAME,
            size_of::<T>()
        )));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Options {
        struct_size: u32,
        old: u32,
        new: u64,
    }

    // SAFETY: repr(C), struct_size first, 4 + 4 + 8 bytes without padding, all integers.
    unsafe impl Versioned for Options {
        const NAME: &'static str = "options_t";
        const FIRST_SIZE: usize = 8;
    }

    #[test]
    fn an_older_caller_gets_zero_for_what_it_lacks() {
        let older = [8u32, 5];
        // SAFETY: eight readable bytes.
        let got = unsafe { read(older.as_ptr().cast::<Options>(), "options") }.unwrap();
        assert_eq!(got, Options { struct_size: 8, old: 5, new: 0 });
    }

    #[test]
    fn a_newer_caller_must_leave_unknown_fields_zero() {
        let zero = [24u32, 5, 6, 0, 0, 0];
        let set = [24u32, 5, 6, 0, 0, 1];
        // SAFETY: 24 readable bytes each.
        unsafe {
            assert_eq!(read(zero.as_ptr().cast::<Options>(), "o").unwrap().new, 6);
            let text = read(set.as_ptr().cast::<Options>(), "o").unwrap_err().to_string();
            assert!(text.contains("newer options_t"), "{text}");
        }
    }

    #[test]
    fn a_size_that_was_never_set_is_refused() {
        for size in [0, 4, 7, 5000, u32::MAX] {
            let bad = [size, 0, 0, 0];
            // SAFETY: refused by the first four bytes alone.
            let text = unsafe { read(bad.as_ptr().cast::<Options>(), "o") }.unwrap_err().to_string();
            assert!(text.contains("sizeof(options_t) = 16"), "{text}");
        }
        // SAFETY: NULL is allowed.
        unsafe {
            assert!(read::<Options>(std::ptr::null(), "o").is_err());
            assert_eq!(read_or_default::<Options>(std::ptr::null(), "o").unwrap().old, 0);
        }
    }

    #[test]
    fn outputs_are_cut_or_filled_up_to_the_callers_size() {
        let value = Options { struct_size: 16, old: 1, new: 2 };
        let mut older = [8u32, 9, 9, 9];
        let mut newer = [24u32, 9, 9, 9, 9, 9];
        // SAFETY: as long as they say.
        unsafe {
            out(older.as_mut_ptr().cast::<Options>(), "o").unwrap().put(value);
            out(newer.as_mut_ptr().cast::<Options>(), "o").unwrap().put(value);
        }
        assert_eq!(older, [8, 1, 9, 9]);
        assert_eq!(newer, [24, 1, 2, 0, 0, 0]);
    }
}
