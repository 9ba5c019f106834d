//! Calls that change a session: drawing, correcting, propagating, undoing.

use super::mem3d_session;
use crate::error::Result;
use crate::ffi::guard::guard;
use crate::ffi::interaction::mem3d_interaction;
use crate::ffi::progress::mem3d_propagate_options;
use crate::ffi::{handle, mem3d_status, slices, versioned};
use crate::volume::{SliceAxis, SliceMask};

/// Draws on a slice and gives that slice's new mask at once. Interactions on one slice add up until it is accepted.
///
/// @param session      From mem3d_session_new().
/// @param interaction  What was drawn. Only read during the call.
/// @param[out] mask    Row-major, one byte a pixel: 1 inside, 0 outside. Unchanged on failure. May be NULL.
/// @param mask_size    Bytes of `mask`: rows times columns of the slice. Ignored when `mask` is NULL.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
///         #MEM3D_STATUS_UNSUPPORTED (a kind of interaction that the model does not answer),
///         #MEM3D_STATUS_BAD_MODEL (its networks do not answer with numbers), #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `interaction` is NULL or as long as it says, with points or raster readable as
///      far as it says; `mask` is NULL or writable for `mask_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_interact(
    session: *mut mem3d_session,
    interaction: *const mem3d_interaction,
    mask: *mut u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, drawn) =
            unsafe { (handle::borrow(session, "session")?, versioned::read(interaction, "interaction")?) };
        let mut session = session.lock()?;
        let shape = session.volume().shape();
        // SAFETY: by this function's contract.
        let drawn = unsafe { drawn.to_engine(shape) }?;
        let (rows, cols) = drawn.axis.slice_shape(shape);
        // SAFETY: by this function's contract.
        let out = unsafe { slices::optional_output(mask, mask_size, rows * cols, "mask") }?;
        let made = session.interact(drawn)?;
        if let Some(out) = out {
            out.copy_from_slice(&made.data);
        }
        Ok(())
    })
}

/// Replaces a slice's mask by one that the user corrected by hand. The slice is annotated: no propagation changes it.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param axis       A #mem3d_axis: the one the slice is cut along.
/// @param slice      Slice number along `axis`.
/// @param mask       Row-major, one byte a pixel: 0 outside, anything else inside. Copied.
/// @param mask_size  Bytes of `mask`: rows times columns of the slice.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
///         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `mask` is NULL or readable for `mask_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_set_slice_mask(
    session: *mut mem3d_session,
    segment: u32,
    axis: i32,
    slice: u32,
    mask: *const u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, pixels) =
            unsafe { (handle::borrow(session, "session")?, slices::input(mask, mask_size, "mask")?) };
        let axis = SliceAxis::from_index(axis.into())?;
        let mut session = session.lock()?;
        let (rows, cols) = axis.slice_shape(session.volume().shape());
        slices::check_count(mask_size, rows * cols, "mask")?;
        let data = pixels.iter().map(|&p| u8::from(p != 0)).collect();
        session.set_slice_mask(segment, axis, slice as usize, &SliceMask { rows, cols, data })
    })
}

/// Takes a mask of the whole volume as starting point, for example an earlier segmentation. No slice is annotated.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param mask       `[depth, height, width]` in C order, one byte a voxel: 0 outside, anything else inside. Copied.
/// @param mask_size  Bytes of `mask`: depth times height times width.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY,
///         #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `mask` is NULL or readable for `mask_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_set_mask(
    session: *mut mem3d_session,
    segment: u32,
    mask: *const u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, voxels) =
            unsafe { (handle::borrow(session, "session")?, slices::input(mask, mask_size, "mask")?) };
        let mut session = session.lock()?;
        slices::check_count(mask_size, session.volume().shape().iter().product(), "mask")?;
        session.set_mask(segment, voxels)
    })
}

/// Accepts a slice's mask as it is: the slice becomes annotated, and no propagation changes it any more.
///
/// @param session  From mem3d_session_new().
/// @param segment  1 to 65535.
/// @param axis     A #mem3d_axis: the one the slice is cut along.
/// @param slice    Slice number along `axis`.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_accept(
    session: *mut mem3d_session,
    segment: u32,
    axis: i32,
    slice: u32,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.lock()?.accept(segment, SliceAxis::from_index(axis.into())?, slice as usize)
    })
}

/// Carries the masks of the annotated slices through the volume. What was drawn and not accepted yet is accepted.
///
/// Blocks until done; call it from a thread of the host's own to keep a user interface alive. A call that fails or
/// is cancelled leaves the session as it was.
///
/// @param session       From mem3d_session_new().
/// @param options       What to do, and whom to tell; NULL for the defaults. Only read during the call.
/// @param[out] updated  Number of slice masks that were replaced. Unchanged on failure. May be NULL.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE (nothing was drawn),
///         #MEM3D_STATUS_BUSY, #MEM3D_STATUS_CANCELLED, #MEM3D_STATUS_BAD_MODEL (the model's networks do not answer
///         with numbers), #MEM3D_STATUS_OUT_OF_MEMORY, #MEM3D_STATUS_TORCH or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `options` is NULL or as long as it says, and its function may be called with its
///      `user_data`; `updated` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_propagate(
    session: *mut mem3d_session,
    options: *const mem3d_propagate_options,
    updated: *mut u32,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, options) =
            unsafe { (handle::borrow(session, "session")?, versioned::read_or_default(options, "options")?) };
        // SAFETY: by this function's contract.
        let mut on_slice = unsafe { options.on_slice() };
        let mut session = session.lock()?;
        let what = options.to_engine(session.volume().shape())?;
        let count = session.propagate(&what, &mut on_slice)?;
        // SAFETY: NULL or writable, by this function's contract.
        unsafe { handle::put(updated, count as u32) };
        Ok(())
    })
}

/// Asks the propagation that is running to stop before its next slice. The only call that may run beside another one
/// on the same session, and from inside its callback. Without a running propagation it does nothing.
///
/// @param session  From mem3d_session_new().
/// @return #MEM3D_STATUS_OK or #MEM3D_STATUS_INVALID_ARGUMENT.
/// @pre `session` is NULL or live during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_cancel(session: *const mem3d_session) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.cancel.cancel();
        Ok(())
    })
}

/// Takes back the last step: an interaction, a correction, an acceptance, a propagation or a reset.
///
/// @param session       From mem3d_session_new().
/// @param[out] changed  Whether there was a step to take back. Unchanged on failure. May be NULL.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `changed` is NULL or writable.
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

/// Does again what mem3d_session_undo() took back.
///
/// @param session       From mem3d_session_new().
/// @param[out] changed  Whether there was a step to do again. Unchanged on failure. May be NULL.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `changed` is NULL or writable.
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

/// Forgets a segment's masks and interactions. Can be undone.
///
/// @param session  From mem3d_session_new().
/// @param segment  1 to 65535, or 0 for all segments.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_INVALID_STATE, #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_reset(session: *mut mem3d_session, segment: u32) -> mem3d_status {
    guard(|| -> Result<()> {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.lock()?.reset((segment != 0).then_some(segment))
    })
}
