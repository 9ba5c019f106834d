//! Options of a session and of a propagation, with their defaults and units.

use crate::error::{Error, Result};
use crate::volume::SliceAxis;
use serde::{Deserialize, Serialize};

/// Fixed for the life of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Intensities mapped to 0 and 1, in the volume's units. Default: the 0.5th and 99.5th percentile of the volume.
    pub window: Option<(f64, f64)>,
    /// NaN and infinite voxels: refused when false (default), else taken as the window's lower end.
    pub replace_non_finite: bool,
    /// Every how many slices one stays in memory (the paper's N); 0 keeps none. Default 5.
    pub memorize_every: usize,
    /// Most slices kept in memory besides the annotated ones and the previous slice. Default 4.
    pub max_memory_slices: usize,
    /// The slice just segmented is in memory. Default true; false is for experiments.
    pub memorize_previous: bool,
    /// Every annotated slice is in memory; false: of them, only the one where a chain starts. Default true; false is for
    /// experiments.
    pub memorize_annotated: bool,
    /// A propagation ends after this many slices without target in a row. Default 3; 0 never ends early.
    pub stop_after_empty: usize,
    /// A slice whose largest probability is below this holds no target. Default 0.5.
    pub presence_probability: f64,
    /// A slice whose mask is smaller than this fraction of its neighbour's holds no target. Default 0.02.
    pub presence_area_fraction: f64,
    /// A slice that the quality head says holds the target with a lower probability than this counts as empty, unless an annotated
    /// slice with the target lies ahead: what the mask was carried to is something else. Default 0.8; 0 for no such test.
    pub least_presence: f64,
    /// Masks with fewer pixels than this are taken as empty. Default 4.
    pub min_area: usize,
    /// Work on the whole slice, as in the paper, instead of a region of interest. Default false.
    pub whole_slice: bool,
    /// Side of the region of interest over the side of the target. Default 1.6.
    pub roi_scale: f64,
    /// What is carried from annotated slices is put right in three dimensions: held against the image, the slices on both sides and
    /// what the annotated masks alone would leave there. Default true; false gives the networks' masks as they are.
    #[serde(default = "yes")]
    pub regularise: bool,
    /// Steps that can be undone. Default 50.
    pub undo_depth: usize,
    /// Most memory for features kept per slice, bytes. Default 400 MB.
    pub feature_cache_bytes: usize,
    /// Memory on a CUDA device: given back to the device when the session is freed (false, default), or left in libtorch's cache,
    /// from which the next session of this process takes it at once. Not saved with a session.
    #[serde(skip)]
    pub keep_cuda_cache: bool,
    /// Compute one slice at a time, keep features in the networks' own precision and share nothing between segments. Default
    /// false; true is slower, for comparisons. Not saved with a session.
    #[serde(skip)]
    pub plain: bool,
}

fn yes() -> bool {
    true
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            window: None,
            replace_non_finite: false,
            memorize_every: 5,
            max_memory_slices: 4,
            memorize_previous: true,
            memorize_annotated: true,
            stop_after_empty: 3,
            presence_probability: 0.5,
            presence_area_fraction: 0.02,
            least_presence: 0.8,
            min_area: 4,
            whole_slice: false,
            roi_scale: 1.6,
            regularise: true,
            undo_depth: 50,
            feature_cache_bytes: 400_000_000,
            keep_cuda_cache: false,
            plain: false,
        }
    }
}

impl SessionOptions {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], naming the option and its range.
    pub fn check(&self) -> Result<()> {
        let fraction = |name: &str, v: f64| match (0.0..=1.0).contains(&v) {
            true => Ok(()),
            false => Err(Error::argument(format!("{name} is {v}; use 0 to 1"))),
        };
        fraction("presence_probability", self.presence_probability)?;
        fraction("presence_area_fraction", self.presence_area_fraction)?;
        fraction("least_presence", self.least_presence)?;
        if !(1.0..=10.0).contains(&self.roi_scale) {
            return Err(Error::argument(format!("roi_scale is {}; use 1 to 10", self.roi_scale)));
        }
        if self.max_memory_slices > 1000 {
            return Err(Error::argument(format!("max_memory_slices is {}; use 0 to 1000", self.max_memory_slices)));
        }
        if self.undo_depth > 10_000 {
            return Err(Error::argument(format!("undo_depth is {}; use 0 to 10000", self.undo_depth)));
        }
        Ok(())
    }
}

/// Which sides of the annotated slices are segmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Towards higher and lower slice numbers.
    #[default]
    Both,
    /// Towards higher slice numbers only.
    Up,
    /// Towards lower slice numbers only.
    Down,
}

/// What a propagation does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PropagateOptions {
    /// The segment to carry through the volume; `None`: every segment with an annotated slice along `axis`.
    pub segment: Option<u32>,
    /// Axis to propagate along; `None`: the axis last drawn on.
    pub axis: Option<SliceAxis>,
    /// Both sides (default), up or down.
    pub direction: Direction,
    /// First and last slice (inclusive) that may be changed; `None`: the whole volume.
    pub range: Option<(usize, usize)>,
}
