//! The state of a session, which undo and redo restore. Cheap to copy: planes are shared.

use crate::engine::interact::interaction::Interaction;
use crate::engine::propagate::outcome::Outcome;
use crate::slice::field::Field;
use crate::slice::plane::{INSIDE, Plane};
use crate::slice::region::Roi;
use crate::volume::SliceAxis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything of a session that undo and redo step through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State<P = Arc<Plane>> {
    pub segments: BTreeMap<u32, SegmentState<P>>,
    /// Axis last drawn on.
    pub last_axis: Option<SliceAxis>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SegmentState<P = Arc<Plane>> {
    pub field: Field<P>,
    pub axes: [AxisState; 3],
    /// Whether the field began as a mask given by the host: corrections fade into it with distance.
    pub has_start_mask: bool,
}

/// State of a segment's slices along one axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AxisState {
    /// Slices drawn on.
    pub slices: BTreeMap<usize, SliceState>,
    /// Region of interest of each slice that was segmented; the next round reuses those that still serve.
    pub rois: BTreeMap<usize, Roi>,
    /// Estimated quality of each slice; empty before the first propagation along this axis, and after one along
    /// another.
    pub quality: Vec<f32>,
}

/// One slice drawn on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SliceState {
    /// Accepted: no propagation changes it.
    pub annotated: bool,
    /// Interactions since the slice was last accepted.
    pub interactions: Vec<Interaction>,
    /// Not yet propagated towards higher slice numbers.
    pub dirty_up: bool,
    /// Not yet propagated towards lower slice numbers.
    pub dirty_down: bool,
}

impl Default for State {
    fn default() -> Self {
        State { segments: BTreeMap::new(), last_axis: None }
    }
}

impl State {
    /// The segment, created empty if it does not exist.
    pub fn segment_mut(&mut self, segment: u32, shape: [usize; 3]) -> &mut SegmentState {
        self.segments.entry(segment).or_insert_with(|| SegmentState {
            field: Field::empty(shape),
            axes: Default::default(),
            has_start_mask: false,
        })
    }

    /// Replaces the slices that a propagation along `axis` computed. Returns their number.
    pub fn apply(&mut self, axis: SliceAxis, outcomes: Vec<Outcome>) -> usize {
        let mut replaced = 0;
        for outcome in outcomes {
            replaced += outcome.slices.len();
            self.segments.get_mut(&outcome.segment).expect("a segment of this state").apply(axis, outcome);
        }
        replaced
    }
}

impl<P> State<P> {
    /// The same state with other planes.
    pub fn map_planes<Q>(&self, map: &mut impl FnMut(&P) -> Q) -> State<Q> {
        let segments = self.segments.iter().map(|(&id, s)| {
            let planes = s.field.planes.iter().map(&mut *map).collect();
            let field = Field { shape: s.field.shape, planes };
            (id, SegmentState { field, axes: s.axes.clone(), has_start_mask: s.has_start_mask })
        });
        State { segments: segments.collect(), last_axis: self.last_axis }
    }
}

impl SegmentState {
    pub fn axis(&self, axis: SliceAxis) -> &AxisState {
        &self.axes[axis.index()]
    }

    pub fn axis_mut(&mut self, axis: SliceAxis) -> &mut AxisState {
        &mut self.axes[axis.index()]
    }

    /// Accepts a slice with its present mask: it is annotated, and its probabilities become 0 and 1.
    pub fn accept(&mut self, axis: SliceAxis, slice: usize) {
        let mut dense = self.field.slice(axis, slice);
        dense.iter_mut().for_each(|v| *v = if *v >= INSIDE { 255 } else { 0 });
        self.field.set_slices(axis, &[(slice, dense)]);
        let state = SliceState { annotated: true, interactions: Vec::new(), dirty_up: true, dirty_down: true };
        self.axis_mut(axis).slices.insert(slice, state);
    }

    /// Accepts every slice that was drawn on and not yet accepted.
    pub fn accept_pending(&mut self) {
        for axis in SliceAxis::ALL {
            let pending: Vec<usize> =
                self.axis(axis).slices.iter().filter(|(_, s)| !s.annotated).map(|(&k, _)| k).collect();
            pending.into_iter().for_each(|slice| self.accept(axis, slice));
        }
    }

    /// Replaces the slices that a propagation along `axis` computed. Estimates along other axes were of other masks and
    /// go.
    fn apply(&mut self, axis: SliceAxis, outcome: Outcome) {
        let count = self.field.shape[axis.index()];
        if !outcome.slices.is_empty() {
            SliceAxis::ALL.into_iter().filter(|&a| a != axis).for_each(|a| self.axis_mut(a).quality.clear());
        }
        let state = self.axis_mut(axis);
        state.rois = outcome.rois;
        state.quality.resize(count, 0.0);
        outcome.slices.iter().for_each(|estimate| state.quality[estimate.slice] = estimate.quality);
        for side in outcome.finished {
            let annotated = state.slices.get_mut(&side.slice).expect("an annotated slice");
            if side.upwards {
                annotated.dirty_up = false;
            } else {
                annotated.dirty_down = false;
            }
        }
        self.field.set_planes(axis, outcome.slices.into_iter().map(|e| (e.slice, e.plane)).collect());
    }

    /// Whether a slice of another axis is `annotated`, or was drawn on and is not.
    pub fn crosses(&self, axis: SliceAxis, annotated: bool) -> bool {
        let (row_axis, col_axis) = axis.in_plane();
        [row_axis, col_axis].iter().any(|&a| self.axes[a].slices.values().any(|s| s.annotated == annotated))
    }

    /// Restores, in a slice along `axis`, the voxels that lie on slices of the other axes that are `annotated`, or that
    /// were drawn on and are not.
    pub fn keep_crossing(&self, axis: SliceAxis, slice: usize, annotated: bool, dense: &mut [u8]) {
        if !self.crosses(axis, annotated) {
            return;
        }
        let (row_axis, col_axis) = axis.in_plane();
        let (rows, cols) = axis.slice_shape(self.field.shape);
        let kept = |a: usize| self.axes[a].slices.iter().filter(|(_, s)| s.annotated == annotated).map(|(&k, _)| k);
        let old = self.field.slice(axis, slice);
        for r in kept(row_axis) {
            dense[r * cols..(r + 1) * cols].copy_from_slice(&old[r * cols..(r + 1) * cols]);
        }
        for c in kept(col_axis) {
            (0..rows).for_each(|r| dense[r * cols + c] = old[r * cols + c]);
        }
    }
}

impl AxisState {
    /// Annotated slices, ascending.
    pub fn annotated(&self) -> Vec<usize> {
        self.slices.iter().filter(|(_, s)| s.annotated).map(|(&k, _)| k).collect()
    }

    /// The quality head's estimate for each of `count` slices; 1 where annotated, 0 where there is none.
    pub fn estimates(&self, count: usize) -> Vec<f32> {
        let mut quality = self.quality.clone();
        quality.resize(count, 0.0);
        self.annotated().into_iter().for_each(|k| quality[k] = 1.0);
        quality
    }
}
