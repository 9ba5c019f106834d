//! A chain: one walk away from an annotated slice, slice by slice.

use super::memory_bank::MemoryBank;
use crate::slice::plane::Plane;
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::resample;
use crate::slice::shape::{self, Position, Shape};
use std::collections::BTreeMap;
use tch::Tensor;

/// What a chain says of one slice.
pub(super) struct Estimate {
    pub plane: Plane,
    pub quality: f32,
}

/// One walk away from an annotated slice.
pub(super) struct Chain {
    pub interval: usize,
    pub segment: u32,
    pub start: usize,
    pub upwards: bool,
    /// Next slice to segment.
    pub next: usize,
    /// Slices left to segment.
    pub left: usize,
    pub bank: MemoryBank,
    /// Regions through which slices were memorized.
    pub memorized: BTreeMap<usize, Roi>,
    pub roi: Roi,
    /// The annotated slice and its mask, through the region of interest there.
    pub annotated: [Tensor; 2],
    /// Area of that mask, pixels.
    pub annotated_area: usize,
    /// The last slice with the target and its mask; most often the one before the next.
    pub before: (usize, Plane),
    /// The annotated slice where the segment is largest, and its area there, pixels: a chain may start where the target has tapered
    /// off already.
    pub largest: (usize, usize),
    /// The annotated slice ahead and its mask, if there is one.
    pub after: Option<(usize, Plane)>,
    /// That mask's shape as seen through the region it was last asked for.
    pub after_shape: Option<(Roi, Shape)>,
    /// Box of the last mask that was not empty.
    pub target: PixelBox,
    /// Area of the last mask that was not empty, pixels.
    pub area: usize,
    pub empty_in_a_row: usize,
    /// Slices that were called empty for their quality, since the last one with the target.
    pub doubtful: Vec<(usize, Estimate)>,
    pub estimates: BTreeMap<usize, Estimate>,
}

impl Chain {
    pub fn leads_to_target(&self) -> bool {
        self.after.as_ref().is_some_and(|(_, mask)| !mask.is_empty())
    }

    /// The mask of the slice before and the shape that is expected of the next slice, through its region, on the CPU.
    ///
    /// # Shapes
    /// Both `[1, 1, size, size]`, f32; 0..1 and -1..1.
    pub fn previous_mask_and_shape(&mut self, size: i64) -> (Tensor, Tensor) {
        let side = size as usize;
        let resampled = |plane: &Plane| {
            let resampled_plane = resample(&[(plane, self.roi)], size);
            (Vec::<f32>::try_from(resampled_plane.view([-1])).expect("a flat f32 tensor"), resampled_plane)
        };
        if let Some((_, plane)) = &self.after
            && self.after_shape.as_ref().is_none_or(|(roi, _)| *roi != self.roi)
        {
            self.after_shape = Some((self.roi, Shape::new(&resampled(plane).0, side)));
        }
        let position =
            |ahead: usize| Position { walked: self.next.abs_diff(self.start), left: ahead.abs_diff(self.next) };
        let after = self.after.as_ref().zip(self.after_shape.as_ref());
        let (pixels, mask) = resampled(&self.before.1);
        let shape = shape::towards(&pixels, after.map(|((k, _), (_, shape))| (shape, position(*k))), side);
        (mask, Tensor::from_slice(&shape).view([1, 1, size, size]))
    }
}

/// New contents of one segment's slices.
pub(crate) struct Outcome {
    pub segment: u32,
    /// Slice, probabilities, quality.
    pub slices: Vec<(usize, Plane, f32)>,
    pub rois: BTreeMap<usize, Roi>,
    /// Annotated slices and the sides (up, down) to which they were carried.
    pub carried: Vec<(usize, bool, bool)>,
}

/// What a chain leaves behind.
pub(crate) struct Carried {
    /// Number of the interval that it led through.
    pub interval: usize,
    /// Annotated slice that it left.
    pub start: usize,
    pub upwards: bool,
    pub estimates: BTreeMap<usize, Estimate>,
}
