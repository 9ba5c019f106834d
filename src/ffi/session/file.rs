//! Saved sessions.

use super::mem3d_session;
use crate::ffi::guard::guard;
use crate::ffi::{handle, mem3d_status, slices};
use crate::io::session_file;
use std::ffi::c_char;
use std::path::Path;

/// Saves a session's interactions, masks, qualities and undo steps, but not the volume. The file appears whole or
/// not at all; an earlier file of that name is replaced.
///
/// @param session  From mem3d_session_new().
/// @param path     UTF-8.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY, #MEM3D_STATUS_IO,
///         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `path` is NULL or ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_save(session: *const mem3d_session, path: *const c_char) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, path) = unsafe { (handle::borrow(session, "session")?, slices::text(path, "path")?) };
        let session = session.read()?;
        session_file::write(Path::new(path), &session.save())
    })
}

/// Replaces what a session holds by what was saved, on the same volume and with the same model. A call that fails
/// leaves the session as it was.
///
/// @param session  From mem3d_session_new().
/// @param path     A file of mem3d_session_save(). UTF-8.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (saved on another volume or with another model),
///         #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY, #MEM3D_STATUS_IO (unreadable, truncated or not a saved
///         session), #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `path` is NULL or ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_restore(session: *mut mem3d_session, path: *const c_char) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, path) = unsafe { (handle::borrow(session, "session")?, slices::text(path, "path")?) };
        let mut session = session.lock()?;
        session.restore(session_file::read(Path::new(path))?)
    })
}
