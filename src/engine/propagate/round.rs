//! What one propagation works on.

use super::interval::{Interval, intervals};
use crate::engine::compute::Context;
use crate::engine::compute::roi_choice::Rois;
use crate::engine::compute::target_window::{annotated_values, target_window};
use crate::engine::session::options::{PropagateOptions, SessionOptions};
use crate::engine::session::progress::CancelToken;
use crate::engine::session::state::{SegmentState, State};
use crate::error::{Error, Result};
use crate::slice::grid::SliceGrid;
use crate::volume::SliceAxis;
use std::collections::BTreeMap;

/// The propagation of one round. Nothing changes while it runs but the regions of interest that it chooses.
pub(crate) struct Round<'a> {
    /// The session's state before the propagation.
    pub(super) state: &'a State,
    /// Segments to propagate; each has an annotated slice along the axis.
    pub(super) segments: &'a [u32],
    pub(super) axis: SliceAxis,
    pub(super) grid: SliceGrid,
    /// Options of this propagation.
    pub(super) request: &'a PropagateOptions,
    /// Options of the session.
    pub(super) options: &'a SessionOptions,
    pub(super) cancel: &'a CancelToken,
    /// The intervals that change, segment by segment.
    pub(super) intervals: Vec<Interval>,
    pub(super) rois: Rois,
    /// Intensity windows of the segments.
    windows: BTreeMap<u32, (f64, f64)>,
}

impl<'a> Round<'a> {
    /// A propagation of `segments` along `axis`.
    pub fn new(
        context: &Context<'a>,
        state: &'a State,
        segments: &'a [u32],
        axis: SliceAxis,
        request: &'a PropagateOptions,
        cancel: &'a CancelToken,
    ) -> Round<'a> {
        let count = context.volume.slice_count(axis);
        let window = |&id: &u32| {
            let values = || annotated_values(context.volume, &state.segments[&id]);
            (id, target_window(context.window, context.options, values))
        };
        let of_segment = |&id: &u32| intervals(id, &state.segments[&id], axis, request, count);
        Round {
            state,
            segments,
            axis,
            grid: context.grid(axis),
            request,
            options: context.options,
            cancel,
            intervals: segments.iter().flat_map(of_segment).collect(),
            rois: Rois::new(context, state, segments, axis),
            windows: segments.iter().map(window).collect(),
        }
    }

    /// The state of a segment before the propagation.
    pub(super) fn segment(&self, segment: u32) -> &'a SegmentState {
        &self.state.segments[&segment]
    }

    /// The intensity window of a segment.
    pub(super) fn window(&self, segment: u32) -> (f64, f64) {
        self.windows[&segment]
    }

    /// # Errors
    /// [`Error::Cancelled`] when a stop is requested.
    pub(super) fn check_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
