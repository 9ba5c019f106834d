//! No panic crosses into C: every exported body runs inside [`guard`].

use super::fork;
use super::panics::caught;
use super::status::mem3d_status;
use super::text::keep_error;
use crate::error::Result;

/// Runs `body`; its error, or its panic as [`Error::Internal`], becomes the thread's last error. In a forked process it
/// does not run.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> mem3d_status {
    match caught(|| fork::check().and_then(|()| body())).and_then(|result| result) {
        Ok(()) => mem3d_status::Ok,
        Err(error) => {
            keep_error(&error);
            mem3d_status::from(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::ffi::panics::guard_value;
    use crate::ffi::status::mem3d_last_error;
    use std::ffi::CStr;

    #[test]
    fn a_panic_becomes_internal_with_its_text_and_place() {
        assert_eq!(guard(|| panic!("slice {} is lost", 7)), mem3d_status::Internal);
        // SAFETY: never NULL, and nothing else fails on this thread.
        let text = unsafe { CStr::from_ptr(mem3d_last_error()) }.to_str().unwrap().to_string();
        assert!(text.contains("slice 7 is lost") && text.contains("guard.rs:"), "{text}");
    }

    #[test]
    fn errors_and_successes_pass() {
        assert_eq!(guard(|| Ok(())), mem3d_status::Ok);
        assert_eq!(guard(|| Err(Error::Cancelled)), mem3d_status::Cancelled);
        assert_eq!(guard_value(3, || 4), 4);
        assert_eq!(guard_value(3, || panic!("no")), 3);
    }
}
