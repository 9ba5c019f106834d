//! Calls that read a session: masks, probabilities, lists, memory.

use super::mem3d_session;
use crate::ffi::guard::guard;
use crate::ffi::handle;
use crate::ffi::mem3d_status;
use crate::ffi::slices;
use crate::ffi::versioned::{self, Versioned};
use crate::ffi::volume_view::mem3d_axis;

/// Reads a segment's mask.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
/// @param[out] mask  `[depth, height, width]`, one byte per voxel: 1 inside, 0 outside.
/// @param mask_size  Bytes of `mask`: depth times height times width.
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
        let committed = session.committed();
        let session = committed.view();
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(mask, mask_size, session.volume().data().len(), "mask") }?;
        session.read_mask(segment, out)
    })
}

/// Reads a segment's mask on one slice.
///
/// @param session    From mem3d_session_new().
/// @param segment    1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
/// @param axis       A #mem3d_axis: the one the slice is cut along.
/// @param slice      Slice number along `axis`.
/// @param[out] mask  Row-major, one byte per pixel: 1 inside, 0 outside.
/// @param mask_size  Bytes of `mask`: rows times columns of the slice.
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
        let axis = mem3d_axis::to_engine(axis, "axis")?;
        let committed = session.committed();
        let session = committed.view();
        let (rows, cols) = axis.slice_shape(session.volume().shape());
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(mask, mask_size, rows * cols, "mask") }?;
        out.copy_from_slice(&session.read_slice_mask(segment, axis, slice as usize)?.data);
        Ok(())
    })
}

/// Reads the probability of each voxel to belong to a segment.
///
/// @param session           From mem3d_session_new().
/// @param segment           1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
/// @param[out] probability  `[depth, height, width]`, 0..1 in steps of 1/255; values under 3 % read as 0.
/// @param n_voxels          Values of `probability`: depth times height times width.
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
        let committed = session.committed();
        let session = committed.view();
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(probability, n_voxels, session.volume().data().len(), "probability") }?;
        session.read_probability(segment, out)
    })
}

/// Reads all segments as one label volume. Where several overlap, the most probable wins.
///
/// @param session      From mem3d_session_new().
/// @param[out] labels  `[depth, height, width]`: segment numbers, 0 outside of all.
/// @param n_voxels     Values of `labels`: depth times height times width.
/// @return #MEM3D_STATUS_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_labels(
    session: *const mem3d_session,
    labels: *mut u16,
    n_voxels: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let committed = session.committed();
        let session = committed.view();
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(labels, n_voxels, session.volume().data().len(), "labels") }?;
        session.read_labels(out)
    })
}

/// Returns the segments that have a mask or an interaction, ascending.
///
/// @param session        From mem3d_session_new().
/// @param[out] segments  Segment numbers; NULL to get `count` only.
/// @param capacity       Values that `segments` has room for, at least `count`. Ignored when it is NULL.
/// @param[out] count     Number of segments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_get_segments(
    session: *const mem3d_session,
    segments: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> mem3d_status {
    guard(|| {
        handle::required(count, "count")?;
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let found = session.committed().view().segments();
        // SAFETY: by this function's contract.
        unsafe { slices::put_list(segments, capacity, count, &found) }
    })
}

/// Returns the annotated slices of a segment, ascending; none for one without mask or interaction. Propagation does not
/// change them.
///
/// @param session      From mem3d_session_new().
/// @param segment      1 to 65535.
/// @param axis         A #mem3d_axis: the one the slices are cut along.
/// @param[out] slices  Slice numbers; NULL to get `count` only.
/// @param capacity     Values that `slices` has room for, at least `count`. Ignored when it is NULL.
/// @param[out] count   Number of annotated slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_get_annotated_slices(
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
        let found = session.committed().view().annotated(segment, mem3d_axis::to_engine(axis, "axis")?);
        let found: Vec<u32> = found.into_iter().map(|slice| slice as u32).collect();
        // SAFETY: by this function's contract.
        unsafe { slices::put_list(slices, capacity, count, &found) }
    })
}

/// Returns the intensities that are mapped to 0 and 1 for the networks.
///
/// @param session    From mem3d_session_new().
/// @param[out] low   Mapped to 0, in the volume's units.
/// @param[out] high  Mapped to 1, in the volume's units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_get_window(
    session: *const mem3d_session,
    low: *mut f64,
    high: *mut f64,
) -> mem3d_status {
    guard(|| {
        handle::required(low, "low")?;
        handle::required(high, "high")?;
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let window = session.committed().view().window();
        // SAFETY: writable by this function's contract.
        unsafe {
            handle::put(low, window.0);
            handle::put(high, window.1);
        }
        Ok(())
    })
}

/// Returns the voxel index of a position, with fractions: what a view in millimetres shows, in the session's volume.
///
/// @param session      From mem3d_session_new().
/// @param lps_mm       Three doubles: left, posterior, superior, mm.
/// @param[out] index   Three doubles: depth, height, width. Outside of the volume below 0 or above its last voxel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_get_index(
    session: *const mem3d_session,
    lps_mm: *const f64,
    index: *mut f64,
) -> mem3d_status {
    guard(|| {
        handle::required(index, "index")?;
        // SAFETY: by this function's contract.
        let (session, p) = unsafe { (handle::borrow(session, "session")?, slices::input(lps_mm, 3, "lps_mm")?) };
        let found = session.committed().view().volume().geometry().index_of_lps([p[0], p[1], p[2]])?;
        // SAFETY: three doubles, by this function's contract.
        unsafe { handle::put(index.cast::<[f64; 3]>(), found) };
        Ok(())
    })
}

/// Memory held by a session, bytes. Grows; set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_memory_usage {
    /// `sizeof(mem3d_memory_usage)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Copy of the volume.
    pub volume_bytes: u64,
    /// Masks and probabilities of all segments, undo steps included.
    pub masks_bytes: u64,
    /// Cached features of slices.
    pub features_bytes: u64,
}

// SAFETY: repr(C), struct_size first, 2 * 4 + 3 * 8 bytes without padding, all integers.
unsafe impl Versioned for mem3d_memory_usage {
    const NAME: &'static str = "mem3d_memory_usage";
    const FIRST_SIZE: usize = 32;
}

/// Returns the memory that a session holds.
///
/// @param session     From mem3d_session_new().
/// @param[out] usage  Filled up to its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_get_memory_usage(
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
