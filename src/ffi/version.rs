//! Versions of the library and of what it stands on.

use std::ffi::c_char;

/// Grows when a program compiled against an older header would no longer work; also the number in the SONAME.
pub const MEM3D_ABI_VERSION: u32 = 1;

/// Version of the library, e.g. "0.1.0".
///
/// @return UTF-8, never NULL. Lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// ABI version of the library. Compare with #MEM3D_ABI_VERSION when loading it at run time.
///
/// @return #MEM3D_ABI_VERSION of the header that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_abi_version() -> u32 {
    MEM3D_ABI_VERSION
}

/// Version of libtorch that the library was built for, e.g. "2.11.0".
///
/// @return UTF-8, never NULL. Lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn mem3d_libtorch_version() -> *const c_char {
    LIBTORCH_VERSION.as_ptr().cast()
}

/// tch 0.24 accepts exactly this one.
const LIBTORCH_VERSION: &str = "2.11.0\0";

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn versions_are_c_strings() {
        // SAFETY: literals that end with NUL.
        let (own, torch) = unsafe { (CStr::from_ptr(mem3d_version()), CStr::from_ptr(mem3d_libtorch_version())) };
        assert_eq!(own.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(torch.to_str().unwrap(), "2.11.0");
    }
}
