//! A session: one volume, its segments, and the rounds of one user.

mod history;
pub mod options;
pub mod progress;
pub(crate) mod state;
pub mod view;

use super::compute::Context;
use super::compute::batching::largest_batch;
use super::compute::feature_cache::FeatureCache;
use super::compute::target_window::{annotated_values, pixel_values, target_window};
use super::interact::interaction::{Interaction, check_mask, check_segment, check_slice};
use super::interact::predict::Drawing;
use super::propagate::Round;
use crate::error::{Error, Result, ensure_memory, zeros};
use crate::nn::Networks;
use crate::slice::grid::{SliceGrid, slice_grid};
use crate::slice::plane::{Plane, mask_of};
use crate::slice::window::find_window;
use crate::torch;
use crate::volume::{SliceAxis, SliceMask, Volume};
use history::{History, SavedHistory};
use options::{PropagateOptions, SessionOptions};
use progress::{CancelToken, Preview, Progress};
use serde::{Deserialize, Deserializer, Serialize};
use state::{SegmentState, State};
use std::sync::Arc;
use view::{Snapshot, Suggestion, View};

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

/// A session in the form that is written to a file. It has checksums of the volume and the model, not these themselves.
/// The order of the fields is that of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedSession {
    volume_checksum: String,
    model_name: String,
    model_checksum: String,
    options: SessionOptions,
    history: SavedHistory,
    /// Spacing of the volume, mm; none in a file that ends before it.
    #[serde(deserialize_with = "last_field")]
    spacing_mm: Option<[f64; 3]>,
}

/// The last field of a saved session, none where the file ends.
fn last_field<'de, D: Deserializer<'de>>(file: D) -> std::result::Result<Option<[f64; 3]>, D::Error> {
    Ok(Option::deserialize(file).unwrap_or_default())
}

/// One user's work on one volume.
///
/// Every call computes first and commits last: one that fails or is cancelled leaves the session unchanged. With a
/// given thread count, the same calls give the same bytes on the CPU.
pub struct Session {
    volume: Arc<Volume>,
    networks: Box<dyn Networks>,
    /// Further owners of their weights, one a thread; made when they are needed.
    thread_networks: Vec<Box<dyn Networks>>,
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
        check_spacing(&volume)?;
        ensure_memory(LEAST_MEMORY, "a session")?;
        let window = find_window(&volume, options.window, options.replace_non_finite)?;
        Ok(Session {
            cache: FeatureCache::new(options.feature_cache_bytes),
            history: History::new(options.undo_depth),
            cancel: CancelToken::default(),
            volume: Arc::new(volume),
            networks,
            thread_networks: Vec::new(),
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

    /// The options of the session.
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The intensities that become 0 and 1 in the networks' input.
    pub fn window(&self) -> (f64, f64) {
        self.window
    }

    /// The present state, to be read.
    pub fn view(&self) -> View<'_> {
        View {
            volume: &self.volume,
            state: self.state(),
            calibration: self.networks.info().quality_calibration.as_ref(),
            window: self.window,
        }
    }

    /// The present state, which stays as it is while the session goes on.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            volume: self.volume.clone(),
            state: self.state().clone(),
            calibration: self.networks.info().quality_calibration,
            window: self.window,
        }
    }

    /// Stops a running [`Session::propagate`] from another thread.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Numbers of the segments, ascending.
    pub fn segments(&self) -> Vec<u32> {
        self.view().segments()
    }

    /// Adds an interaction to a slice and returns its new mask. Interactions on one slice add up until it is accepted.
    ///
    /// The mask holds every pixel under a positive scribble or click and none under a negative one. Where the slice
    /// already holds a mask, these change it around what is drawn; a box or extreme points replace it. On voxels of
    /// slices of other axes that were drawn on the mask stays, on accepted ones under what is drawn now, too.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the interaction breaks a rule or the smallest square (in mm) around a slice has
    /// more than 2^28 pixels, [`Error::Unsupported`] when the model does not answer this kind, [`Error::OutOfMemory`]
    /// or [`Error::Torch`] when libtorch fails, [`Error::BadModel`] when the networks' output contains NaN.
    pub fn interact(&mut self, interaction: Interaction) -> Result<SliceMask> {
        let (axis, slice, segment) = (interaction.axis, interaction.slice, interaction.segment);
        let grid = slice_grid(&self.volume, axis);
        interaction.check(&grid, self.volume.slice_count(axis))?;
        let info = self.networks.info();
        if !info.interactions.contains(&interaction.kind) {
            return Err(Error::Unsupported(format!(
                "the model \"{}\" does not answer {}; it answers {}. Draw one of these or load another model",
                info.name,
                interaction.kind.word(),
                info.interactions.iter().map(|k| k.word()).collect::<Vec<_>>().join(", ")
            )));
        }
        ensure_region(&grid, axis, "an interaction")?;
        let mut next = self.state().clone();
        next.last_axis = Some(axis);
        let state = next.segment_mut(segment, self.volume.shape());
        let before = state.field.slice(axis, slice);
        let slice_state = state.axis_mut(axis).slices.entry(slice).or_default();
        slice_state.annotated = false;
        slice_state.interactions.push(interaction);
        let interactions = slice_state.interactions.clone();
        let mut drawing = Drawing { grid, interactions: &interactions, before: &before, window: self.window };
        drawing.window = target_window(self.window, &self.options, || {
            let annotated = annotated_values(&self.volume, state);
            if !annotated.is_empty() {
                return annotated;
            }
            pixel_values(&self.volume, axis, slice, &drawing.target_pixels())
        });
        let context = self.context();
        let mut dense = torch::run(|| drawing.segment(&context))??;
        let state = next.segment_mut(segment, self.volume.shape());
        state.keep_crossing(axis, slice, false, &mut dense);
        drawing.fix(&mut dense);
        state.keep_crossing(axis, slice, true, &mut dense);
        let mask = mask_of(&dense, grid.rows, grid.cols);
        state.field.set_slices(axis, &[(slice, dense)]);
        self.history.commit(next);
        Ok(mask)
    }

    /// Sets a slice's mask, for instance as the user corrected it by hand; the slice is annotated at once.
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

    /// Sets a segment's mask `[depth, height, width]` (0 outside, else inside), for instance from an earlier
    /// segmentation. It replaces the segment; no slice of it is annotated, and corrections fade into it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a segment number or a size that does not fit, [`Error::OutOfMemory`].
    pub fn set_mask(&mut self, segment: u32, mask: &[u8]) -> Result<()> {
        check_segment(segment)?;
        self.view().check_size(mask.len())?;
        let shape = self.volume.shape();
        let mut next = self.state().clone();
        next.segments.remove(&segment);
        let state = next.segment_mut(segment, shape);
        let mut dense = zeros(shape[1] * shape[2], "a slice of the mask")?;
        ensure_memory(mask.len() + LEAST_MEMORY, "the mask")?;
        for (k, slice) in mask.chunks_exact(dense.len()).enumerate() {
            dense.iter_mut().zip(slice).for_each(|(new, &v)| *new = if v != 0 { 255 } else { 0 });
            state.field.set_planes(SliceAxis::Depth, vec![(k, Plane::from_dense(&dense, shape[2]))]);
        }
        state.has_start_mask = !state.field.is_empty();
        self.history.commit(next);
        Ok(())
    }

    /// Accepts a slice's present mask: the slice is annotated, and no propagation changes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or slice.
    pub fn accept(&mut self, segment: u32, axis: SliceAxis, slice: usize) -> Result<()> {
        self.segment(segment)?;
        check_slice(slice, axis, self.volume.slice_count(axis))?;
        let mut next = self.state().clone();
        next.last_axis.get_or_insert(axis);
        next.segment_mut(segment, self.volume.shape()).accept(axis, slice);
        self.history.commit(next);
        Ok(())
    }

    /// Slices of a segment annotated along `axis`, ascending; none for an unknown segment.
    pub fn annotated(&self, segment: u32, axis: SliceAxis) -> Vec<usize> {
        self.view().annotated(segment, axis)
    }

    /// Accepts the slices with interactions, then propagates the masks of the annotated slices through the volume. Only
    /// slices between a newly annotated slice and its annotated neighbours change; if none is new, all others do.
    ///
    /// `on_slice` is called after each slice and returns false to stop. Returns the number of slices replaced.
    ///
    /// # Errors
    /// [`Error::InvalidState`] when no slice is annotated along the axis, [`Error::InvalidArgument`] for a range or
    /// segment that does not exist and for slices that [`Session::interact`] refuses for their size,
    /// [`Error::Cancelled`] when stopped, [`Error::OutOfMemory`] or [`Error::Torch`] when libtorch fails,
    /// [`Error::BadModel`] when the networks' output contains NaN.
    pub fn propagate(
        &mut self,
        options: &PropagateOptions,
        on_slice: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<usize> {
        self.propagate_showing(options, &mut |progress, _| on_slice(progress))
    }

    /// As [`Session::propagate`]; `on_slice` gets the slice's mask too, as the networks gave it. Blending and
    /// refinement may change it before the propagation ends.
    ///
    /// # Errors
    /// As [`Session::propagate`].
    pub fn propagate_showing(
        &mut self,
        options: &PropagateOptions,
        on_slice: &mut dyn FnMut(Progress, Preview<'_>) -> bool,
    ) -> Result<usize> {
        self.cancel.clear();
        let axis = options.axis.or(self.state().last_axis).ok_or_else(nothing_annotated)?;
        self.check_range(options.range, axis)?;
        ensure_region(&slice_grid(&self.volume, axis), axis, "a propagation")?;
        let mut next = self.state().clone();
        let segments = self.accept_and_select(&mut next, options.segment, axis)?;
        let cancel = self.cancel.clone();
        let mut context = self.context();
        let round = Round::new(&context, &next, &segments, axis, options, &cancel);
        let outcomes = torch::run(|| round.run(&mut context, on_slice))??;
        let replaced = next.apply(axis, outcomes);
        self.history.commit(next);
        Ok(replaced)
    }

    /// Accepts in `state` the slices with interactions of one segment or of all. Returns those of these segments that
    /// have an annotated slice along `axis`, at least one.
    fn accept_and_select(&self, state: &mut State, segment: Option<u32>, axis: SliceAxis) -> Result<Vec<u32>> {
        let mut segments: Vec<u32> = match segment {
            Some(id) => {
                self.segment(id)?;
                vec![id]
            }
            None => state.segments.keys().copied().collect(),
        };
        segments.retain(|id| {
            let segment = state.segments.get_mut(id).expect("just listed");
            segment.accept_pending();
            !segment.axis(axis).annotated().is_empty()
        });
        if segments.is_empty() { Err(nothing_annotated()) } else { Ok(segments) }
    }

    /// Estimated quality of every slice along `axis`: the expected IoU of its mask, 0..1, calibrated if the model has a
    /// calibration. 1 where annotated, 0 where there is no estimate yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn quality(&self, segment: u32, axis: SliceAxis) -> Result<Vec<f32>> {
        self.view().quality(segment, axis)
    }

    /// The slice whose correction is expected to gain most, of one segment or of all. None before the first
    /// propagation, or when every slice has interactions or is annotated.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment.
    pub fn suggest_slice(&self, segment: Option<u32>) -> Result<Option<Suggestion>> {
        self.view().suggest_slice(segment)
    }

    /// Writes a segment's mask `[depth, height, width]`, 0 or 1, into `out`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or a size that does not fit.
    pub fn read_mask(&self, segment: u32, out: &mut [u8]) -> Result<()> {
        self.view().read_mask(segment, out)
    }

    /// A slice's mask.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or slice.
    pub fn read_slice_mask(&self, segment: u32, axis: SliceAxis, slice: usize) -> Result<SliceMask> {
        self.view().read_slice_mask(segment, axis, slice)
    }

    /// Writes a segment's probability `[depth, height, width]`, 0..1 in steps of 1/255, into `out`. Values under 3 %
    /// read as 0.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown segment or a size that does not fit.
    pub fn read_probability(&self, segment: u32, out: &mut [f32]) -> Result<()> {
        self.view().read_probability(segment, out)
    }

    /// Writes all segments as one label volume into `out`: where several overlap the most probable one, on a tie the
    /// lowest number; 0 elsewhere.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size that does not fit, [`Error::OutOfMemory`]; `out` is then as it was.
    pub fn read_labels(&self, out: &mut [u16]) -> Result<()> {
        self.view().read_labels(out)
    }

    /// Undoes the last change; false when there is none.
    pub fn undo(&mut self) -> bool {
        self.history.undo()
    }

    /// Redoes the last undone change; false when there is none.
    pub fn redo(&mut self) -> bool {
        self.history.redo()
    }

    /// Deletes a segment, or all. Can be undone.
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

    /// Memory held by the session.
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage { volume: self.volume.data().bytes(), masks: self.history.bytes(), features: self.cache.bytes() }
    }

    /// The session in the form that is written to a file.
    pub fn save(&self) -> SavedSession {
        SavedSession {
            volume_checksum: self.volume.checksum(),
            model_name: self.networks.info().name.clone(),
            model_checksum: self.networks.info().checksum.clone(),
            options: self.options.clone(),
            history: self.history.save(),
            spacing_mm: Some(self.volume.geometry().spacing_mm),
        }
    }

    /// Replaces everything but the volume and the model by a saved session.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it belongs to another volume, spacing (by more than a thousandth) or model, or
    /// is damaged.
    pub fn restore(&mut self, saved: SavedSession) -> Result<()> {
        if saved.volume_checksum != self.volume.checksum() {
            return Err(Error::argument(
                "the session was saved from another volume; open that volume and restore again",
            ));
        }
        let spacing = self.volume.geometry().spacing_mm;
        let is_same = |other: &[f64; 3]| other.iter().zip(spacing).all(|(a, b)| (a - b).abs() <= SAME_SPACING * b);
        if let Some(other) = saved.spacing_mm.filter(|other| !is_same(other)) {
            return Err(Error::argument(format!(
                "the session was saved from the same voxels with a spacing of {other:?} mm (depth, height, width), but \
                 that of this volume is {spacing:?} mm; correct it, or open the volume that the session was saved from"
            )));
        }
        let info = self.networks.info();
        if saved.model_checksum != info.checksum {
            return Err(Error::argument(format!(
                "the session was saved with the model \"{}\", not with this one (\"{}\"); load that model and restore \
                 again",
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
        self.view().segment(segment)
    }

    /// Checks a range of slices, first and last.
    fn check_range(&self, range: Option<(usize, usize)>, axis: SliceAxis) -> Result<()> {
        let Some((from, to)) = range else { return Ok(()) };
        check_slice(to, axis, self.volume.slice_count(axis))?;
        if from > to {
            return Err(Error::argument(format!("the slice range {from} to {to} is empty; give its lower end first")));
        }
        Ok(())
    }

    fn context(&mut self) -> Context<'_> {
        let max_batch = largest_batch(&self.options, self.networks.device());
        Context {
            volume: &self.volume,
            window: self.window,
            networks: &mut *self.networks,
            thread_networks: &mut self.thread_networks,
            cache: &mut self.cache,
            options: &self.options,
            max_batch,
        }
    }
}

/// Memory that must be free for any work, bytes. Chosen: the smallest features of one slice and some.
const LEAST_MEMORY: usize = 64 << 20;

/// Memory that must be free besides for each pixel of the largest region of interest, bytes. Chosen: several planes of
/// 32 bits.
const BYTES_PER_PIXEL: usize = 64;

/// Most pixels of the largest region of interest. Chosen: a square slice of 16384 x 16384.
const MOST_PIXELS: usize = 1 << 28;

/// Checks the largest region of interest of slices along `axis`: its size, and that there is memory for it.
fn ensure_region(grid: &SliceGrid, axis: SliceAxis, what: &str) -> Result<()> {
    let pixels = grid.whole().area();
    if pixels > MOST_PIXELS {
        return Err(Error::argument(format!(
            "slices along axis {} are too elongated or too large: the square around one of {:.1} by {:.1} mm has \
             {pixels} pixels, more than {MOST_PIXELS}; resample the volume, or use another axis",
            axis.index(),
            grid.rows as f64 * grid.row_mm,
            grid.cols as f64 * grid.col_mm
        )));
    }
    ensure_memory(LEAST_MEMORY + pixels * BYTES_PER_PIXEL, what)
}

/// Largest relative difference of the spacing of a volume from that of a saved session. Chosen: rounding in files.
const SAME_SPACING: f64 = 1e-3;

/// Spacings that can be used, mm, and the most that they may differ by. Chosen: beyond what any scanner has, and below
/// what makes the side of a region of interest a number without meaning.
const SPACING_MM: std::ops::RangeInclusive<f64> = 1e-6..=1e6;
const MOST_RATIO: f64 = 1000.0;

/// Refuses a volume whose spacings are out of all proportion.
fn check_spacing(volume: &Volume) -> Result<()> {
    let spacing = volume.geometry().spacing_mm;
    let most = spacing.iter().copied().fold(0.0, f64::max);
    let least = spacing.iter().copied().fold(f64::INFINITY, f64::min);
    if spacing.iter().all(|mm| SPACING_MM.contains(mm)) && most <= least * MOST_RATIO {
        return Ok(());
    }
    Err(Error::argument(format!(
        "the spacing of the volume is {spacing:?} mm (depth, height, width); it must be from 1e-6 to 1e6 mm, and the \
         largest at most 1000 times the smallest. Check its unit and the order of its axes"
    )))
}

/// The error of a propagation without an annotated slice.
fn nothing_annotated() -> Error {
    Error::InvalidState("no slice is annotated along this axis; draw on a slice or set its mask first".into())
}

impl Drop for Session {
    /// Returns the session's memory on a CUDA device to the device, not only to libtorch's cache, unless
    /// [`SessionOptions::keep_cuda_cache`] is set.
    fn drop(&mut self) {
        if let tch::Device::Cuda(_) = self.networks.device() {
            self.cache.set_budget(0);
            if !self.options.keep_cuda_cache {
                torch::torch_ext::empty_cuda_cache();
            }
        }
    }
}
