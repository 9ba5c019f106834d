//! The slices between annotated slices, and which of them a propagation changes.

use super::outcome::Side;
use crate::engine::session::options::{Direction, PropagateOptions};
use crate::engine::session::state::{AxisState, SegmentState};
use crate::volume::SliceAxis;

/// Slices over which a correction of a mask given by the host fades into it. Chosen.
pub(super) const START_MASK_REACH: usize = 10;

/// Slices between two neighbouring annotated slices, or between one and the end of the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub segment: u32,
    /// Annotated slice below, if any.
    pub lower: Option<usize>,
    /// Annotated slice above, if any.
    pub upper: Option<usize>,
    /// First slice to change.
    pub first: usize,
    /// One past the last slice to change.
    pub end: usize,
}

impl Interval {
    /// The sides of annotated slices from which chains lead into the interval, if these slices hold the target.
    pub fn starts(&self, direction: Direction) -> impl Iterator<Item = Side> + use<> {
        let up = self.lower.filter(|_| direction != Direction::Down).map(|slice| Side { slice, upwards: true });
        let down = self.upper.filter(|_| direction != Direction::Up).map(|slice| Side { slice, upwards: false });
        up.into_iter().chain(down)
    }

    /// Whether it leaves out no slice within `reach` of `start`, as a range of slices may. `count`: slices along the
    /// axis.
    pub fn covers(&self, start: Side, reach: usize, count: usize) -> bool {
        let (low, high) = (self.lower.map_or(0, |k| k + 1), self.upper.unwrap_or(count));
        match start.upwards {
            true => self.first == low && self.end >= high.min(start.slice.saturating_add(reach).saturating_add(1)),
            false => self.end == high && self.first <= low.max(start.slice.saturating_sub(reach)),
        }
    }

    /// Number of slices from `start` to the far end of the interval.
    pub fn length_from(&self, start: Side) -> usize {
        if start.upwards { self.end - 1 - start.slice } else { start.slice - self.first }
    }

    /// The annotated slice at the far end of a chain, if any.
    pub fn ahead_of(&self, start: Side) -> Option<usize> {
        if start.upwards { self.upper } else { self.lower }
    }
}

/// Whether an annotated slice was not yet propagated to a side of it.
pub(super) fn is_new(state: &AxisState, side: Side) -> bool {
    let slice = &state.slices[&side.slice];
    if side.upwards { slice.dirty_up } else { slice.dirty_down }
}

/// The intervals of a segment that a propagation changes: those beside an annotated slice from which it was not yet
/// propagated to that side, or all if there is none. A mask given by the host is faded into once: without a new slice,
/// there are none. `count`: slices along the axis.
pub(super) fn intervals(
    segment: u32,
    state: &SegmentState,
    axis: SliceAxis,
    options: &PropagateOptions,
    count: usize,
) -> Vec<Interval> {
    let annotated = state.axis(axis).annotated();
    let (from, to) = options.range.unwrap_or((0, count - 1));
    let lower = std::iter::once(None).chain(annotated.iter().copied().map(Some));
    let upper = annotated.iter().copied().map(Some).chain(std::iter::once(None));
    let all: Vec<Interval> = lower
        .zip(upper)
        .map(|(lower, upper)| Interval {
            segment,
            lower,
            upper,
            first: lower.map_or(0, |k| k + 1).max(from),
            end: upper.unwrap_or(count).min(to + 1),
        })
        .filter(|i| i.first < i.end && i.starts(options.direction).next().is_some())
        .collect();
    let is_new = |i: &Interval| i.starts(options.direction).any(|start| is_new(state.axis(axis), start));
    if state.has_start_mask || all.iter().any(is_new) { all.into_iter().filter(is_new).collect() } else { all }
}
