//! Sessions: the work of one user on one volume. This file opens and frees them; each kind of call has its own file.

pub mod draw;

pub mod propagate;

pub mod quality;

pub mod read;

pub mod undo;

pub mod save;

use super::device::{apply_thread_count, choose_thread_count};
use super::guard::guard;
use super::model::mem3d_model;
use super::panics::guard_value;
use super::reserve;
use super::versioned::{self, Versioned};
use super::volume_view::mem3d_volume_view;
use super::{handle, mem3d_status};
use crate::engine::{CancelToken, Session, SessionOptions, Snapshot};
use crate::error::{Error, Result};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// One user's work on one volume: its copy, segments, masks and rounds. Serves one call at a time.
pub struct mem3d_session {
    session: Mutex<Session>,
    /// What the last call that changed the session left, for calls that read during the next.
    committed: Mutex<Arc<Snapshot>>,
    /// Beside the session's lock, so that a running call can be stopped.
    cancel: CancelToken,
}

impl mem3d_session {
    fn new(session: Session) -> Self {
        let committed = Mutex::new(Arc::new(session.snapshot()));
        mem3d_session { cancel: session.cancel_token(), committed, session: Mutex::new(session) }
    }

    /// The session, for a call that changes it.
    ///
    /// # Errors
    /// [`Error::Busy`] during another call, [`Error::InvalidState`] after a call that panicked half-way.
    fn lock(&self) -> Result<Locked<'_>> {
        apply_thread_count();
        reserve::arm()?;
        match self.session.try_lock() {
            Ok(session) => Ok(Locked { session, committed: &self.committed }),
            Err(TryLockError::WouldBlock) => Err(busy()),
            Err(TryLockError::Poisoned(_)) => Err(Error::InvalidState(
                "an internal error interrupted an earlier call on this session; read or save what is needed, \
                 then free it and make a new one"
                    .into(),
            )),
        }
    }

    /// The state that was committed last, for a call that only reads masks and what belongs to them: possible during
    /// another call.
    fn committed(&self) -> Arc<Snapshot> {
        self.committed.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// The session, for another call that only reads: possible after a panic too, so that no work is lost.
    ///
    /// # Errors
    /// [`Error::Busy`] during another call.
    fn read(&self) -> Result<MutexGuard<'_, Session>> {
        apply_thread_count();
        match self.session.try_lock() {
            Ok(session) => Ok(session),
            Err(TryLockError::WouldBlock) => Err(busy()),
            Err(TryLockError::Poisoned(session)) => Ok(session.into_inner()),
        }
    }
}

/// The session during a call that changes it; what it commits can be read when the call ends.
struct Locked<'a> {
    session: MutexGuard<'a, Session>,
    committed: &'a Mutex<Arc<Snapshot>>,
}

impl Deref for Locked<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        *self.committed.lock().unwrap_or_else(|e| e.into_inner()) = Arc::new(self.session.snapshot());
    }
}

fn busy() -> Error {
    Error::Busy("the session is serving another call; wait for it, or stop it with mem3d_session_cancel()".into())
}

/// Options of a session, fixed for its life, but for what mem3d_session_restore() replaces. Grows; zero it, then set
/// `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mem3d_session_options {
    /// `sizeof(mem3d_session_options)`, set by the caller.
    pub struct_size: u32,
    /// NaN or infinite voxels: 0 rejects the volume, 1 replaces them by the lower end of the window.
    pub replace_non_finite: u32,
    /// Intensity mapped to 0. Both ends 0: the 0.5th and 99.5th percentile of the volume, for CT (least value -5000 to
    /// -500) limited to -250..450 HU; a segment of CT most of whose voxels are darker, as lung, has a lower end below
    /// them.
    pub window_low: f64,
    /// Intensity mapped to 1.
    pub window_high: f64,
    /// Largest memory for cached features of slices, bytes. 0 for 400 MB.
    pub feature_cache_bytes: u64,
    /// Number of steps that can be undone; 1..10000. 0 for 50, -1 for none.
    pub undo_depth: i32,
    /// 1 keeps CUDA memory in libtorch's cache when the session is freed, for the next session of this process. By
    /// default it is returned to the device.
    pub keep_cuda_cache: u32,
    /// 1 disables 3D refinement. By default propagated masks are refined by a random walker that combines network
    /// output, image edges, neighbouring slices and interpolation between annotated masks.
    pub no_refinement: u32,
    /// @name Tuning, rarely needed
    /// 1 segments whole slices, as in the paper, instead of a region of interest around the target.
    pub whole_slice: u32,
    /// Every how many slices one is memorized during a propagation; 1 or more. 0 for 5, -1 for none.
    pub memorize_every: i32,
    /// Most memorized slices besides the annotated ones and the previous one; 1..1000. 0 for 4, -1 for none.
    pub max_memory_slices: i32,
    /// Number of consecutive empty slices that ends a propagation; 1 or more. 0 for 3, -1 never ends it early.
    pub stop_after_empty: i32,
    /// Masks with fewer pixels are empty; 1 or more. 0 for 4, -1 keeps all.
    pub min_area: i32,
    /// Slices whose largest probability is lower are empty; 0..1. 0 for 0.5, -1 disables this test.
    pub min_probability: f64,
    /// Slices whose mask is a smaller fraction of the previous slice's are empty; 0..1. 0 for 0.02, -1 disables this
    /// test.
    pub min_area_fraction: f64,
    /// Slices that hold the target with a lower probability, by the quality head, are empty, unless an annotated slice
    /// with the target lies ahead; 0..1. 0 for 0.8, -1 disables this test.
    pub min_presence: f64,
    /// Side of the region of interest as a multiple of the side of the target; 1..10. 0 for 1.6.
    pub roi_scale: f64,
}

// SAFETY: repr(C), struct_size first, 2 * 4 + 3 * 8 + 8 * 4 + 4 * 8 bytes without padding, all numbers.
unsafe impl Versioned for mem3d_session_options {
    const NAME: &'static str = "mem3d_session_options";
    const FIRST_SIZE: usize = 96;
}

impl mem3d_session_options {
    fn to_engine(self) -> Result<SessionOptions> {
        let d = SessionOptions::default();
        let window = match (self.window_low, self.window_high) {
            (low, high) if low == 0.0 && high == 0.0 => None,
            ends => Some(ends),
        };
        Ok(SessionOptions {
            window,
            replace_non_finite: flag(self.replace_non_finite, "replace_non_finite")?,
            memorize_every: count(self.memorize_every, d.memorize_every, "memorize_every")?,
            max_memory_slices: count(self.max_memory_slices, d.max_memory_slices, "max_memory_slices")?,
            stop_after_empty: count(self.stop_after_empty, d.stop_after_empty, "stop_after_empty")?,
            min_area: count(self.min_area, d.min_area, "min_area")?,
            presence_probability: fraction(self.min_probability, d.presence_probability, "min_probability")?,
            presence_area_fraction: fraction(self.min_area_fraction, d.presence_area_fraction, "min_area_fraction")?,
            least_presence: fraction(self.min_presence, d.least_presence, "min_presence")?,
            roi_scale: if self.roi_scale == 0.0 { d.roi_scale } else { self.roi_scale },
            whole_slice: flag(self.whole_slice, "whole_slice")?,
            undo_depth: count(self.undo_depth, d.undo_depth, "undo_depth")?,
            feature_cache_bytes: match self.feature_cache_bytes {
                0 => d.feature_cache_bytes,
                bytes => bytes as usize,
            },
            keep_cuda_cache: flag(self.keep_cuda_cache, "keep_cuda_cache")?,
            refine: !flag(self.no_refinement, "no_refinement")?,
            // For experiments only: not in the interface.
            plain: d.plain,
            memorize_previous: d.memorize_previous,
            memorize_annotated: d.memorize_annotated,
        })
    }
}

fn flag(value: u32, name: &str) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::argument(format!("options.{name} is {value}; use 0 or 1"))),
    }
}

/// A count of which 0 means the default and -1 none.
fn count(value: i32, default: usize, name: &str) -> Result<usize> {
    match value {
        0 => Ok(default),
        -1 => Ok(0),
        _ => usize::try_from(value).map_err(|_| {
            Error::argument(format!("options.{name} is {value}; use a positive number, 0 (default) or -1 (none)"))
        }),
    }
}

/// A fraction of which 0 means the default and -1 none.
fn fraction(value: f64, default: f64, name: &str) -> Result<f64> {
    match value {
        0.0 => Ok(default),
        -1.0 => Ok(0.0),
        v if v > 0.0 && v <= 1.0 => Ok(v),
        _ => Err(Error::argument(format!("options.{name} is {value}; use 0..1, 0 (default) or -1 (no such test)"))),
    }
}

/// Opens a session on a volume. The volume is copied, so the host may free or change its own.
///
/// @param model         Shared; may be freed before the session.
/// @param volume        Voxels and geometry.
/// @param options       NULL for the defaults.
/// @param[out] session  Free with mem3d_session_free().
/// @return #MEM3D_STATUS_OUT_OF_MEMORY or #MEM3D_STATUS_TORCH.
/// @pre The data of `volume` is readable as far as its shape and strides reach.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_new(
    model: *const mem3d_model,
    volume: *const mem3d_volume_view,
    options: *const mem3d_session_options,
    session: *mut *mut mem3d_session,
) -> mem3d_status {
    guard(|| {
        handle::required(session, "session")?;
        // SAFETY: by this function's contract.
        let (model, volume, options) = unsafe {
            (
                handle::borrow(model, "model")?,
                versioned::read(volume, "volume")?.to_volume()?,
                versioned::read_or_default(options, "options")?.to_engine()?,
            )
        };
        choose_thread_count();
        reserve::arm()?;
        let made = Session::new(volume, model.networks(), options)?;
        // SAFETY: writable by this function's contract.
        unsafe { handle::give(session, mem3d_session::new(made)) };
        Ok(())
    })
}

/// Frees a session and everything it holds. A call that is running on it, from another thread or around the callback
/// that frees it, is cancelled as by mem3d_session_cancel(); what the session holds is then freed when that call ends.
///
/// @param session  May be NULL. No call may begin on it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mem3d_session_free(session: *mut mem3d_session) {
    guard_value((), || {
        // SAFETY: by this function's contract.
        if let Ok(running) = unsafe { handle::borrow(session, "session") } {
            running.cancel.close();
        }
        // SAFETY: by this function's contract.
        unsafe { handle::free(session) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zero() -> mem3d_session_options {
        // SAFETY: NULL is allowed.
        unsafe { versioned::read_or_default(std::ptr::null(), "options") }.unwrap()
    }

    #[test]
    fn zero_is_the_default_of_every_field() {
        assert_eq!(zero().to_engine().unwrap(), SessionOptions::default());
        assert_eq!(size_of::<mem3d_session_options>(), mem3d_session_options::FIRST_SIZE);
    }

    #[test]
    fn minus_one_switches_off() {
        let options = mem3d_session_options {
            stop_after_empty: -1,
            undo_depth: -1,
            min_probability: -1.0,
            window_low: -100.0,
            window_high: 0.0,
            whole_slice: 1,
            keep_cuda_cache: 1,
            no_refinement: 1,
            ..zero()
        };
        let got = options.to_engine().unwrap();
        assert_eq!((got.stop_after_empty, got.undo_depth, got.presence_probability), (0, 0, 0.0));
        assert_eq!((got.window, got.whole_slice, got.keep_cuda_cache), (Some((-100.0, 0.0)), true, true));
        assert!(!got.refine && SessionOptions::default().refine);
    }

    #[test]
    fn each_threshold_reaches_its_option() {
        let options = mem3d_session_options {
            min_area: 7,
            min_probability: 0.1,
            min_area_fraction: 0.2,
            min_presence: 0.3,
            roi_scale: 2.0,
            ..zero()
        };
        let got = options.to_engine().unwrap();
        assert_eq!((got.min_area, got.roi_scale), (7, 2.0));
        let fractions = (got.presence_probability, got.presence_area_fraction, got.least_presence);
        assert_eq!(fractions, (0.1, 0.2, 0.3));
    }

    #[test]
    fn senseless_values_are_refused_by_name() {
        let text = |o: mem3d_session_options| o.to_engine().unwrap_err().to_string();
        assert!(text(mem3d_session_options { whole_slice: 2, ..zero() }).contains("options.whole_slice is 2"));
        assert!(text(mem3d_session_options { keep_cuda_cache: 2, ..zero() }).contains("options.keep_cuda_cache is 2"));
        assert!(text(mem3d_session_options { undo_depth: -2, ..zero() }).contains("options.undo_depth is -2"));
        assert!(text(mem3d_session_options { no_refinement: 2, ..zero() }).contains("options.no_refinement is 2"));
        let nan = mem3d_session_options { min_probability: f64::NAN, ..zero() };
        assert!(text(nan).contains("options.min_probability is NaN"));
    }

    #[test]
    fn handles_may_cross_threads() {
        fn crosses<T: Send + Sync>() {}
        crosses::<mem3d_session>();
        crosses::<mem3d_model>();
    }
}
