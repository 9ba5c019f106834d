//! Options of a session and of a propagation, with their defaults and units.

use crate::error::{Error, Result};
use crate::volume::SliceAxis;
use serde::{Deserialize, Serialize};

/// Options of a session, fixed for its life. The order of the fields is that of saved sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Intensities mapped to 0 and 1, in the volume's units. Default: the 0.5th and 99.5th percentile of the volume,
    /// for CT limited to -250..450 HU.
    pub window: Option<(f64, f64)>,
    /// Whether NaN and infinite voxels are replaced by the window's lower end; if not, such volumes are refused.
    /// Default false.
    pub replace_non_finite: bool,
    /// One of so many slices of a chain stays in memory (the paper's N); 0: none. Default 5, as in the paper.
    pub memorize_every: usize,
    /// Most slices that stay in memory besides the annotated ones and the previous slice. Default 4 (measured:
    /// docs/experiments.md, "Memory").
    pub max_memory_slices: usize,
    /// Whether the previous slice is in memory. Default true; false is for experiments.
    pub memorize_previous: bool,
    /// Whether all annotated slices are in memory, or only the one from which a chain starts. Default true; false is
    /// for experiments.
    pub memorize_annotated: bool,
    /// A chain ends after so many empty slices; 0: it never ends early. Default 3 (chosen).
    pub stop_after_empty: usize,
    /// A slice whose largest probability is lower is empty. Default 0.5 (chosen).
    pub presence_probability: f64,
    /// A slice whose mask is smaller than this fraction of the chain's last mask is empty. Default 0.02 (chosen).
    pub presence_area_fraction: f64,
    /// A slice counts as empty if the quality head estimates a lower probability that it holds the target, unless an
    /// annotated slice with the target lies ahead; 0: no such test. Default 0.8 (measured: docs/experiments.md, "End of
    /// the target").
    pub least_presence: f64,
    /// Masks with fewer pixels are removed. Default 4 (chosen).
    pub min_area: usize,
    /// Whether networks receive the whole slice, as in the paper, instead of a region of interest. Default false.
    pub whole_slice: bool,
    /// Side of the region of interest as a multiple of the side of the target. Default 1.6 (chosen).
    pub roi_scale: f64,
    /// Whether propagated masks are refined in three dimensions, by a random walk that combines network output, image
    /// edges, neighbouring slices and interpolation between annotated masks. Default true; false gives the networks'
    /// masks.
    pub refine: bool,
    /// Steps that can be undone. Default 50 (chosen).
    pub undo_depth: usize,
    /// Most memory for cached features of slices, bytes. Default 400 MB (chosen).
    pub feature_cache_bytes: usize,
    /// Whether memory on a CUDA device stays in libtorch's cache when the session is freed, where the next session of
    /// this process finds it, or is returned to the device. Default false. Not saved with a session.
    #[serde(skip)]
    pub keep_cuda_cache: bool,
    /// Whether slices are computed one at a time, with cached features in the networks' own precision and nothing
    /// shared between segments: slower, for comparisons. Default false. Not saved with a session.
    #[serde(skip)]
    pub plain: bool,
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
            refine: true,
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

/// Options of one propagation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PropagateOptions {
    /// The segment to propagate; `None`: every segment with an annotated slice along `axis`.
    pub segment: Option<u32>,
    /// Axis to propagate along; `None`: the axis last drawn on.
    pub axis: Option<SliceAxis>,
    /// Both sides (default), up or down.
    pub direction: Direction,
    /// First and last slice (inclusive) that may be changed; `None`: the whole volume.
    pub range: Option<(usize, usize)>,
}
