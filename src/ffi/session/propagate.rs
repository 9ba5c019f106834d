//! Propagation of masks through the volume, with its progress.

use super::mem3d_session;
use crate::engine::session::options::Direction;
use crate::engine::{CancelToken, Preview, Progress, PropagateOptions};
use crate::error::{Error, Result};
use crate::ffi::guard::guard;
use crate::ffi::handle;
use crate::ffi::mem3d_status;
use crate::ffi::versioned::{self, Versioned};
use crate::ffi::volume_view::mem3d_axis;
use std::ffi::c_void;

/// Progress of a propagation. Filled by the library, never grows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mem3d_progress {
    /// Slices done so far.
    pub done: u32,
    /// Most slices to do; fewer are done where the target ends early.
    pub total: u32,
    /// The slice just segmented.
    pub slice: u32,
    /// The segment that was segmented on it.
    pub segment: u32,
}

/// Called after every slice of a propagation. Return true to continue, false to stop: mem3d_session_propagate() then
/// returns #MEM3D_STATUS_CANCELLED.
///
/// Runs on the calling thread, never after the call has returned. Must not throw. Calls on the same session from here
/// that would change it return #MEM3D_STATUS_BUSY; masks read from here are those before the propagation.
pub type mem3d_progress_fn =
    Option<unsafe extern "C" fn(progress: *const mem3d_progress, user_data: *mut c_void) -> bool>;

/// As #mem3d_progress_fn, with the mask of the slice just segmented, so that a host can show it grow: `rows` times
/// `columns` bytes, row-major, 1 inside, 0 outside, borrowed until the function returns. Later slices and refinement
/// may change it before the propagation ends.
pub type mem3d_slice_fn = Option<
    unsafe extern "C" fn(
        progress: *const mem3d_progress,
        mask: *const u8,
        rows: u32,
        columns: u32,
        user_data: *mut c_void,
    ) -> bool,
>;

/// Sides of the annotated slices that are segmented, for #mem3d_propagate_options::direction.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_direction {
    /// Towards higher and lower slice numbers.
    Both = 0,
    /// Towards higher slice numbers only.
    Up = 1,
    /// Towards lower slice numbers only.
    Down = 2,
}

/// Options of a propagation. Grows; zero it, then set `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_propagate_options {
    /// `sizeof(mem3d_propagate_options)`, set by the caller.
    pub struct_size: u32,
    /// Segment to propagate; 0 for every segment with an annotated slice along the axis.
    pub segment: u32,
    /// A #mem3d_axis: the one to propagate along. 0 for the axis last drawn on.
    pub axis: i32,
    /// A #mem3d_direction.
    pub direction: i32,
    /// First slice that may be changed.
    pub first_slice: u32,
    /// Number of slices from there that may be changed; 0 for all up to the last, which needs `axis` unless
    /// `first_slice` is 0.
    pub n_slices: u32,
    /// Called after every slice; NULL for no callback.
    pub on_slice: mem3d_progress_fn,
    /// Passed to `on_slice` and `on_mask`.
    pub user_data: *mut c_void,
    /// Called after every slice, after `on_slice`, with the slice's mask; NULL for no callback.
    pub on_mask: mem3d_slice_fn,
}

// SAFETY: repr(C), struct_size first, 6 * 4 + 3 * 8 bytes without padding; zero is valid for integers, nullable
// functions and a raw pointer.
unsafe impl Versioned for mem3d_propagate_options {
    const NAME: &'static str = "mem3d_propagate_options";
    const FIRST_SIZE: usize = 40;
}

impl mem3d_propagate_options {
    /// The same for the engine; `shape` is the volume's.
    pub(super) fn to_engine(self, shape: [usize; 3]) -> Result<PropagateOptions> {
        let axis = match self.axis {
            0 => None,
            number => Some(mem3d_axis::to_engine(number, "options.axis")?),
        };
        let direction = match self.direction {
            0 => Direction::Both,
            1 => Direction::Up,
            2 => Direction::Down,
            other => {
                return Err(Error::argument(format!(
                    "options.direction is {other}; use 0 (both sides), 1 (up) or 2 (down)"
                )));
            }
        };
        let segment = (self.segment != 0).then_some(self.segment);
        let first = self.first_slice as usize;
        let range = match (first, self.n_slices as usize) {
            (0, 0) => None,
            // Without an axis the volume's end is not known here; the engine takes a last slice beyond it as an error.
            (_, 0) => match axis {
                Some(axis) => Some((first, shape[axis.index()].saturating_sub(1).max(first))),
                None => {
                    return Err(Error::argument(
                        "options.first_slice without options.n_slices needs options.axis; set one of them",
                    ));
                }
            },
            (_, n) => Some((first, first + n - 1)),
        };
        Ok(PropagateOptions { segment, axis, direction, range })
    }

    /// The host's functions as the engine wants them. After a request to stop, neither is called again.
    ///
    /// # Safety
    /// `on_slice` and `on_mask` may be called with `user_data` as long as the result lives.
    pub(super) unsafe fn on_slice(self, cancel: CancelToken) -> impl FnMut(Progress, Option<Preview<'_>>) -> bool {
        move |progress, preview| {
            let progress = mem3d_progress {
                done: progress.done as u32,
                total: progress.total as u32,
                slice: progress.slice as u32,
                segment: progress.segment,
            };
            // SAFETY: by the contract of this function.
            let wanted = self.on_slice.is_none_or(|function| unsafe { function(&progress, self.user_data) });
            let goes_on = wanted && !cancel.is_cancelled();
            let (Some(function), Some(preview), true) = (self.on_mask, preview, goes_on) else { return goes_on };
            let mask = preview.mask();
            // SAFETY: by the contract of this function; the mask lives during the call.
            unsafe { function(&progress, mask.data.as_ptr(), mask.rows as u32, mask.cols as u32, self.user_data) }
        }
    }
}

/// Propagates the masks of the annotated slices through the volume. First accepts every slice that was drawn on, of the
/// segments that are propagated.
///
/// Only slices between a newly annotated slice and its annotated neighbours change; if none is new, all others do. Of a
/// segment that began with mem3d_session_set_mask(), only slices near newly annotated ones do. With several segments,
/// name the one that was corrected. Qualities along other axes become 0: they were of other masks.
///
/// Blocks until done; call it from a thread of the host's own to keep a user interface responsive.
///
/// @param session       From mem3d_session_new().
/// @param options       Segment, axis, range and progress callback; NULL for the defaults.
/// @param[out] updated  Number of slice masks that were replaced. May be NULL.
/// @return #MEM3D_STATUS_INVALID_STATE (no slice is annotated along the axis), #MEM3D_STATUS_CANCELLED,
///         #MEM3D_STATUS_BAD_MODEL (the network output contains NaN), #MEM3D_STATUS_OUT_OF_MEMORY or
///         #MEM3D_STATUS_TORCH.
/// @pre `on_slice` and `on_mask` of `options` may be called with its `user_data`.
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
        let mut on_slice = unsafe { options.on_slice(session.cancel.clone()) };
        let mut session = session.lock()?;
        let what = options.to_engine(session.volume().shape())?;
        let count = session.propagate_showing(&what, &mut |progress, preview| on_slice(progress, Some(preview)))?;
        // SAFETY: NULL or writable, by this function's contract.
        unsafe { handle::put(updated, count as u32) };
        Ok(())
    })
}

/// Stops the running propagation before its next slice, from another thread or from inside its callback, which is then
/// not called again. Without a running propagation it has no effect.
///
/// @param session  From mem3d_session_new().
/// @pre `session` is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_cancel(session: *const mem3d_session) -> mem3d_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let session = unsafe { handle::borrow(session, "session") }?;
        session.cancel.cancel();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::SliceAxis;

    const DEFAULT: mem3d_propagate_options = mem3d_propagate_options {
        struct_size: size_of::<mem3d_propagate_options>() as u32,
        segment: 0,
        axis: 0,
        direction: 0,
        first_slice: 0,
        n_slices: 0,
        on_slice: None,
        user_data: std::ptr::null_mut(),
        on_mask: None,
    };

    #[test]
    fn zero_is_the_default_of_every_field() {
        assert_eq!(DEFAULT.to_engine([4, 5, 6]).unwrap(), PropagateOptions::default());
        assert_eq!(size_of::<mem3d_propagate_options>(), mem3d_propagate_options::FIRST_SIZE + 8);
    }

    #[test]
    fn ranges_are_first_and_count() {
        let range = |first_slice, n_slices, axis| {
            mem3d_propagate_options { first_slice, n_slices, axis, ..DEFAULT }.to_engine([4, 5, 6])
        };
        assert_eq!(range(1, 3, 0).unwrap().range, Some((1, 3)));
        assert_eq!(range(2, 0, 3).unwrap().range, Some((2, 5)));
        assert_eq!(range(0, 0, 2).unwrap().axis, Some(SliceAxis::Height));
        assert!(range(2, 0, 0).unwrap_err().to_string().contains("n_slices"));
        assert!(range(0, 0, 4).unwrap_err().to_string().contains("options.axis is 4"));
        assert!(range(0, 0, i32::MIN).is_err());
    }

    #[test]
    fn the_callback_gets_the_progress_and_can_stop() {
        unsafe extern "C" fn stop_at_two(progress: *const mem3d_progress, user_data: *mut c_void) -> bool {
            // SAFETY: `user_data` is the list below, and `progress` lives during the call.
            unsafe {
                (*user_data.cast::<Vec<mem3d_progress>>()).push(*progress);
                (*progress).done < 2
            }
        }
        let mut seen: Vec<mem3d_progress> = Vec::new();
        let cancel = CancelToken::default();
        let options =
            mem3d_propagate_options { on_slice: Some(stop_at_two), user_data: (&raw mut seen).cast(), ..DEFAULT };
        // SAFETY: `seen` outlives the function.
        let mut on_slice = unsafe { options.on_slice(cancel.clone()) };
        assert!(on_slice(Progress { done: 1, total: 9, slice: 6, segment: 3 }, None));
        assert!(!on_slice(Progress { done: 2, total: 9, slice: 7, segment: 3 }, None));
        assert_eq!(seen[1], mem3d_progress { done: 2, total: 9, slice: 7, segment: 3 });
        cancel.cancel();
        assert!(!on_slice(Progress { done: 1, total: 9, slice: 6, segment: 3 }, None));
    }
}
