//! Results of a propagation: estimates of slices, and what changes in a segment.

use crate::slice::plane::Plane;
use crate::slice::region::Roi;
use std::collections::BTreeMap;

/// Probabilities and quality of one slice.
#[derive(Debug)]
pub(crate) struct Estimate {
    /// Slice number.
    pub slice: usize,
    /// Probabilities.
    pub plane: Plane,
    /// Estimated IoU of the mask, 0..1; of an empty slice, the probability that it is empty.
    pub quality: f32,
}

/// New contents of one segment's slices.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub segment: u32,
    /// New probabilities and qualities; slices that keep theirs are left out.
    pub slices: Vec<Estimate>,
    /// Regions of interest of all slices with one, also of earlier rounds.
    pub rois: BTreeMap<usize, Roi>,
    /// Sides of annotated slices to which propagation is complete.
    pub finished: Vec<Side>,
}

/// One side of an annotated slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Side {
    /// Number of the annotated slice.
    pub slice: usize,
    /// Towards higher slice numbers.
    pub upwards: bool,
}
