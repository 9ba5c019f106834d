//! Undo, redo, and the form in which a session is saved.

use super::state::{SegmentState, State};
use crate::error::{Error, Result};
use crate::slice::field::Field;
use crate::slice::plane::Plane;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The present state, and the ones before and after it.
#[derive(Debug, Default)]
pub(crate) struct History {
    past: VecDeque<State>,
    present: State,
    future: Vec<State>,
    depth: usize,
}

/// States whose planes are indices into one list, so that each plane is saved once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedHistory {
    #[serde(with = "shared_planes")]
    planes: Vec<Arc<Plane>>,
    past: Vec<State<u32>>,
    present: State<u32>,
    future: Vec<State<u32>>,
}

/// Shared planes in a file, as planes: nothing is copied to be written.
mod shared_planes {
    use crate::slice::plane::Plane;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::sync::Arc;

    pub fn serialize<S: Serializer>(planes: &[Arc<Plane>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(planes.iter().map(|plane| &**plane))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Arc<Plane>>, D::Error> {
        Ok(Vec::<Plane>::deserialize(from)?.into_iter().map(Arc::new).collect())
    }
}

impl History {
    /// An empty state of which `depth` steps can be undone.
    pub fn new(depth: usize) -> Self {
        History { depth, ..History::default() }
    }

    pub fn present(&self) -> &State {
        &self.present
    }

    /// Makes `next` the present state; undone states are dropped.
    pub fn commit(&mut self, next: State) {
        self.past.push_back(std::mem::replace(&mut self.present, next));
        if self.past.len() > self.depth {
            self.past.pop_front();
        }
        self.future.clear();
    }

    /// Goes one step back; false when there is none.
    pub fn undo(&mut self) -> bool {
        let Some(previous) = self.past.pop_back() else { return false };
        self.future.push(std::mem::replace(&mut self.present, previous));
        true
    }

    /// Redoes one undone step; false when there is none.
    pub fn redo(&mut self) -> bool {
        let Some(next) = self.future.pop() else { return false };
        self.past.push_back(std::mem::replace(&mut self.present, next));
        true
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.past.iter().chain([&self.present]).chain(&self.future)
    }

    /// Memory of all planes, bytes; shared ones count once.
    pub fn bytes(&self) -> usize {
        let mut seen = HashMap::new();
        for plane in self.states().flat_map(|s| s.segments.values()).flat_map(|s| &s.field.planes) {
            seen.insert(Arc::as_ptr(plane), plane.bytes());
        }
        seen.values().sum()
    }

    /// Everything, to be written to a file.
    pub fn save(&self) -> SavedHistory {
        let mut planes = Vec::new();
        let mut numbers = HashMap::new();
        let mut number = |plane: &Arc<Plane>| {
            *numbers.entry(Arc::as_ptr(plane)).or_insert_with(|| {
                planes.push(plane.clone());
                planes.len() as u32 - 1
            })
        };
        let past = self.past.iter().map(|s| s.map_planes(&mut number)).collect();
        let present = self.present.map_planes(&mut number);
        let future = self.future.iter().map(|s| s.map_planes(&mut number)).collect();
        SavedHistory { planes, past, present, future }
    }

    /// What [`History::save`] gave, checked against the shape of the volume.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it does not hold together.
    pub fn restore(saved: SavedHistory, shape: [usize; 3], depth: usize) -> Result<History> {
        let broken =
            || Error::argument("the saved session does not hold together; it was damaged or made by other software");
        let [_, height, width] = shape;
        if !saved.planes.iter().all(|p| p.fits(height, width)) {
            return Err(broken());
        }
        let planes = saved.planes;
        let state_of = |s: State<u32>| -> Result<State> {
            let whole = |s: &SegmentState<u32>| {
                let good_axis = |a: usize| {
                    let axis = &s.axes[a];
                    let last = axis.slices.keys().chain(axis.rois.keys()).max();
                    last.is_none_or(|&k| k < shape[a]) && (axis.quality.is_empty() || axis.quality.len() == shape[a])
                };
                let field: &Field<u32> = &s.field;
                field.shape == shape
                    && field.planes.len() == shape[0]
                    && field.planes.iter().all(|&i| (i as usize) < planes.len())
                    && (0..3).all(good_axis)
            };
            if !s.segments.values().all(whole) {
                return Err(broken());
            }
            Ok(s.map_planes(&mut |&i| planes[i as usize].clone()))
        };
        Ok(History {
            past: saved.past.into_iter().map(state_of).collect::<Result<_>>()?,
            present: state_of(saved.present)?,
            future: saved.future.into_iter().map(state_of).collect::<Result<_>>()?,
            depth,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::SliceAxis;

    fn state(value: u8) -> State {
        let mut state = State::default();
        let field = &mut state.segment_mut(1, [2, 2, 2]).field;
        field.set_slices(SliceAxis::Depth, &[(0, vec![value; 4])]);
        state
    }

    #[test]
    fn undo_and_redo_walk_a_bounded_history() {
        let mut h = History::new(2);
        for v in [100, 150, 200] {
            h.commit(state(v));
        }
        assert!(h.undo() && h.undo() && !h.undo());
        assert_eq!(*h.present(), state(100));
        assert!(h.redo());
        assert_eq!(*h.present(), state(150));
        h.commit(state(50));
        assert!(!h.redo());
    }

    #[test]
    fn a_saved_history_comes_back_and_a_damaged_one_does_not() {
        let mut h = History::new(9);
        h.commit(state(100));
        let same = h.present().clone();
        h.commit(same);
        h.undo();
        let saved = h.save();
        // One plane of value 100 and one empty: shared planes are saved once.
        assert_eq!(saved.planes.len(), 2);
        let mut back = History::restore(saved.clone(), [2, 2, 2], 9).unwrap();
        assert_eq!(back.present(), h.present());
        assert!(back.redo() && back.undo() && back.undo());
        assert!(back.present().segments.is_empty());
        assert!(History::restore(saved.clone(), [2, 2, 1], 9).is_err());
        let mut bad = saved;
        bad.planes.pop();
        assert!(History::restore(bad, [2, 2, 2], 9).is_err());
    }
}
