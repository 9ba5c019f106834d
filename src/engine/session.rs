//! A session: one volume, its segments, and the rounds of one user. The engine's only entry.

use super::{CancelToken, Interaction, Progress, PropagateOptions, SessionOptions};
use crate::error::Result;
use crate::nn::Networks;
use crate::volume::{SliceAxis, SliceMask, Volume};

/// The slice that most deserves the user's next correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// Segment to correct.
    pub segment: u32,
    /// Axis of the slice.
    pub axis: SliceAxis,
    /// Slice number.
    pub slice: usize,
    /// Its estimated quality, 0..1.
    pub quality: f32,
    /// What a correction there is expected to gain for the volume, voxels.
    pub gain: f32,
}

/// Memory held by a session, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUsage {
    /// The copy of the volume.
    pub volume: usize,
    /// Masks and probabilities of all segments, undo steps included.
    pub masks: usize,
    /// Features kept per slice.
    pub features: usize,
}

/// One user's work on one volume.
///
/// Every call computes first and commits last: one that fails or is cancelled leaves the session exactly as it was.
pub struct Session {
    _private: (),
}

#[allow(unused_variables, missing_docs, clippy::missing_errors_doc, reason = "signatures only for now")]
impl Session {
    pub fn new(volume: Volume, networks: Box<dyn Networks>, options: SessionOptions) -> Result<Self> {
        todo!()
    }
    pub fn volume(&self) -> &Volume {
        todo!()
    }
    pub fn networks(&self) -> &dyn Networks {
        todo!()
    }
    pub fn options(&self) -> &SessionOptions {
        todo!()
    }
    /// intensities mapped to 0 and 1
    pub fn window(&self) -> (f64, f64) {
        todo!()
    }
    pub fn cancel_token(&self) -> CancelToken {
        todo!()
    }
    /// segments that have any mask or interaction, ascending
    pub fn segments(&self) -> Vec<u32> {
        todo!()
    }
    /// Draws; accumulates with the earlier interactions on that slice until accepted. Returns the slice's new mask.
    pub fn interact(&mut self, interaction: Interaction) -> Result<SliceMask> {
        todo!()
    }
    /// Manual correction; the slice is annotated (accepted) at once.
    pub fn set_slice_mask(&mut self, segment: u32, axis: SliceAxis, slice: usize, mask: &SliceMask) -> Result<()> {
        todo!()
    }
    /// A whole earlier mask `[depth,height,width]` as starting point (a resumed segmentation); no slice is annotated.
    pub fn set_mask(&mut self, segment: u32, mask: &[u8]) -> Result<()> {
        todo!()
    }
    /// The slice's mask as it is becomes annotated: no propagation changes it any more.
    pub fn accept(&mut self, segment: u32, axis: SliceAxis, slice: usize) -> Result<()> {
        todo!()
    }
    /// Slices of `segment` annotated along `axis`, ascending.
    pub fn annotated(&self, segment: u32, axis: SliceAxis) -> Vec<usize> {
        todo!()
    }
    /// Accepts what is pending, then propagates. `on_slice` returns false to stop. Returns number of slice masks replaced.
    pub fn propagate(
        &mut self,
        options: &PropagateOptions,
        on_slice: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<usize> {
        todo!()
    }
    /// Estimated quality of every slice along `axis`: 0..1; 1 where annotated; 0 where nothing is known.
    pub fn quality(&self, segment: u32, axis: SliceAxis) -> Result<Vec<f32>> {
        todo!()
    }
    /// None when every slice is annotated or nothing was propagated. `segment` None: best over all segments.
    pub fn suggest_slice(&self, segment: Option<u32>) -> Result<Option<Suggestion>> {
        todo!()
    }
    /// `[depth, height, width]`, 0/1, into `out`.
    pub fn read_mask(&self, segment: u32, out: &mut [u8]) -> Result<()> {
        todo!()
    }
    pub fn read_slice_mask(&self, segment: u32, axis: SliceAxis, slice: usize) -> Result<SliceMask> {
        todo!()
    }
    /// 0..1, into `out`
    pub fn read_probability(&self, segment: u32, out: &mut [f32]) -> Result<()> {
        todo!()
    }
    /// All segments as one label volume; where several overlap the most probable wins, the lowest number on a tie.
    pub fn read_labels(&self, out: &mut [u16]) -> Result<()> {
        todo!()
    }
    /// false: nothing to undo
    pub fn undo(&mut self) -> bool {
        todo!()
    }
    pub fn redo(&mut self) -> bool {
        todo!()
    }
    /// Forgets a segment's masks and interactions (None: all segments). Can be undone.
    pub fn reset(&mut self, segment: Option<u32>) -> Result<()> {
        todo!()
    }
    pub fn memory_usage(&self) -> MemoryUsage {
        todo!()
    }
}
