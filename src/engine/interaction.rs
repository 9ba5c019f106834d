//! What the user draws, and the guidance maps made of it (paper §2.1).

use crate::nn::InteractionKind;
use crate::volume::{SliceAxis, SliceMask};
use serde::{Deserialize, Serialize};

/// One thing drawn on one slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Segment it is drawn for, 1 to 65535.
    pub segment: u32,
    /// Axis the slice is cut along.
    pub axis: SliceAxis,
    /// Slice number along `axis`.
    pub slice: usize,
    /// What it is.
    pub kind: InteractionKind,
    /// Inside the target (true) or outside (false).
    pub positive: bool,
    /// Where.
    pub stroke: Stroke,
}

/// Where an interaction was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stroke {
    /// Continuous voxel indices `[depth, height, width]`, all on the slice. A scribble is the line through them,
    /// a box has two opposite corners, extreme points are four or more, clicks are one or more.
    Points {
        /// The points.
        points: Vec<[f64; 3]>,
        /// Half the width of a scribble, mm; 0 for the default of one and a half pixels.
        radius_mm: f64,
    },
    /// Pixels covered by the brush; scribbles only.
    Raster(SliceMask),
}
