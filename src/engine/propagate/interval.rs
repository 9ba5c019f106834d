//! The slices between annotated ones, and which of them a propagation changes.

use crate::engine::session::options::{Direction, PropagateOptions};
use crate::engine::session::state::SegmentState;
use crate::volume::SliceAxis;

/// A correction of a mask given by the host fades into it over this many slices.
pub(super) const START_MASK_REACH: usize = 10;

/// Slices between two neighbouring annotated ones, or between one and the end of the volume.
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

/// The intervals of a segment that this propagation changes: those beside an annotated slice that was not carried there
/// yet, or all when there is none.
pub(super) fn intervals(
    segment: u32,
    state: &SegmentState,
    axis: SliceAxis,
    options: &PropagateOptions,
    count: usize,
) -> Vec<Interval> {
    let slices = &state.axis(axis).slices;
    let annotated = state.axis(axis).annotated();
    let (from, to) = options.range.unwrap_or((0, count - 1));
    let bounds = std::iter::once(None).chain(annotated.iter().copied().map(Some));
    let ends = annotated.iter().copied().map(Some).chain(std::iter::once(None));
    let all: Vec<Interval> = bounds
        .zip(ends)
        .map(|(lower, upper)| Interval {
            segment,
            lower,
            upper,
            first: lower.map_or(0, |k| k + 1).max(from),
            end: upper.unwrap_or(count).min(to + 1),
        })
        .filter(|i| i.first < i.end)
        .filter(|i| {
            let reached_up = i.lower.is_some() && options.direction != Direction::Down;
            let reached_down = i.upper.is_some() && options.direction != Direction::Up;
            reached_up || reached_down
        })
        .collect();
    let is_new = |i: &Interval| {
        let up = options.direction != Direction::Down && i.lower.is_some_and(|k| slices[&k].dirty_up);
        let down = options.direction != Direction::Up && i.upper.is_some_and(|k| slices[&k].dirty_down);
        up || down
    };
    if all.iter().any(is_new) { all.into_iter().filter(is_new).collect() } else { all }
}
