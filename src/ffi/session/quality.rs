//! Estimated quality of masks, and the slice to correct next.

use super::mem3d_session;
use crate::ffi::guard::guard;
use crate::ffi::handle;
use crate::ffi::mem3d_status;
use crate::ffi::slices;
use crate::ffi::versioned::{self, Versioned};
use crate::ffi::volume_view::mem3d_axis;

/// The slice to correct next; all 0 when there is none. Grows; set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_suggestion {
    /// `sizeof(mem3d_suggestion)`, set by the caller.
    pub struct_size: u32,
    /// 1: there is a suggestion. 0: all propagated slices are annotated, or none is propagated.
    pub found: u32,
    /// Segment to correct.
    pub segment: u32,
    /// A #mem3d_axis: the one the slice is cut along.
    pub axis: i32,
    /// Slice number along `axis`.
    pub slice: u32,
    /// Estimated quality of its mask, 0..1.
    pub quality: f32,
    /// Expected gain of a correction there, voxels of the volume.
    pub gain: f32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), struct_size first, 8 * 4 bytes without padding, all numbers.
unsafe impl Versioned for mem3d_suggestion {
    const NAME: &'static str = "mem3d_suggestion";
    const FIRST_SIZE: usize = 32;
}

/// Reads the estimated quality of a segment's mask on every slice along an axis.
///
/// @param session       From mem3d_session_new().
/// @param segment       1 to 65535, with a mask or an interaction; else #MEM3D_STATUS_INVALID_ARGUMENT.
/// @param axis          A #mem3d_axis: the one the slices are cut along.
/// @param[out] quality  Expected IoU per slice, 0..1: 1 where annotated, 0 where nothing was propagated.
/// @param n_slices      Values of `quality`: the number of slices along `axis`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_read_quality(
    session: *const mem3d_session,
    segment: u32,
    axis: i32,
    quality: *mut f32,
    n_slices: usize,
) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        let axis = mem3d_axis::to_engine(axis, "axis")?;
        let committed = session.committed();
        let session = committed.view();
        // SAFETY: by this function's contract.
        let out = unsafe { slices::output(quality, n_slices, session.volume().slice_count(axis), "quality") }?;
        out.copy_from_slice(&session.quality(segment, axis)?);
        Ok(())
    })
}

/// Suggests the slice whose correction has the largest expected gain. Annotated slices are never suggested.
///
/// @param session          From mem3d_session_new().
/// @param segment          As in mem3d_session_read_quality(), or 0 for the best of all segments.
/// @param[out] suggestion  Filled up to its `struct_size`; `found` is 0 when there is none.
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
        let best = session.committed().view().suggest_slice((segment != 0).then_some(segment))?;
        out.put(mem3d_suggestion {
            struct_size: 0,
            found: u32::from(best.is_some()),
            segment: best.map_or(0, |s| s.segment),
            axis: best.map_or(0, |s| mem3d_axis::number(s.axis)),
            slice: best.map_or(0, |s| s.slice as u32),
            quality: best.map_or(0.0, |s| s.quality),
            gain: best.map_or(0.0, |s| s.gain),
            reserved: 0,
        });
        Ok(())
    })
}
