//! Versions of the library and of what it stands on.

use super::panics::guard_value;
use super::text::c_string;
use crate::torch::torch_ext::libtorch_version;
use std::ffi::{CString, c_char};
use std::sync::OnceLock;

/// ABI version of this header, also in the SONAME. Grows when a program for an older header would fail.
pub const MEM3D_ABI_VERSION: u32 = 1;

/// Returns the version of the library, e.g. "0.1.0".
///
/// @return UTF-8, never NULL. Lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Returns the ABI version of the library. Compare with #MEM3D_ABI_VERSION when loading it at run time.
///
/// @return #MEM3D_ABI_VERSION of the header that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_abi_version() -> u32 {
    MEM3D_ABI_VERSION
}

/// Returns the version of libtorch that the library was built for, e.g. "2.11.0".
///
/// @return UTF-8, never NULL. Lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_libtorch_version() -> *const c_char {
    static VERSION: OnceLock<CString> = OnceLock::new();
    guard_value(c"".as_ptr(), || VERSION.get_or_init(|| c_string(&libtorch_version())).as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn versions_are_c_strings() {
        // SAFETY: both live as long as the library.
        let (own, torch) = unsafe { (CStr::from_ptr(mem3d_version()), CStr::from_ptr(mem3d_libtorch_version())) };
        assert_eq!(own.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
        assert!(torch.to_str().unwrap().starts_with("2.11."));
    }
}
