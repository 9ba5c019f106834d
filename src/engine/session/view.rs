//! What a session shows: masks, qualities and the suggested slice of one state.

use super::state::{SegmentState, State};
use crate::engine::interact::interaction::{check_segment, check_slice};
use crate::engine::suggest::calibration::{calibrated, slice_spacing};
use crate::engine::suggest::gain::expected_gain;
use crate::error::{Error, Result, zeros};
use crate::nn::QualityCalibration;
use crate::slice::grid::slice_grid;
use crate::slice::plane::{INSIDE, mask_of};
use crate::volume::{SliceAxis, SliceMask, Volume};
use std::sync::Arc;

/// The slice whose correction is expected to gain most.
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
    /// Voxels by which a correction there is expected to improve the volume.
    pub gain: f32,
}

/// One state of a session, to be read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) volume: &'a Volume,
    pub(super) state: &'a State,
    pub(super) calibration: Option<&'a QualityCalibration>,
    pub(super) window: (f64, f64),
}

/// A state that stays as it is while the session goes on. Planes are shared with the session.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) volume: Arc<Volume>,
    pub(super) state: State,
    pub(super) calibration: Option<QualityCalibration>,
    pub(super) window: (f64, f64),
}

impl Snapshot {
    /// What it shows.
    pub fn view(&self) -> View<'_> {
        let Snapshot { volume, state, calibration, window } = self;
        View { volume, state, calibration: calibration.as_ref(), window: *window }
    }
}

impl<'a> View<'a> {
    /// The volume.
    pub fn volume(&self) -> &'a Volume {
        self.volume
    }

    /// The intensities that become 0 and 1 in the networks' input.
    pub fn window(&self) -> (f64, f64) {
        self.window
    }

    /// Numbers of the segments, ascending.
    pub fn segments(&self) -> Vec<u32> {
        self.state.segments.keys().copied().collect()
    }

    /// Slices of a segment annotated along `axis`, ascending; none for an unknown segment.
    pub fn annotated(&self, segment: u32, axis: SliceAxis) -> Vec<usize> {
        self.state.segments.get(&segment).map_or_else(Vec::new, |s| s.axis(axis).annotated())
    }

    /// Estimated quality of every slice along `axis`: the expected IoU of its mask, 0..1, calibrated if the model has a
    /// calibration. 1 where annotated, 0 where there is no estimate yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn quality(&self, segment: u32, axis: SliceAxis) -> Result<Vec<f32>> {
        let state = self.segment(segment)?;
        let quality = state.axis(axis).estimates(self.volume.slice_count(axis));
        let Some(calibration) = self.calibration else { return Ok(quality) };
        let mut annotated = vec![false; quality.len()];
        state.axis(axis).annotated().into_iter().for_each(|k| annotated[k] = true);
        let areas = state.field.areas(axis);
        let thickness_mm = self.volume.geometry().spacing_mm[axis.index()];
        let spacing = slice_spacing(&areas, &slice_grid(self.volume, axis), thickness_mm);
        Ok(calibrated(calibration, &quality, &areas, &annotated, spacing))
    }

    /// The slice whose correction is expected to gain most, of one segment or of all, among those that a propagation
    /// has reached. None before the first propagation, or when every such slice has interactions or is annotated.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn suggest_slice(&self, segment: Option<u32>) -> Result<Option<Suggestion>> {
        let segments: Vec<(u32, &SegmentState)> = match segment {
            Some(id) => vec![(id, self.segment(id)?)],
            None => self.state.segments.iter().map(|(&id, s)| (id, s)).collect(),
        };
        let mut best: Option<Suggestion> = None;
        for (segment, state) in segments {
            for axis in SliceAxis::ALL.into_iter().filter(|&a| !state.axis(a).quality.is_empty()) {
                let quality = self.quality(segment, axis)?;
                let fixed: Vec<bool> = (0..quality.len()).map(|k| state.axis(axis).slices.contains_key(&k)).collect();
                let estimates = state.axis(axis).estimates(quality.len());
                let gain = expected_gain(&estimates, &state.field.areas(axis), &fixed);
                for slice in (0..quality.len()).filter(|&k| !fixed[k] && estimates[k] > 0.0) {
                    let gain = gain[slice] as f32;
                    if best.is_none_or(|b| gain > b.gain) {
                        best = Some(Suggestion { segment, axis, slice, quality: quality[slice], gain });
                    }
                }
            }
        }
        Ok(best)
    }

    /// Writes a segment's mask `[depth, height, width]`, 0 or 1, into `out`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or a size that does not fit.
    pub fn read_mask(&self, segment: u32, out: &mut [u8]) -> Result<()> {
        self.check_size(out.len())?;
        let state = self.segment(segment)?;
        self.for_each_plane(state, |at, plane| {
            out[at..at + plane.len()].iter_mut().zip(plane).for_each(|(o, &v)| *o = u8::from(v >= INSIDE));
        });
        Ok(())
    }

    /// A slice's mask.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or slice.
    pub fn read_slice_mask(&self, segment: u32, axis: SliceAxis, slice: usize) -> Result<SliceMask> {
        check_slice(slice, axis, self.volume.slice_count(axis))?;
        let (rows, cols) = axis.slice_shape(self.volume.shape());
        Ok(mask_of(&self.segment(segment)?.field.slice(axis, slice), rows, cols))
    }

    /// Writes a segment's probability `[depth, height, width]`, 0..1 in steps of 1/255, into `out`. Values under 3 %
    /// read as 0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or a size that does not fit.
    pub fn read_probability(&self, segment: u32, out: &mut [f32]) -> Result<()> {
        self.check_size(out.len())?;
        let state = self.segment(segment)?;
        self.for_each_plane(state, |at, plane| {
            out[at..at + plane.len()].iter_mut().zip(plane).for_each(|(o, &v)| *o = f32::from(v) / 255.0);
        });
        Ok(())
    }

    /// Writes all segments as one label volume into `out`: where several overlap the most probable one, on a tie the
    /// lowest number; 0 elsewhere.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size that does not fit, [`Error::OutOfMemory`]; `out` is then as it was.
    pub fn read_labels(&self, out: &mut [u16]) -> Result<()> {
        self.check_size(out.len())?;
        let mut largest: Vec<u8> = zeros(out.len(), "the labels")?;
        out.fill(0);
        for (&segment, state) in &self.state.segments {
            self.for_each_plane(state, |at, plane| {
                for (i, &v) in plane.iter().enumerate().filter(|(_, v)| **v >= INSIDE) {
                    if v > largest[at + i] {
                        largest[at + i] = v;
                        out[at + i] = segment as u16;
                    }
                }
            });
        }
        Ok(())
    }

    pub(super) fn segment(&self, segment: u32) -> Result<&'a SegmentState> {
        check_segment(segment)?;
        self.state.segments.get(&segment).ok_or_else(|| {
            Error::argument(format!(
                "there is no segment {segment}; draw it or set its mask first (there are {:?})",
                self.segments()
            ))
        })
    }

    pub(super) fn check_size(&self, len: usize) -> Result<()> {
        let shape = self.volume.shape();
        let expected: usize = shape.iter().product();
        if len != expected {
            return Err(Error::argument(format!(
                "the buffer holds {len} voxels, but the volume {shape:?} has {expected}"
            )));
        }
        Ok(())
    }

    fn for_each_plane(&self, state: &SegmentState, mut visit: impl FnMut(usize, &[u8])) {
        let [_, height, width] = self.volume.shape();
        let mut dense = vec![0; height * width];
        for (k, plane) in state.field.planes.iter().enumerate() {
            plane.write_dense(&mut dense, width);
            visit(k * height * width, &dense);
        }
    }
}
