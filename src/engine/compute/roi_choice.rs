//! Choice of each slice's region of interest, so that features stay valid from round to round and segments share them.

use super::Context;
use crate::engine::session::state::State;
use crate::slice::grid::SliceGrid;
use crate::slice::plane::{INSIDE, bounds};
use crate::slice::region::{PixelBox, Roi};
use crate::volume::SliceAxis;
use std::collections::BTreeMap;

/// Segments share a region of interest if the one around all of them has at most this many times the side of the
/// largest one alone. Chosen.
const SHARED_ROI: f64 = 1.6;

/// Regions of interest of the slices along one axis: those of earlier rounds, and those chosen in this one.
pub(crate) struct Rois {
    grid: SliceGrid,
    whole: bool,
    scale: f64,
    pub by_segment: BTreeMap<u32, BTreeMap<usize, Roi>>,
    /// Regions that serve several segments together.
    shared: BTreeMap<u32, Roi>,
}

impl Rois {
    pub fn new(context: &Context, state: &State, segments: &[u32], axis: SliceAxis) -> Rois {
        let grid = context.grid(axis);
        let by_segment = state.segments.iter().map(|(&id, s)| (id, s.axis(axis).rois.clone())).collect();
        let scale = context.options.roi_scale;
        let boxes = segments.iter().filter_map(|&id| {
            let s = &state.segments[&id];
            let masks = s.axis(axis).annotated().into_iter();
            masks
                .filter_map(|k| bounds(&s.field.slice(axis, k), grid.cols, INSIDE))
                .reduce(PixelBox::union)
                .map(|b| (id, b))
        });
        let side = |b: PixelBox| grid.wanted_side_mm(b, scale);
        // Greedy: each segment joins the first group whose region stays small enough.
        let mut groups: Vec<(Vec<u32>, PixelBox, f64)> = Vec::new();
        for (id, b) in boxes {
            match groups.iter_mut().find(|g| side(g.1.union(b)) <= SHARED_ROI * g.2.max(side(b))) {
                Some(g) => {
                    g.0.push(id);
                    (g.1, g.2) = (g.1.union(b), g.2.max(side(b)));
                }
                None => groups.push((vec![id], b, side(b))),
            }
        }
        let shared = groups.iter().filter(|g| g.0.len() > 1);
        let shared = shared.flat_map(|g| g.0.iter().map(|&id| (id, grid.around(g.1, scale)))).collect();
        Rois { grid, whole: context.options.whole_slice, scale, by_segment, shared }
    }

    /// The region for `slice`, whose target is expected in the box `target`. The first of these that serves it: the
    /// slice's region of an earlier round, the shared one, that of the previous slice, that of another segment;
    /// otherwise a new one.
    pub fn choose(&mut self, segment: u32, slice: usize, target: PixelBox, before: Option<Roi>) -> Roi {
        if self.whole {
            return self.grid.whole();
        }
        let own = self.by_segment.get(&segment).and_then(|m| m.get(&slice)).copied();
        let shared = self.shared.get(&segment).copied();
        let others = self.by_segment.values().filter_map(|m| m.get(&slice)).copied();
        let serves = |r: &Roi| self.grid.serves(*r, target, self.scale);
        let candidates = own.into_iter().chain(shared).chain(before).chain(others);
        let roi = { candidates }.find(serves).unwrap_or_else(|| self.grid.around(target, self.scale));
        self.by_segment.entry(segment).or_default().insert(slice, roi);
        roi
    }
}
