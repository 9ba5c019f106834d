//! Calls that read a session: masks, probabilities, quality, the next slice to correct.

use super::mem3d_session;
use crate::ffi::guard::guard;
use crate::ffi::versioned::{self, Versioned};
use crate::ffi::{handle, mem3d_status, slices};
use crate::volume::SliceAxis;

/// The slice that most deserves the user's next correction. Grows; set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_suggestion {
    /// `sizeof(mem3d_suggestion)`, set by the caller.
    pub struct_size: u32,
    /// 1 when there is a suggestion; 0 when every slice is annotated or nothing was propagated, and all else is 0.
    pub found: u32,
    /// Segment to correct.
    pub segment: u32,
    /// A #mem3d_axis: the one the slice is cut along.
    pub axis: i32,
    /// Slice number along `axis`.
    pub slice: u32,
    /// Estimated quality of its mask, 0..1.
    pub quality: f32,
    /// What a correction there is expected to gain for the volume, voxels.
    pub gain: f32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), struct_size first, 8 * 4 bytes without padding, all numbers.
unsafe impl Versioned for mem3d_suggestion {
    const NAME: &'static str = "mem3d_suggestion";
    const FIRST_SIZE: usize = 32;
}

/// Memory held by a session, bytes. Grows; set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_memory_usage {
    /// `sizeof(mem3d_memory_usage)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// The copy of the volume.
    pub volume_bytes: u64,
    /// Masks and probabilities of all segments, undo steps included.
    pub masks_bytes: u64,
    /// Features kept per slice.
    pub features_bytes: u64,
}

// SAFETY: repr(C), struct_size first, 2 * 4 + 3 * 8 bytes without padding, all integers.
unsafe impl Versioned for mem3d_memory_usage {
    const NAME: &'static str = "mem3d_memory_usage";
    const FIRST_SIZE: usize = 32;
}

/// Lists the segments that have any mask or interaction, ascending.
///
/// @param session        From mem3d_session_new().
/// @param[out] segments  Filled with segment numbers; NULL to ask for their number only. Unchanged on failure.
/// @param capacity       Values that `segments` has room for. Ignored when it is NULL.
/// @param[out] count     Number of segments. Unchanged on failure.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (too little room, too), #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `segments` is NULL or writable for `capacity` values; `count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_segments(
    session: *const mem3d_session,
    segments: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> mem3d_status {
    guard(|| {
        handle::required(count, "count")?;
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let found = session.read()?.segments();
        // SAFETY: by this function's contract.
        unsafe { slices::put_list(segments, capacity, count, &found) }
    })
}

/// Lists the annotated slices of a segment, ascending: those that no propagation changes.
///
/// @param session      From mem3d_session_new().
/// @param segment      1 to 65535.
/// @param axis         A #mem3d_axis: the one the slices are cut along.
/// @param[out] slices  Filled with slice numbers; NULL to ask for their number only. Unchanged on failure.
/// @param capacity     Values that `slices` has room for. Ignored when it is NULL.
/// @param[out] count   Number of annotated slices. Unchanged on failure.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT (too little room, too), #MEM3D_STATUS_BUSY or
///         #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `slices` is NULL or writable for `capacity` values; `count` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_annotated(
    session: *const mem3d_session,
    segment: u32,
    axis: i32,
    slices: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> mem3d_status {
    guard(|| {
        handle::required(count, "count")?;
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let found = session.read()?.annotated(segment, SliceAxis::from_index(axis.into())?);
        let found: Vec<u32> = found.into_iter().map(|slice| slice as u32).collect();
        // SAFETY: by this function's contract.
        unsafe { slices::put_list(slices, capacity, count, &found) }
    })
}

/// Estimates the quality of a segment's mask on every slice along an axis.
///
/// @param session       From mem3d_session_new().
/// @param segment       1 to 65535.
/// @param axis          A #mem3d_axis: the one the slices are cut along.
/// @param[out] quality  One value a slice, 0..1: 1 where annotated, 0 where nothing is known. Unchanged on failure.
/// @param n_slices      Values of `quality`: the number of slices along `axis`.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `quality` is NULL or writable for `n_slices` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_quality(
    session: *const mem3d_session,
    segment: u32,
    axis: i32,
    quality: *mut f32,
    n_slices: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let axis = SliceAxis::from_index(axis.into())?;
        let session = session.read()?;
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(quality, n_slices, session.volume().slice_count(axis), "quality") }?;
        out.copy_from_slice(&session.quality(segment, axis)?);
        Ok(())
    })
}

/// Suggests the slice whose correction is expected to gain most. Annotated slices are never suggested.
///
/// @param session          From mem3d_session_new().
/// @param segment          1 to 65535, or 0 for the best over all segments.
/// @param[out] suggestion  Filled as far as its `struct_size` reaches. Unchanged on failure.
/// @return #MEM3D_STATUS_OK (also when there is none: see #mem3d_suggestion::found), #MEM3D_STATUS_INVALID_ARGUMENT,
///         #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `suggestion` is NULL or as long as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_suggest_slice(
    session: *const mem3d_session,
    segment: u32,
    suggestion: *mut mem3d_suggestion,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, out) =
            unsafe { (handle::borrow(session, "session")?, versioned::out(suggestion, "suggestion")?) };
        let best = session.read()?.suggest_slice((segment != 0).then_some(segment))?;
        out.put(mem3d_suggestion {
            struct_size: 0,
            found: u32::from(best.is_some()),
            segment: best.map_or(0, |s| s.segment),
            axis: best.map_or(0, |s| s.axis.index() as i32),
            slice: best.map_or(0, |s| s.slice as u32),
            quality: best.map_or(0.0, |s| s.quality),
            gain: best.map_or(0.0, |s| s.gain),
            reserved: 0,
        });
        Ok(())
    })
}

/// Reads a segment's mask.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param[out] mask  `[depth, height, width]` in C order, one byte a voxel: 1 inside, 0 outside. Unchanged on failure.
/// @param mask_size  Bytes of `mask`: depth times height times width.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `mask` is NULL or writable for `mask_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_mask(
    session: *const mem3d_session,
    segment: u32,
    mask: *mut u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let session = session.read()?;
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(mask, mask_size, session.volume().data().len(), "mask") }?;
        session.read_mask(segment, out)
    })
}

/// Reads a segment's mask on one slice.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535.
/// @param axis       A #mem3d_axis: the one the slice is cut along.
/// @param slice      Slice number along `axis`.
/// @param[out] mask  Row-major, one byte a pixel: 1 inside, 0 outside. Unchanged on failure.
/// @param mask_size  Bytes of `mask`: rows times columns of the slice.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `mask` is NULL or writable for `mask_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_slice_mask(
    session: *const mem3d_session,
    segment: u32,
    axis: i32,
    slice: u32,
    mask: *mut u8,
    mask_size: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let axis = SliceAxis::from_index(axis.into())?;
        let session = session.read()?;
        let (rows, cols) = axis.slice_shape(session.volume().shape());
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(mask, mask_size, rows * cols, "mask") }?;
        out.copy_from_slice(&session.read_slice_mask(segment, axis, slice as usize)?.data);
        Ok(())
    })
}

/// Reads the probability that a voxel belongs to a segment.
///
/// @param session           From mem3d_session_new().
/// @param segment           1 to 65535.
/// @param[out] probability  `[depth, height, width]` in C order, 0..1. Unchanged on failure.
/// @param n_voxels          Values of `probability`: depth times height times width.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `probability` is NULL or writable for `n_voxels` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_probability(
    session: *const mem3d_session,
    segment: u32,
    probability: *mut f32,
    n_voxels: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let session = session.read()?;
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(probability, n_voxels, session.volume().data().len(), "probability") }?;
        session.read_probability(segment, out)
    })
}

/// Reads all segments as one volume of labels. Where several overlap, the most probable wins.
///
/// @param session      From mem3d_session_new().
/// @param[out] labels  `[depth, height, width]` in C order: segment numbers, 0 outside of all. Unchanged on failure.
/// @param n_voxels     Values of `labels`: depth times height times width.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `labels` is NULL or writable for `n_voxels` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_labels(
    session: *const mem3d_session,
    labels: *mut u16,
    n_voxels: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let session = session.read()?;
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(labels, n_voxels, session.volume().data().len(), "labels") }?;
        session.read_labels(out)
    })
}

/// Says which intensities the networks see as 0 and 1.
///
/// @param session    From mem3d_session_new().
/// @param[out] low   In the volume's units. Unchanged on failure.
/// @param[out] high  In the volume's units. Unchanged on failure.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `low` and `high` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_window(
    session: *const mem3d_session,
    low: *mut f64,
    high: *mut f64,
) -> mem3d_status {
    guard(|| {
        handle::required(low, "low")?;
        handle::required(high, "high")?;
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let window = session.read()?.window();
        // SAFETY: writable by this function's contract.
        unsafe {
            handle::put(low, window.0);
            handle::put(high, window.1);
        }
        Ok(())
    })
}

/// Says how much memory a session holds.
///
/// @param session     From mem3d_session_new().
/// @param[out] usage  Filled as far as its `struct_size` reaches. Unchanged on failure.
/// @return #MEM3D_STATUS_OK, #MEM3D_STATUS_INVALID_ARGUMENT, #MEM3D_STATUS_BUSY or #MEM3D_STATUS_INTERNAL.
/// @pre `session` is NULL or live; `usage` is NULL or as long as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_memory_usage(
    session: *const mem3d_session,
    usage: *mut mem3d_memory_usage,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (session, out) = unsafe { (handle::borrow(session, "session")?, versioned::out(usage, "usage")?) };
        let held = session.read()?.memory_usage();
        out.put(mem3d_memory_usage {
            struct_size: 0,
            reserved: 0,
            volume_bytes: held.volume as u64,
            masks_bytes: held.masks as u64,
            features_bytes: held.features as u64,
        });
        Ok(())
    })
}
