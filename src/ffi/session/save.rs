//! Saved sessions.

use super::mem3d_session;
use crate::ffi::guard::guard;
use crate::ffi::{handle, mem3d_status, slices};
use crate::io::session_file;
use std::ffi::c_char;

/// Saves a session's interactions, masks, qualities and undo steps, but not the volume. The file is replaced
/// atomically: it is written whole, or an earlier file of that name stays.
///
/// @param session  From mem3d_session_new().
/// @param path     UTF-8; on Unix any bytes.
/// @return #MEM3D_STATUS_IO or #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_save(session: *const mem3d_session, path: *const c_char) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, path) = unsafe { (handle::borrow(session, "session")?, slices::path(path, "path")?) };
        let session = session.read()?;
        session_file::write(path, &session.save())
    })
}

/// Replaces the contents of a session by a saved one, on the same volume and with the same model.
///
/// The options of the saved session (window, undo depth, cache, tuning) replace those of mem3d_session_new(); model,
/// device and `keep_cuda_cache` stay.
///
/// @param session  From mem3d_session_new().
/// @param path     A file of mem3d_session_save(), named as there.
/// @return #MEM3D_STATUS_INVALID_ARGUMENT (saved on another volume, with another spacing or another model),
///         #MEM3D_STATUS_IO (unreadable, truncated or not a saved session) or #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_restore(session: *mut mem3d_session, path: *const c_char) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, path) = unsafe { (handle::borrow(session, "session")?, slices::path(path, "path")?) };
        let mut session = session.lock()?;
        session.restore(session_file::read(path)?)
    })
}
