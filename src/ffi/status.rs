//! Status of a call, and the text that goes with a failure.

use super::panics::guard_value;
use super::text::last_error;
use crate::error::Error;
use std::ffi::c_char;

/// How a call ended. Values are never reused.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_status {
    /// Done.
    Ok = 0,
    /// An argument is outside what the call accepts.
    InvalidArgument = 1,
    /// Not possible in the present state of the object.
    InvalidState = 2,
    /// The object is serving another call.
    Busy = 3,
    /// Stopped by the caller.
    Cancelled = 4,
    /// A file could not be read or written, or does not hold what it should.
    Io = 5,
    /// A model file cannot be used, or the network output contains NaN.
    BadModel = 6,
    /// Something this build, machine or model does not offer.
    Unsupported = 7,
    /// Not enough memory on the host or the device.
    OutOfMemory = 8,
    /// libtorch failed.
    Torch = 9,
    /// A bug of mem3d. Please report the text of mem3d_last_error().
    Internal = 99,
}

impl From<&Error> for mem3d_status {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidArgument(_) => mem3d_status::InvalidArgument,
            Error::InvalidState(_) => mem3d_status::InvalidState,
            Error::Busy(_) => mem3d_status::Busy,
            Error::Cancelled => mem3d_status::Cancelled,
            Error::Io { .. } | Error::BadFile { .. } => mem3d_status::Io,
            Error::BadModel(_) => mem3d_status::BadModel,
            Error::Unsupported(_) => mem3d_status::Unsupported,
            Error::OutOfMemory(_) => mem3d_status::OutOfMemory,
            Error::Torch(_) => mem3d_status::Torch,
            Error::Internal(_) => mem3d_status::Internal,
        }
    }
}

/// Returns the text of the last failure on the calling thread: what is wrong and what to do about it. A call that
/// succeeds does not change it.
///
/// @return UTF-8, never NULL; "" when no call has failed on this thread. Borrowed until the next call that fails on
///         the same thread, or until the thread ends.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_last_error() -> *const c_char {
    guard_value(c"".as_ptr(), last_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::text::keep_error;
    use std::ffi::CStr;
    use std::path::Path;

    fn last() -> String {
        // SAFETY: never NULL, and nothing fails on this thread while it is copied.
        unsafe { CStr::from_ptr(mem3d_last_error()) }.to_str().unwrap().to_string()
    }

    #[test]
    fn the_text_is_kept_per_thread_with_its_cause_once() {
        assert_eq!(last(), "");
        let io = Error::io(Path::new("a.bin"), std::io::Error::other("disk full"));
        keep_error(&io);
        assert_eq!(last(), "a.bin: disk full");
        std::thread::spawn(|| assert_eq!(last(), "")).join().unwrap();
    }

    #[test]
    fn a_nul_in_a_text_does_not_cut_it() {
        keep_error(&Error::BadModel("before\0after".into()));
        assert_eq!(last(), "before\u{fffd}after");
    }

    #[test]
    fn every_error_has_its_status() {
        let of = |e: Error| mem3d_status::from(&e) as i32;
        assert_eq!(of(Error::argument("")), 1);
        assert_eq!(of(Error::InvalidState("".into())), 2);
        assert_eq!(of(Error::Busy("".into())), 3);
        assert_eq!(of(Error::Cancelled), 4);
        assert_eq!(of(Error::bad_file(Path::new("x"), "y")), 5);
        assert_eq!(of(Error::BadModel("".into())), 6);
        assert_eq!(of(Error::Unsupported("".into())), 7);
        assert_eq!(of(Error::OutOfMemory("".into())), 8);
        assert_eq!(of(Error::Torch("".into())), 9);
        assert_eq!(of(Error::Internal("".into())), 99);
    }
}
