//! Puts the chains of each interval together: blends their probabilities, then refines them in three dimensions.

use super::chain::{Chain, ChainEstimates};
use super::interval::{Interval, START_MASK_REACH};
use super::outcome::{Estimate, Outcome, Side};
use super::round::Round;
use crate::engine::compute::Context;
use crate::engine::refine::refine;
use crate::engine::session::options::Direction;
use crate::error::Result;
use crate::slice::plane::{INSIDE, Plane};
use crate::slice::region::PixelBox;
use crate::volume::SliceAxis;

/// Quality by which a chain is weighted at least, so that of two chains that have ended the nearer one has more weight.
/// Chosen.
const LEAST_QUALITY: f32 = 0.05;
/// Exponent of nearness and quality in the weights of two chains. Chosen.
const SHARPNESS: i32 = 2;

impl Round<'_> {
    /// The new contents of all segments' slices, from the chains' estimates.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when a stop is requested.
    pub(super) fn blend(mut self, context: &mut Context, chains: Vec<Chain>) -> Result<Vec<Outcome>> {
        let chains: Vec<ChainEstimates> = chains.into_iter().map(Chain::finish).collect();
        let slices = self.intervals.iter().map(|i| i.end - i.first).sum();
        let estimates = context.on_cpu_threads(slices, (0..self.intervals.len()).collect(), |context, number| {
            let own: Vec<&ChainEstimates> = chains.iter().filter(|c| c.interval == number).collect();
            self.interval_estimates(context, &self.intervals[number], &own)
        });
        let estimates = estimates.into_iter().collect::<Result<Vec<_>>>()?;
        let mut rois = std::mem::take(&mut self.rois.by_segment);
        let mut outcomes: Vec<Outcome> = Vec::new();
        for &segment in self.segments {
            let rois = rois.remove(&segment).unwrap_or_default();
            outcomes.push(Outcome { segment, slices: Vec::new(), rois, finished: Vec::new() });
        }
        for (interval, estimates) in self.intervals.iter().zip(estimates) {
            let outcome = outcomes.iter_mut().find(|o| o.segment == interval.segment).expect("one of the segments");
            if !self.awaits_other_side(interval) {
                let (count, reach) = (context.volume.slice_count(self.axis), self.reach(interval.segment));
                let starts = interval.starts(self.request.direction);
                outcome.finished.extend(starts.filter(|&start| interval.covers(start, reach, count)));
            }
            outcome.slices.extend(estimates);
        }
        Ok(outcomes)
    }

    /// The new estimates of an interval, from the chains that lead through it.
    fn interval_estimates(
        &self,
        context: &Context,
        interval: &Interval,
        chains: &[&ChainEstimates],
    ) -> Result<Vec<Estimate>> {
        let mut slices = self.blend_interval(interval, chains);
        if !chains.is_empty() {
            self.refine_interval(context, interval, &mut slices)?;
        }
        self.keep_annotated(interval.segment, &mut slices);
        Ok(slices)
    }

    /// The weighted means of the chains' estimates. Slices that keep what they have are left out.
    fn blend_interval(&self, interval: &Interval, chains: &[&ChainEstimates]) -> Vec<Estimate> {
        let slices = interval.first..interval.end;
        let has_start_mask = self.segment(interval.segment).has_start_mask;
        let unknown = || self.awaits_other_side(interval) || self.is_annotated_only_across(interval.segment);
        match chains {
            [] if has_start_mask || unknown() => Vec::new(),
            // The target ends before the interval.
            [] => slices.map(|slice| Estimate { slice, plane: Plane::default(), quality: 1.0 }).collect(),
            _ if has_start_mask => {
                slices.filter_map(|slice| self.fade_into_start_mask(interval, chains, slice)).collect()
            }
            _ => slices.map(|slice| blend_slice(interval, chains, slice, None)).collect(),
        }
    }

    /// Whether no chain leads into the interval because its direction leaves out the neighbour that holds the target.
    fn awaits_other_side(&self, interval: &Interval) -> bool {
        let holds_target = |start: Side| !self.plane(interval.segment, start.slice).is_empty();
        !interval.starts(self.request.direction).any(holds_target) && interval.starts(Direction::Both).any(holds_target)
    }

    /// Whether slices of other axes alone show where the target is, so that empty ones along this axis end nothing.
    fn is_annotated_only_across(&self, segment: u32) -> bool {
        let state = self.segment(segment);
        let holds_target = |axis: SliceAxis| {
            let annotated = state.axis(axis).annotated();
            annotated.into_iter().any(|k| state.field.slice(axis, k).iter().any(|&v| v >= INSIDE))
        };
        !holds_target(self.axis) && SliceAxis::ALL.into_iter().any(holds_target)
    }

    /// The estimate of a slice of a segment that began as a mask from the host: from the chains near their start, less
    /// and less of them up to [`START_MASK_REACH`], none beyond.
    fn fade_into_start_mask(&self, interval: &Interval, chains: &[&ChainEstimates], slice: usize) -> Option<Estimate> {
        let nearest = chains.iter().map(|c| slice.abs_diff(c.start.slice)).min()?;
        if nearest > START_MASK_REACH {
            return None;
        }
        let weight = 1.0 - nearest as f32 / (START_MASK_REACH + 1) as f32;
        Some(blend_slice(interval, chains, slice, Some((&self.plane(interval.segment, slice), weight))))
    }

    /// Refines an interval in three dimensions, if the options want it and the segment did not begin as a mask from the
    /// host.
    fn refine_interval(&self, context: &Context, interval: &Interval, slices: &mut [Estimate]) -> Result<()> {
        if !self.options.refine || self.segment(interval.segment).has_start_mask {
            return Ok(());
        }
        let end = |k| (k, self.plane(interval.segment, k));
        let source = context.slices(self.axis, self.window(interval.segment));
        refine(context, source, [interval.lower.map(end), interval.upper.map(end)], slices, self.cancel)
    }

    /// Restores the voxels that lie on annotated slices of other axes.
    fn keep_annotated(&self, segment: u32, slices: &mut [Estimate]) {
        let state = self.segment(segment);
        if !state.crosses(self.axis, true) {
            return;
        }
        let mut dense = vec![0; self.grid.rows * self.grid.cols];
        for estimate in slices {
            estimate.plane.write_dense(&mut dense, self.grid.cols);
            state.keep_crossing(self.axis, estimate.slice, true, &mut dense);
            estimate.plane = Plane::from_dense(&dense, self.grid.cols);
        }
    }
}

/// The weighted mean of the estimates of a slice by one or two chains. `start_mask`: the slice's mask before, with the
/// weight of the chains against it.
fn blend_slice(
    interval: &Interval,
    chains: &[&ChainEstimates],
    slice: usize,
    start_mask: Option<(&Plane, f32)>,
) -> Estimate {
    let weights = match (interval.lower, interval.upper, chains) {
        (Some(lower), Some(upper), [one, other]) => {
            let nearness = |c: &ChainEstimates| 1.0 - slice.abs_diff(c.start.slice) as f32 / (upper - lower) as f32;
            let own = |c: &ChainEstimates| (nearness(c), c.quality(slice).unwrap_or(0.0));
            blend_weights([own(one), own(other)]).to_vec()
        }
        _ => vec![1.0; chains.len()],
    };
    let planes = chains.iter().zip(&weights).filter_map(|(c, &weight)| Some((c.plane(slice)?, weight)));
    let plane = mean(&planes.collect::<Vec<_>>(), start_mask);
    let quality = |c: &ChainEstimates| {
        let own = c.quality(slice).unwrap_or_else(|| c.quality_beyond(slice));
        // A chain that finds the target where the blended slice is empty, or the other way round, doubts that slice.
        if c.plane(slice).is_some_and(Plane::holds_mask) == plane.holds_mask() { own } else { 1.0 - own }
    };
    let quality: f32 = chains.iter().zip(&weights).map(|(c, weight)| weight * quality(c)).sum();
    Estimate { slice, plane, quality: quality.clamp(0.0, 1.0) }
}

/// The weighted sum of planes; with a start mask, the mean of that sum, which has the given weight, and the mask.
fn mean(planes: &[(&Plane, f32)], start_mask: Option<(&Plane, f32)>) -> Plane {
    let all = planes.iter().map(|(plane, _)| *plane).chain(start_mask.map(|(mask, _)| mask));
    let Some(place) = all.filter_map(Plane::extent).reduce(PixelBox::union) else { return Plane::default() };
    let mut probability = vec![0f32; (place.bottom - place.top) * (place.right - place.left)];
    planes.iter().for_each(|(plane, weight)| plane.add_to(&mut probability, place, *weight));
    if let Some((mask, weight)) = start_mask {
        probability.iter_mut().for_each(|p| *p *= weight);
        mask.add_to(&mut probability, place, 1.0 - weight);
    }
    let bytes: Vec<u8> = probability.iter().map(|p| (p + 0.5) as u8).collect();
    Plane::from_part(&bytes, place)
}

/// Weights of two estimates of one slice, 1 in all: nearness (0..1) times quality, both squared.
fn blend_weights(estimates: [(f32, f32); 2]) -> [f32; 2] {
    let weights = estimates.map(|(nearness, quality)| (nearness * quality.max(LEAST_QUALITY)).powi(SHARPNESS));
    weights.map(|w| w / (weights[0] + weights[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_and_the_better_estimate_has_more_weight() {
        assert_eq!(blend_weights([(0.5, 0.8), (0.5, 0.8)]), [0.5, 0.5]);
        // (3/4 * 1)² and (1/4 * 1)²: nine to one. Twice the quality: four to one.
        assert!((blend_weights([(0.75, 1.0), (0.25, 1.0)])[0] - 0.9).abs() < 1e-6);
        assert!((blend_weights([(0.5, 0.4), (0.5, 0.8)])[1] - 0.8).abs() < 1e-6);
        // Both of no quality: the nearer one.
        assert!((blend_weights([(0.75, 0.0), (0.25, 0.0)])[0] - 0.9).abs() < 1e-6);
    }

    #[test]
    fn chains_that_contradict_a_blended_slice_doubt_it() {
        let interval = Interval { segment: 1, lower: Some(0), upper: Some(2), first: 1, end: 2 };
        let chain = |upwards: bool, value: u8, quality: f32| ChainEstimates {
            interval: 0,
            start: Side { slice: if upwards { 0 } else { 2 }, upwards },
            estimates: [(1, Estimate { slice: 1, plane: Plane::from_dense(&[value, 0], 2), quality })].into(),
        };
        let blended = |one: &ChainEstimates, other: &ChainEstimates| blend_slice(&interval, &[one, other], 1, None);
        // As near and as sure: 0.5 of each.
        let (full, half, empty) = (chain(true, 255, 0.8), chain(false, 253, 0.8), chain(false, 0, 0.8));
        assert!((blended(&full, &half).quality - 0.8).abs() < 1e-6);
        // 127.5 rounds to a mask: 0.8 and 1 - 0.8.
        assert!((blended(&full, &empty).quality - 0.5).abs() < 1e-6);
        // 0.64 and 0.81 of 1.45, the second for the mean, which is no mask.
        let surer = chain(false, 0, 0.9);
        let (share, slice) = (0.64 / 1.45, blended(&full, &surer));
        assert!(!slice.plane.holds_mask());
        assert!((slice.quality - (share * (1.0 - 0.8) + (1.0 - share) * 0.9)).abs() < 1e-6);
    }

    #[test]
    fn a_start_mask_keeps_its_share() {
        let plane = |value: u8| Plane::from_dense(&[value, 0], 2);
        // Half of each chain, then three quarters of the mean of 100 and 200, and a quarter of 250: 175.
        let chains = [(&plane(100), 0.5), (&plane(200), 0.5)];
        assert_eq!(mean(&chains, None), plane(150));
        assert_eq!(mean(&chains, Some((&plane(250), 0.75))), plane(175));
        assert!(mean(&[], None).is_empty());
    }
}
