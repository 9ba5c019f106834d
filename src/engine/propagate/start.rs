//! The start of a propagation: memorizes the annotated slices and starts the chains.

use super::annotated::{AnnotatedSlice, MaskedSlice, memorize};
use super::chain::Chain;
use super::interval::{START_MASK_REACH, is_new};
use super::round::Round;
use crate::engine::compute::Context;
use crate::error::Result;
use crate::slice::plane::Plane;

impl Round<'_> {
    /// Memorizes the annotated slices and starts a chain from each side of them that leads into an interval.
    ///
    /// # Errors
    /// As [`crate::torch::run`].
    pub(super) fn start_chains(&mut self, context: &mut Context) -> Result<Vec<Chain>> {
        let mut chains = Vec::new();
        let mut segments: Vec<u32> = self.intervals.iter().map(|i| i.segment).collect();
        segments.dedup();
        for segment in segments {
            let mut annotated = self.annotated(segment);
            memorize(context, self.axis, self.window(segment), &mut annotated)?;
            for (number, interval) in self.intervals.iter().enumerate().filter(|(_, i)| i.segment == segment) {
                for start in interval.starts(self.request.direction) {
                    let state = self.segment(segment);
                    let fades_again = state.has_start_mask && !is_new(state.axis(self.axis), start);
                    if fades_again || !annotated.iter().any(|a| a.slice() == start.slice) {
                        continue;
                    }
                    let ahead = interval.ahead_of(start).map(|k| (k, self.plane(segment, k)));
                    let chain = Chain::new(number, segment, start, &annotated, self.options);
                    chains.push(chain.towards(interval.length_from(start).min(self.reach(segment)), ahead));
                }
            }
        }
        Ok(chains)
    }

    /// Slices that a chain of a segment goes at most.
    pub(super) fn reach(&self, segment: u32) -> usize {
        if self.segment(segment).has_start_mask { START_MASK_REACH } else { usize::MAX }
    }

    /// The annotated slices of a segment that hold the target. Those without it are not memorized: in memory they would
    /// make the slices around them empty, too (docs/experiments.md, "Memory").
    fn annotated(&mut self, segment: u32) -> Vec<AnnotatedSlice> {
        let slices = self.segment(segment).axis(self.axis).annotated();
        let masks = slices.into_iter().filter_map(|k| MaskedSlice::new(k, self.plane(segment, k)));
        let masks: Vec<MaskedSlice> = masks.collect();
        let roi = |mask: &MaskedSlice| self.rois.choose(segment, mask.slice, mask.extent, None);
        let rois: Vec<_> = masks.iter().map(roi).collect();
        masks.into_iter().zip(rois).map(|(mask, roi)| AnnotatedSlice::new(mask, roi)).collect()
    }

    /// Probabilities of a slice before the propagation.
    pub(super) fn plane(&self, segment: u32, slice: usize) -> Plane {
        Plane::from_dense(&self.segment(segment).field.slice(self.axis, slice), self.grid.cols)
    }
}
