//! Progress of a propagation, told to the host slice by slice.

use super::versioned::Versioned;
use crate::engine::session::options::Direction;
use crate::engine::{Progress, PropagateOptions};
use crate::error::{Error, Result};
use crate::volume::SliceAxis;
use std::ffi::c_void;

/// How far a propagation is. Filled by the library, never grows.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mem3d_progress {
    /// Slices done so far.
    pub done: u32,
    /// Slices to do at most; fewer are done where the target ends early.
    pub total: u32,
    /// The slice just segmented.
    pub slice: u32,
    /// The segment it was segmented for.
    pub segment: u32,
}

/// Told after every slice of a propagation. Return true to go on, false to stop: the call then returns
/// #MEM3D_STATUS_CANCELLED and has changed nothing.
///
/// Runs on the thread that called, never after the call returned. Must not throw. Calls on the same session from
/// here return #MEM3D_STATUS_BUSY, but for mem3d_session_cancel().
pub type mem3d_progress_fn =
    Option<unsafe extern "C" fn(progress: *const mem3d_progress, user_data: *mut c_void) -> bool>;

/// Which sides of the annotated slices are segmented, for #mem3d_propagate_options::direction.
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

/// What a propagation does. Grows; zero it, then set `struct_size`. Zero is the default of every field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_propagate_options {
    /// `sizeof(mem3d_propagate_options)`, set by the caller.
    pub struct_size: u32,
    /// Segment to carry through the volume; 0 for every segment with an annotated slice along the axis.
    pub segment: u32,
    /// A #mem3d_axis plus one: the axis to propagate along. 0 for the axis last drawn on.
    pub axis_plus_one: i32,
    /// A #mem3d_direction.
    pub direction: i32,
    /// First slice that may be changed.
    pub first_slice: u32,
    /// Number of slices from there that may be changed; 0 for all up to the last.
    pub n_slices: u32,
    /// Told after every slice; NULL for no reports.
    pub on_slice: mem3d_progress_fn,
    /// Given to `on_slice` as it is.
    pub user_data: *mut c_void,
}

// SAFETY: repr(C), struct_size first, 6 * 4 + 2 * 8 bytes without padding; zero is valid for integers, a nullable
// function and a raw pointer.
unsafe impl Versioned for mem3d_propagate_options {
    const NAME: &'static str = "mem3d_propagate_options";
    const FIRST_SIZE: usize = 40;
}

impl mem3d_propagate_options {
    /// The same for the engine; `shape` is the volume's.
    pub(super) fn to_engine(self, shape: [usize; 3]) -> Result<PropagateOptions> {
        let axis = match self.axis_plus_one {
            0 => None,
            n => Some(SliceAxis::from_index(i64::from(n) - 1).map_err(|_| {
                Error::argument(format!(
                    "options.axis_plus_one is {n}; use 1 (depth), 2 (height), 3 (width) or 0 (the axis last drawn on)"
                ))
            })?),
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
                        "options.first_slice without options.n_slices needs options.axis_plus_one; set one of them",
                    ));
                }
            },
            (_, n) => Some((first, first + n - 1)),
        };
        Ok(PropagateOptions { segment, axis, direction, range })
    }

    /// The host's function as the engine wants it.
    ///
    /// # Safety
    /// `on_slice` may be called with `user_data` as long as the result lives.
    pub(super) unsafe fn on_slice(self) -> impl FnMut(Progress) -> bool {
        move |progress| {
            let Some(function) = self.on_slice else { return true };
            let progress = mem3d_progress {
                done: progress.done as u32,
                total: progress.total as u32,
                slice: progress.slice as u32,
                segment: progress.segment,
            };
            // SAFETY: by the contract of this function.
            unsafe { function(&progress, self.user_data) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: mem3d_propagate_options = mem3d_propagate_options {
        struct_size: size_of::<mem3d_propagate_options>() as u32,
        segment: 0,
        axis_plus_one: 0,
        direction: 0,
        first_slice: 0,
        n_slices: 0,
        on_slice: None,
        user_data: std::ptr::null_mut(),
    };

    #[test]
    fn zero_is_the_default_of_every_field() {
        assert_eq!(DEFAULT.to_engine([4, 5, 6]).unwrap(), PropagateOptions::default());
        assert_eq!(size_of::<mem3d_propagate_options>(), mem3d_propagate_options::FIRST_SIZE);
    }

    #[test]
    fn ranges_are_first_and_count() {
        let range = |first_slice, n_slices, axis_plus_one| {
            mem3d_propagate_options { first_slice, n_slices, axis_plus_one, ..DEFAULT }.to_engine([4, 5, 6])
        };
        assert_eq!(range(1, 3, 0).unwrap().range, Some((1, 3)));
        assert_eq!(range(2, 0, 3).unwrap().range, Some((2, 5)));
        assert_eq!(range(0, 0, 2).unwrap().axis, Some(SliceAxis::Height));
        assert!(range(2, 0, 0).unwrap_err().to_string().contains("n_slices"));
        assert!(range(0, 0, 4).unwrap_err().to_string().contains("axis_plus_one is 4"));
        assert!(range(0, 0, i32::MIN).is_err());
    }

    #[test]
    fn the_host_gets_progress_and_can_stop() {
        unsafe extern "C" fn stop_at_two(progress: *const mem3d_progress, user_data: *mut c_void) -> bool {
            // SAFETY: `user_data` is the list below, and `progress` lives during the call.
            unsafe {
                (*user_data.cast::<Vec<mem3d_progress>>()).push(*progress);
                (*progress).done < 2
            }
        }
        let mut seen: Vec<mem3d_progress> = Vec::new();
        let options =
            mem3d_propagate_options { on_slice: Some(stop_at_two), user_data: (&raw mut seen).cast(), ..DEFAULT };
        // SAFETY: `seen` outlives the function.
        let mut on_slice = unsafe { options.on_slice() };
        assert!(on_slice(Progress { done: 1, total: 9, slice: 6, segment: 3 }));
        assert!(!on_slice(Progress { done: 2, total: 9, slice: 7, segment: 3 }));
        assert_eq!(seen[1], mem3d_progress { done: 2, total: 9, slice: 7, segment: 3 });
    }
}
