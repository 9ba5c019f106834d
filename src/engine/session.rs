//! A session: one volume, its segments, and the rounds of one user. The engine's only entry.

mod history;
pub mod options;
pub mod progress;
pub(crate) mod state;

use super::compute::feature_cache::FeatureCache;
use super::compute::{Context, MAX_BATCH};
use super::interact::interaction::{Interaction, check_mask, check_segment, check_slice};
use super::interact::predict;
use super::propagate;
use super::suggest::calibration::calibrated;
use super::suggest::gain::expected_gain;
use crate::error::{Error, Result};
use crate::nn::{Networks, Preset};
use crate::slice::grid::slice_grid;
use crate::slice::plane::{INSIDE, mask_of};
use crate::slice::window::find_window;
use crate::torch;
use crate::volume::{SliceAxis, SliceMask, Volume};
use history::{History, SavedHistory};
use options::{PropagateOptions, SessionOptions};
use progress::{CancelToken, Progress};
use serde::{Deserialize, Serialize};
use state::{SegmentState, State};

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

/// A session as it is written to a file; the volume and the model are named by checksum, not held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedSession {
    volume_checksum: String,
    model_name: String,
    model_checksum: String,
    options: SessionOptions,
    history: SavedHistory,
}

/// One user's work on one volume.
///
/// Every call computes first and commits last: one that fails or is cancelled leaves the session exactly as it was.
/// With a given thread count, the same calls give the same bytes on the CPU.
pub struct Session {
    volume: Volume,
    networks: Box<dyn Networks>,
    /// Further owners of their weights, for threads that compute side by side.
    team: Vec<Box<dyn Networks>>,
    options: SessionOptions,
    window: (f64, f64),
    cache: FeatureCache,
    history: History,
    cancel: CancelToken,
}

impl Session {
    /// A session on `volume` without any segment.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a volume or options that cannot be used (see [`find_window`] and
    /// [`SessionOptions::check`]).
    pub fn new(volume: Volume, networks: Box<dyn Networks>, options: SessionOptions) -> Result<Self> {
        options.check()?;
        let window = find_window(&volume, options.window, options.replace_non_finite)?;
        Ok(Session {
            cache: FeatureCache::new(options.feature_cache_bytes),
            history: History::new(options.undo_depth),
            cancel: CancelToken::default(),
            volume,
            networks,
            team: Vec::new(),
            options,
            window,
        })
    }

    /// The volume.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The networks.
    pub fn networks(&self) -> &dyn Networks {
        &*self.networks
    }

    /// The options it was made with.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The intensities that the networks see as 0 and 1.
    pub fn window(&self) -> (f64, f64) {
        self.window
    }

    /// Stops a running [`Session::propagate`] from another thread.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Numbers of the segments that were drawn or given, ascending.
    pub fn segments(&self) -> Vec<u32> {
        self.state().segments.keys().copied().collect()
    }

    /// Draws on a slice and answers with its new mask. What is drawn on one slice adds up until it is accepted.
    ///
    /// The mask holds every pixel under a positive scribble or click and none under a negative one. On voxels of
    /// accepted slices of other axes the accepted mask stays.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the interaction breaks a rule, [`Error::Unsupported`] when the model does not
    /// answer this kind, [`Error::OutOfMemory`] or [`Error::Torch`] when libtorch fails, [`Error::BadModel`] when its networks
    /// answer with no numbers.
    pub fn interact(&mut self, interaction: Interaction) -> Result<SliceMask> {
        let (axis, slice, segment) = (interaction.axis, interaction.slice, interaction.segment);
        let grid = slice_grid(&self.volume, axis);
        interaction.check(&grid, self.volume.slice_count(axis))?;
        let info = self.networks.info();
        if !info.interactions.contains(&interaction.kind) {
            return Err(Error::Unsupported(format!(
                "the model \"{}\" does not answer {:?}; it answers {:?}. Draw one of these or load another model",
                info.name, interaction.kind, info.interactions
            )));
        }
        let mut next = self.state().clone();
        next.last_axis = Some(axis);
        let state = next.segment_mut(segment, self.volume.shape());
        let before = state.field.slice(axis, slice);
        let slice_state = state.axis_mut(axis).slices.entry(slice).or_default();
        slice_state.annotated = false;
        slice_state.interactions.push(interaction);
        let interactions = slice_state.interactions.clone();
        let mut context = self.context();
        let mut dense = torch::run(|| predict::segment_slice(&mut context, &interactions, &before))??;
        let state = next.segment_mut(segment, self.volume.shape());
        state.keep_annotated(axis, slice, &mut dense);
        let mask = mask_of(&dense, grid.rows, grid.cols);
        state.field.set_slices(axis, &[(slice, dense)]);
        self.history.commit(next);
        Ok(mask)
    }

    /// Takes a slice's mask as the user corrected it by hand; the slice is annotated at once.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a segment, slice or mask that does not fit.
    pub fn set_slice_mask(&mut self, segment: u32, axis: SliceAxis, slice: usize, mask: &SliceMask) -> Result<()> {
        check_segment(segment)?;
        check_slice(slice, axis, self.volume.slice_count(axis))?;
        check_mask(mask, &slice_grid(&self.volume, axis))?;
        let dense = mask.data.iter().map(|&v| if v != 0 { 255 } else { 0 }).collect();
        let mut next = self.state().clone();
        next.last_axis = Some(axis);
        let state = next.segment_mut(segment, self.volume.shape());
        state.field.set_slices(axis, &[(slice, dense)]);
        state.accept(axis, slice);
        self.history.commit(next);
        Ok(())
    }

    /// Takes a whole mask `[depth, height, width]` (0 outside, else inside) as what the segment is so far, for instance
    /// from an earlier segmentation. It replaces the segment; no slice of it is annotated, and corrections fade into it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a segment number or a size that does not fit.
    pub fn set_mask(&mut self, segment: u32, mask: &[u8]) -> Result<()> {
        check_segment(segment)?;
        self.check_size(mask.len())?;
        let shape = self.volume.shape();
        let mut next = self.state().clone();
        next.segments.remove(&segment);
        let state = next.segment_mut(segment, shape);
        let plane = shape[1] * shape[2];
        let slices: Vec<(usize, Vec<u8>)> = mask
            .chunks_exact(plane)
            .enumerate()
            .map(|(k, m)| (k, m.iter().map(|&v| if v != 0 { 255 } else { 0 }).collect()))
            .collect();
        state.field.set_slices(SliceAxis::Depth, &slices);
        state.has_start_mask = !state.field.is_empty();
        self.history.commit(next);
        Ok(())
    }

    /// Accepts a slice's mask as it is: from now on it is annotated, and no propagation changes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or slice.
    pub fn accept(&mut self, segment: u32, axis: SliceAxis, slice: usize) -> Result<()> {
        self.segment(segment)?;
        check_slice(slice, axis, self.volume.slice_count(axis))?;
        let mut next = self.state().clone();
        next.segment_mut(segment, self.volume.shape()).accept(axis, slice);
        self.history.commit(next);
        Ok(())
    }

    /// Slices of a segment annotated along `axis`, ascending; none for an unknown segment.
    pub fn annotated(&self, segment: u32, axis: SliceAxis) -> Vec<usize> {
        self.state().segments.get(&segment).map_or_else(Vec::new, |s| s.axis(axis).annotated())
    }

    /// Accepts what was drawn, then carries the masks of the annotated slices through the volume. Only slices between
    /// an annotated slice that is new and its annotated neighbours change; with none new, all others do.
    ///
    /// `on_slice` is told after each slice and returns false to stop. Returns the number of slices replaced.
    ///
    /// # Errors
    /// [`Error::InvalidState`] when no slice is annotated along the axis, [`Error::InvalidArgument`] for a range or
    /// segment that does not exist, [`Error::Cancelled`] when stopped, [`Error::OutOfMemory`] or [`Error::Torch`] when
    /// libtorch fails, [`Error::BadModel`] when the networks answer with no numbers.
    pub fn propagate(
        &mut self,
        options: &PropagateOptions,
        on_slice: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<usize> {
        self.cancel.clear();
        let nothing_drawn = || {
            Error::InvalidState("no slice is annotated along this axis; draw on a slice or set its mask first".into())
        };
        let axis = options.axis.or(self.state().last_axis).ok_or_else(nothing_drawn)?;
        if let Some((from, to)) = options.range {
            check_slice(to, axis, self.volume.slice_count(axis))?;
            if from > to {
                return Err(Error::argument(format!(
                    "the slice range {from} to {to} is empty; give its lower end first"
                )));
            }
        }
        let mut next = self.state().clone();
        let segments: Vec<u32> = match options.segment {
            Some(id) => {
                self.segment(id)?;
                vec![id]
            }
            None => next.segments.keys().copied().collect(),
        };
        segments.iter().for_each(|id| next.segments.get_mut(id).expect("just listed").accept_pending());
        let annotated = |id: &u32| !next.segments[id].axis(axis).annotated().is_empty();
        let segments: Vec<u32> = segments.into_iter().filter(annotated).collect();
        if segments.is_empty() {
            return Err(nothing_drawn());
        }
        let cancel = self.cancel.clone();
        let mut context = self.context();
        let outcomes =
            torch::run(|| propagate::propagate(&mut context, &next, &segments, axis, options, &cancel, on_slice))??;
        let count = self.volume.slice_count(axis);
        let mut replaced = 0;
        for outcome in outcomes {
            replaced += outcome.slices.len();
            let state = next.segment_mut(outcome.segment, self.volume.shape());
            let of_axis = state.axis_mut(axis);
            of_axis.rois = outcome.rois;
            of_axis.quality.resize(count, 0.0);
            let mut slices = Vec::with_capacity(outcome.slices.len());
            for (slice, plane, quality) in outcome.slices {
                of_axis.quality[slice] = quality;
                slices.push((slice, plane));
            }
            for (slice, up, down) in outcome.carried {
                let annotated = of_axis.slices.get_mut(&slice).expect("annotated");
                annotated.dirty_up &= !up;
                annotated.dirty_down &= !down;
            }
            state.field.set_planes(axis, slices);
        }
        self.history.commit(next);
        Ok(replaced)
    }

    /// Estimated quality of every slice along `axis`: the IoU that its mask is expected to have, 0..1. 1 where
    /// annotated; 0 where nothing is known yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn quality(&self, segment: u32, axis: SliceAxis) -> Result<Vec<f32>> {
        let state = self.segment(segment)?;
        let quality = self.estimates(state, axis);
        if self.networks.info().preset != Preset::Compact {
            return Ok(quality);
        }
        let mut annotated = vec![false; quality.len()];
        state.axis(axis).annotated().into_iter().for_each(|k| annotated[k] = true);
        let areas = state.field.areas(axis);
        let grid = slice_grid(&self.volume, axis);
        let largest = areas.iter().copied().max().unwrap_or(0).max(1) as f64 * grid.row_mm * grid.col_mm;
        let diameter = 2.0 * (largest / std::f64::consts::PI).sqrt();
        let thickness = self.volume.geometry().spacing_mm[axis.index()];
        Ok(calibrated(&quality, &areas, &annotated, (thickness / diameter) as f32))
    }

    /// What the quality head said of every slice; 1 where annotated, 0 where nothing is known yet.
    fn estimates(&self, state: &SegmentState, axis: SliceAxis) -> Vec<f32> {
        let state = state.axis(axis);
        let mut quality = state.quality.clone();
        quality.resize(self.volume.slice_count(axis), 0.0);
        state.annotated().into_iter().for_each(|k| quality[k] = 1.0);
        quality
    }

    /// The slice whose correction is expected to gain most, of one segment or of all. None when nothing was propagated
    /// yet or every slice was drawn on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn suggest_slice(&self, segment: Option<u32>) -> Result<Option<Suggestion>> {
        let segments: Vec<(u32, &SegmentState)> = match segment {
            Some(id) => vec![(id, self.segment(id)?)],
            None => self.state().segments.iter().map(|(&id, s)| (id, s)).collect(),
        };
        let mut best: Option<Suggestion> = None;
        for (segment, state) in segments {
            for axis in SliceAxis::ALL.into_iter().filter(|&a| !state.axis(a).quality.is_empty()) {
                let quality = self.quality(segment, axis)?;
                let fixed: Vec<bool> = (0..quality.len()).map(|k| state.axis(axis).slices.contains_key(&k)).collect();
                let gain = expected_gain(&self.estimates(state, axis), &state.field.areas(axis), &fixed);
                for slice in (0..quality.len()).filter(|&k| !fixed[k]) {
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

    /// Writes all segments as one label volume into `out`: where several overlap the most probable one, the lowest number
    /// on a tie; 0 elsewhere.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size that does not fit.
    pub fn read_labels(&self, out: &mut [u16]) -> Result<()> {
        self.check_size(out.len())?;
        out.fill(0);
        let mut largest = vec![0u8; out.len()];
        for (&segment, state) in &self.state().segments {
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

    /// Takes back the last change; false when there is none.
    pub fn undo(&mut self) -> bool {
        self.history.undo()
    }

    /// Does again what was undone; false when there is nothing.
    pub fn redo(&mut self) -> bool {
        self.history.redo()
    }

    /// Forgets a segment, or all. Can be undone.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn reset(&mut self, segment: Option<u32>) -> Result<()> {
        let mut next = State::default();
        if let Some(id) = segment {
            self.segment(id)?;
            next = self.state().clone();
            next.segments.remove(&id);
        }
        self.history.commit(next);
        Ok(())
    }

    /// Memory held.
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage { volume: self.volume.data().bytes(), masks: self.history.bytes(), features: self.cache.bytes() }
    }

    /// The session, to be written to a file.
    pub fn save(&self) -> SavedSession {
        SavedSession {
            volume_checksum: self.volume.checksum(),
            model_name: self.networks.info().name.clone(),
            model_checksum: self.networks.info().checksum.clone(),
            options: self.options.clone(),
            history: self.history.save(),
        }
    }

    /// Replaces everything but the volume and the model by what was saved.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it was saved from another volume or with another model, or is damaged.
    pub fn restore(&mut self, saved: SavedSession) -> Result<()> {
        if saved.volume_checksum != self.volume.checksum() {
            return Err(Error::argument(
                "the session was saved from another volume; open that volume and restore again",
            ));
        }
        let info = self.networks.info();
        if saved.model_checksum != info.checksum {
            return Err(Error::argument(format!(
                "the session was saved with the model \"{}\", not with this one (\"{}\"); load that model and restore again",
                saved.model_name, info.name
            )));
        }
        saved.options.check()?;
        let window = find_window(&self.volume, saved.options.window, saved.options.replace_non_finite)?;
        self.history = History::restore(saved.history, self.volume.shape(), saved.options.undo_depth)?;
        self.cache = FeatureCache::new(saved.options.feature_cache_bytes);
        let SessionOptions { keep_cuda_cache, plain, .. } = self.options;
        self.options = SessionOptions { keep_cuda_cache, plain, ..saved.options };
        self.window = window;
        Ok(())
    }

    fn state(&self) -> &State {
        self.history.present()
    }

    fn segment(&self, segment: u32) -> Result<&SegmentState> {
        check_segment(segment)?;
        self.state().segments.get(&segment).ok_or_else(|| {
            Error::argument(format!(
                "there is no segment {segment}; draw it or set its mask first (there are {:?})",
                self.segments()
            ))
        })
    }

    fn check_size(&self, len: usize) -> Result<()> {
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

    fn context(&mut self) -> Context<'_> {
        let threads = torch::threads::for_jobs(usize::MAX, self.networks.device());
        let max_batch = if self.options.plain { 1 } else { MAX_BATCH * threads };
        Context {
            volume: &self.volume,
            window: self.window,
            networks: &mut *self.networks,
            team: &mut self.team,
            cache: &mut self.cache,
            options: &self.options,
            max_batch,
        }
    }
}

impl Drop for Session {
    /// Gives the memory that the session took on a CUDA device back to it, not only to libtorch's own stock, unless
    /// [`SessionOptions::keep_cuda_cache`] says otherwise.
    fn drop(&mut self) {
        if let tch::Device::Cuda(_) = self.networks.device() {
            self.cache.set_budget(0);
            if !self.options.keep_cuda_cache {
                torch::torch_ext::empty_cuda_cache();
            }
        }
    }
}
