//! Undo, redo and deletion of segments.

use super::mem3d_session;
use crate::error::Result;
use crate::ffi::guard::guard;
use crate::ffi::handle;
use crate::ffi::mem3d_status;

/// Undoes the last step: an interaction, a correction, an acceptance, a propagation or a reset.
///
/// @param session       From mem3d_session_new().
/// @param[out] changed  Whether there was a step to undo. May be NULL.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_undo(session: *mut mem3d_session, changed: *mut bool) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let undone = session.lock()?.undo();
        // SAFETY: NULL or writable, by this function's contract.
        unsafe { handle::put(changed, undone) };
        Ok(())
    })
}

/// Redoes the step that mem3d_session_undo() undid last.
///
/// @param session       From mem3d_session_new().
/// @param[out] changed  Whether there was a step to redo. May be NULL.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_redo(session: *mut mem3d_session, changed: *mut bool) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let redone = session.lock()?.redo();
        // SAFETY: NULL or writable, by this function's contract.
        unsafe { handle::put(changed, redone) };
        Ok(())
    })
}

/// Deletes a segment's masks and interactions. Can be undone.
///
/// @param session  From mem3d_session_new().
/// @param segment  As in mem3d_session_read_mask(), or 0 for all segments.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_reset(session: *mut mem3d_session, segment: u32) -> mem3d_status {
    guard(|| -> Result<()> {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.lock()?.reset((segment != 0).then_some(segment))
    })
}
