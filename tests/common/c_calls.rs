//! A host that makes the calls of `mem3d.h` which a list of bytes names: right ones, wrong ones, in any order. Used by
//! `tests/c_calls.rs` and by `fuzz/fuzz_targets/c_calls.rs`.

use mem3d::ffi::model::{mem3d_model, mem3d_model_free, mem3d_model_random};
use mem3d::ffi::session::draw::{
    mem3d_interaction, mem3d_session_accept, mem3d_session_interact, mem3d_session_set_mask,
    mem3d_session_set_slice_mask,
};
use mem3d::ffi::session::propagate::{mem3d_progress, mem3d_propagate_options, mem3d_session_propagate};
use mem3d::ffi::session::quality::{mem3d_session_read_quality, mem3d_session_suggest_slice, mem3d_suggestion};
use mem3d::ffi::session::read::{
    mem3d_session_get_index, mem3d_session_get_segments, mem3d_session_read_labels, mem3d_session_read_mask,
    mem3d_session_read_probability,
};
use mem3d::ffi::session::save::{mem3d_session_restore, mem3d_session_save};
use mem3d::ffi::session::undo::{mem3d_session_redo, mem3d_session_reset, mem3d_session_undo};
use mem3d::ffi::session::{mem3d_session, mem3d_session_free, mem3d_session_new};
use mem3d::ffi::status::{mem3d_last_error, mem3d_status};
use mem3d::ffi::volume_view::mem3d_volume_view;
use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

const SHAPE: [usize; 3] = [5, 24, 20];
const VOXELS: usize = SHAPE[0] * SHAPE[1] * SHAPE[2];

/// The bytes, one number after the other; zeros after the last.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A coordinate: mostly in the volume, at times beside it or no number.
    fn coordinate(&mut self, side: usize) -> f64 {
        match self.next() {
            255 => f64::NAN,
            254 => f64::INFINITY,
            253 => -1e300,
            value => f64::from(value) / 252.0 * (side as f64 + 1.0) - 1.0,
        }
    }

    /// Mostly one of `usual`, at times any number.
    fn number(&mut self, usual: u32) -> u32 {
        match self.next() {
            255 => u32::MAX,
            254 => 1 << 31,
            253 => usual.saturating_add(1),
            value => u32::from(value) % (usual + 1),
        }
    }
}

/// A model with random weights.
pub struct Host {
    model: *mut mem3d_model,
}

impl Host {
    pub fn new() -> Host {
        let mut model = null_mut();
        // SAFETY: NULL options are the defaults, and `model` is writable.
        let status = unsafe { mem3d_model_random(0, 1, null(), &mut model) };
        assert_eq!(status, mem3d_status::Ok);
        Host { model }
    }

    /// Makes the calls that `bytes` names on a new session; files are written into `folder`. Returns the number of
    /// calls that succeeded.
    ///
    /// # Panics
    /// When a call gives INTERNAL, a call that fails changes a mask, or a result is out of its range.
    pub fn run(&self, bytes: &[u8], folder: &Path) -> usize {
        let mut bytes = Bytes(bytes);
        let voxels: Vec<i16> =
            (0..VOXELS).map(|i| if i % 20 > 6 && i / 20 % 24 > 8 { 300 } else { (i % 17) as i16 }).collect();
        // SAFETY: zero is valid for every field.
        let mut view: mem3d_volume_view = unsafe { std::mem::zeroed() };
        view.struct_size = size_of::<mem3d_volume_view>() as u32;
        view.scalar_type = 4;
        view.data = voxels.as_ptr().cast::<c_void>();
        view.shape = SHAPE.map(|side| side as i64);
        view.spacing_mm = match bytes.next() {
            255 => [1.0, 1.0, 1e-300],
            254 => [f64::NAN, 1.0, 1.0],
            253 => [1e9, 1.0, 1.0],
            value => [1.0 + f64::from(value % 8), 1.0, 1.0],
        };
        let mut session = null_mut();
        // SAFETY: the model lives, the view is of `voxels`, and `session` is writable.
        if unsafe { mem3d_session_new(self.model, &view, null(), &mut session) } != mem3d_status::Ok {
            view.spacing_mm = [1.0; 3];
            // SAFETY: as above.
            assert_eq!(unsafe { mem3d_session_new(self.model, &view, null(), &mut session) }, mem3d_status::Ok);
        }
        let mut calls = Calls { session, file: folder.join("session.m3s"), good: 0 };
        for _ in 0..24 {
            if bytes.0.is_empty() {
                break;
            }
            calls.one(&mut bytes);
        }
        // SAFETY: made above, and not used any more.
        unsafe { mem3d_session_free(session) };
        calls.good
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and not used any more.
        unsafe { mem3d_model_free(self.model) };
    }
}

struct Calls {
    session: *mut mem3d_session,
    file: std::path::PathBuf,
    good: usize,
}

/// Stops after the number of slices that `left` counts.
unsafe extern "C" fn on_slice(_: *const mem3d_progress, left: *mut c_void) -> bool {
    // SAFETY: `left` is the number of the caller, which lives during the propagation.
    let left = unsafe { &mut *left.cast::<u8>() };
    *left = left.saturating_sub(1);
    *left > 0
}

impl Calls {
    fn one(&mut self, bytes: &mut Bytes) {
        let before = self.labels();
        let status = match bytes.next() % 11 {
            0..3 => self.interact(bytes),
            3 => self.set_slice_mask(bytes),
            4 => self.set_mask(bytes),
            // SAFETY: the session lives.
            5 => unsafe {
                mem3d_session_accept(self.session, bytes.number(3), bytes.number(4) as i32, bytes.number(20))
            },
            6 | 7 => self.propagate(bytes),
            8 => {
                let mut changed = false;
                // SAFETY: the session lives, and `changed` is writable.
                unsafe {
                    match bytes.next() % 2 {
                        0 => mem3d_session_undo(self.session, &mut changed),
                        _ => mem3d_session_redo(self.session, &mut changed),
                    }
                }
            }
            // SAFETY: the session lives.
            9 => unsafe { mem3d_session_reset(self.session, bytes.number(3)) },
            _ => self.save_and_restore(),
        };
        // SAFETY: never NULL.
        let text = unsafe { CStr::from_ptr(mem3d_last_error()) }.to_string_lossy().into_owned();
        assert_ne!(status, mem3d_status::Internal, "{text}");
        match status {
            mem3d_status::Ok => self.good += 1,
            _ => assert_eq!(self.labels(), before, "a call that failed changed something: {text}"),
        }
        self.read(bytes);
    }

    fn interact(&self, bytes: &mut Bytes) -> mem3d_status {
        // SAFETY: zero is valid for every field.
        let mut drawn: mem3d_interaction = unsafe { std::mem::zeroed() };
        drawn.struct_size = if bytes.next() == 255 { 3 } else { size_of::<mem3d_interaction>() as u32 };
        drawn.segment = bytes.number(3);
        drawn.axis = bytes.number(3) as i32;
        drawn.kind = bytes.number(3) as i32;
        drawn.negative = u32::from(bytes.next().is_multiple_of(4));
        drawn.coordinates = bytes.number(1) as i32;
        drawn.radius_mm = if bytes.next() == 255 { f64::NAN } else { 0.0 };
        let axis = drawn.axis.saturating_sub(1).clamp(0, 2) as usize;
        drawn.slice = bytes.number(SHAPE[axis] as u32 - 1);
        let mut points: Vec<[f64; 3]> =
            (0..bytes.next() % 6).map(|_| SHAPE.map(|side| bytes.coordinate(side))).collect();
        points.iter_mut().for_each(|p| p[axis] = f64::from(drawn.slice));
        drawn.points = points.as_ptr().cast::<f64>();
        drawn.n_points = points.len();
        // SAFETY: the session lives, and the points are as many as `n_points`.
        unsafe { mem3d_session_interact(self.session, &drawn, null_mut(), 0) }
    }

    fn set_slice_mask(&self, bytes: &mut Bytes) -> mem3d_status {
        let axis = bytes.number(3) as i32;
        let side = SHAPE[axis.saturating_sub(1).clamp(0, 2) as usize];
        let pattern = bytes.next();
        let mask: Vec<u8> = (0..VOXELS / side).map(|i| u8::from(i % 20 > usize::from(pattern % 20))).collect();
        let (segment, slice) = (bytes.number(3), bytes.number(side as u32 - 1));
        // SAFETY: the session lives, and the mask has the size that is given.
        unsafe { mem3d_session_set_slice_mask(self.session, segment, axis, slice, mask.as_ptr(), mask.len()) }
    }

    fn set_mask(&self, bytes: &mut Bytes) -> mem3d_status {
        let pattern = usize::from(bytes.next());
        let mask: Vec<u8> = (0..VOXELS).map(|i| u8::from(i % (pattern + 2) > pattern)).collect();
        let size = if pattern == 255 { 7 } else { VOXELS };
        // SAFETY: the session lives, and the mask has at least the size that is given.
        unsafe { mem3d_session_set_mask(self.session, bytes.number(3), mask.as_ptr(), size) }
    }

    fn propagate(&self, bytes: &mut Bytes) -> mem3d_status {
        // SAFETY: zero is valid for every field.
        let mut options: mem3d_propagate_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of::<mem3d_propagate_options>() as u32;
        options.segment = bytes.number(3);
        options.axis = bytes.number(3) as i32;
        options.direction = bytes.number(2) as i32;
        options.first_slice = bytes.number(3);
        options.n_slices = bytes.number(3);
        let mut left = bytes.next();
        options.on_slice = Some(on_slice);
        options.user_data = (&raw mut left).cast();
        // SAFETY: the session and `left` live during the call.
        unsafe { mem3d_session_propagate(self.session, &options, null_mut()) }
    }

    fn save_and_restore(&self) -> mem3d_status {
        let path = CString::new(self.file.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: the session and the path live.
        let saved = unsafe { mem3d_session_save(self.session, path.as_ptr()) };
        let before = self.labels();
        // SAFETY: as above.
        let restored = unsafe { mem3d_session_restore(self.session, path.as_ptr()) };
        assert!(saved != mem3d_status::Ok || restored == mem3d_status::Ok && self.labels() == before);
        restored
    }

    fn labels(&self) -> Vec<u16> {
        let mut labels = vec![0; VOXELS];
        // SAFETY: the session lives, and `labels` has the size that is given.
        assert_eq!(unsafe { mem3d_session_read_labels(self.session, labels.as_mut_ptr(), VOXELS) }, mem3d_status::Ok);
        labels
    }

    /// Everything that can be read is in its range.
    fn read(&self, bytes: &mut Bytes) {
        let (mut segments, mut count) = ([0u32; 8], 0);
        // SAFETY: everything lives and has the size that is given.
        unsafe {
            let status = mem3d_session_get_segments(self.session, segments.as_mut_ptr(), segments.len(), &mut count);
            assert_eq!(status, mem3d_status::Ok);
            for &segment in &segments[..count] {
                let (mut mask, mut probability) = (vec![9u8; VOXELS], vec![9f32; VOXELS]);
                let mut quality = vec![9f32; SHAPE[0]];
                let read = [
                    mem3d_session_read_mask(self.session, segment, mask.as_mut_ptr(), VOXELS),
                    mem3d_session_read_probability(self.session, segment, probability.as_mut_ptr(), VOXELS),
                    mem3d_session_read_quality(self.session, segment, 1, quality.as_mut_ptr(), SHAPE[0]),
                ];
                assert_eq!(read, [mem3d_status::Ok; 3]);
                assert!(mask.iter().all(|v| *v <= 1));
                assert!(probability.iter().chain(&quality).all(|v| (0.0..=1.0).contains(v)));
            }
            let mut suggestion: mem3d_suggestion = std::mem::zeroed();
            suggestion.struct_size = size_of::<mem3d_suggestion>() as u32;
            assert_eq!(mem3d_session_suggest_slice(self.session, 0, &mut suggestion), mem3d_status::Ok);
            assert!(suggestion.found == 0 || (0.0..=1.0).contains(&suggestion.quality) && suggestion.gain >= 0.0);
            let (position, mut index) = (SHAPE.map(|side| bytes.coordinate(side)), [0.0f64; 3]);
            let status = mem3d_session_get_index(self.session, position.as_ptr(), index.as_mut_ptr());
            assert_ne!(status, mem3d_status::Internal);
        }
    }
}
