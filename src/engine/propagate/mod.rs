//! Carries masks from the annotated slices through the volume (paper §2.2).
//!
//! Two independent chains leave every annotated slice, one towards higher and one towards lower slice numbers. Each runs
//! to the next annotated slice or to the end of the volume, so that the slice before the query is always its true
//! neighbour. All chains advance together, a slice each a step, side by side on the processor's threads where there are enough of them. What they
//! say is put together at the end (`blend`).

mod blend;
mod chain;
mod interval;
pub mod memory_bank;

use super::compute::roi_choice::Rois;
use super::compute::{Context, MAX_BATCH, join, no_number};
use super::session::options::{Direction, PropagateOptions, SessionOptions};
use super::session::progress::{CancelToken, Progress};
use super::session::state::State;
use crate::error::{Error, Result};
use crate::nn::{ImageFeatures, Memory, Segmented, SliceContext};
use crate::slice::grid::SliceGrid;
use crate::slice::plane::{INSIDE, Plane, bounds};
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::paste_all;
use crate::torch::threads;
use crate::volume::SliceAxis;
use blend::compose;
use chain::{Carried, Chain, Estimate, Outcome};
use interval::{Interval, START_MASK_REACH, intervals};
use memory_bank::MemoryBank;
use std::collections::{BTreeMap, BTreeSet};
use tch::{Device, Tensor};

/// Computes what a propagation along `axis` changes; changes nothing itself.
///
/// # Errors
/// [`Error::Cancelled`] when `cancel` was asked for or `on_slice` says so.
pub(crate) fn propagate(
    context: &mut Context,
    state: &State,
    segments: &[u32],
    axis: SliceAxis,
    options: &PropagateOptions,
    cancel: &CancelToken,
    on_slice: &mut dyn FnMut(Progress) -> bool,
) -> Result<Vec<Outcome>> {
    let count = context.volume.slice_count(axis);
    let intervals: Vec<Interval> =
        segments.iter().flat_map(|&s| intervals(s, &state.segments[&s], axis, options, count)).collect();
    let mut rois = Rois::new(context, state, segments, axis);
    let mut chains = start_chains(context, state, &intervals, axis, options, &mut rois)?;

    let total: usize = chains.iter().map(|c| c.left).sum();
    let mut done = 0;
    loop {
        let mut active: Vec<&mut Chain> = chains.iter_mut().filter(|c| c.left > 0).collect();
        if active.is_empty() {
            break;
        }
        let device = context.networks.device();
        let threads = threads::for_jobs(active.len(), device);
        select_chains(&mut active, threads);
        // Segments on one slice side by side, so that they share what depends on the image.
        active.sort_by_key(|c| (c.upwards, c.next));
        let together = context.max_batch.min(MAX_BATCH * threads);
        let batches = active.len().div_ceil(together);
        let at_once = active.len().div_ceil(batches);
        for batch in active.chunks_mut(at_once) {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let slices: Vec<(usize, u32)> = batch.iter().map(|c| (c.next, c.segment)).collect();
            threads::side_by_side(batch.len(), device, || step_batch(context, batch, axis, &mut rois))?;
            for (slice, segment) in slices {
                done += 1;
                if !on_slice(Progress { done, total, slice, segment }) {
                    return Err(Error::Cancelled);
                }
            }
        }
    }
    let leave = |c: Chain| Carried { interval: c.interval, start: c.start, upwards: c.upwards, estimates: c.estimates };
    let carried: Vec<Carried> = chains.into_iter().map(leave).collect();
    compose(context, state, segments, axis, options, cancel, &intervals, &carried, rois)
}

/// Leaves as many chains for the next step as keep all threads busy to its end, those with the longest way to go; all of them where some (of
/// several segments) go through one slice side by side, of which they share a part of the work.
fn select_chains(active: &mut Vec<&mut Chain>, threads: usize) {
    let slices: BTreeSet<(bool, usize)> = active.iter().map(|c| (c.upwards, c.next)).collect();
    if active.len() > threads && slices.len() == active.len() {
        active.sort_by_key(|c| (std::cmp::Reverse(c.left), c.interval, c.upwards));
        active.truncate(active.len() - active.len() % threads);
    }
}

/// Memorizes the annotated slices and starts a chain from each side of them that leads into an interval.
fn start_chains(
    context: &mut Context,
    state: &State,
    intervals: &[Interval],
    axis: SliceAxis,
    options: &PropagateOptions,
    rois: &mut Rois,
) -> Result<Vec<Chain>> {
    let grid = context.grid(axis);
    let mut chains = Vec::new();
    let mut segments: Vec<u32> = intervals.iter().map(|i| i.segment).collect();
    segments.dedup();
    for segment in segments {
        let segment_state = &state.segments[&segment];
        let masks: Vec<(usize, Vec<u8>)> =
            segment_state.axis(axis).annotated().into_iter().map(|k| (k, segment_state.field.slice(axis, k))).collect();
        let targets: BTreeMap<usize, PixelBox> =
            masks.iter().filter_map(|(k, m)| bounds(m, grid.cols, INSIDE).map(|b| (*k, b))).collect();
        if targets.is_empty() {
            continue;
        }
        // Those without target are not memorized: networks learn from slices with it, and take of one without that there is none
        // anywhere.
        let wanted: Vec<(usize, Roi)> =
            targets.iter().map(|(k, target)| (*k, rois.choose(segment, *k, *target, None))).collect();
        let with_target: Vec<&[u8]> =
            masks.iter().filter(|(k, _)| targets.contains_key(k)).map(|(_, m)| m.as_slice()).collect();
        let memorized = memorize_masks(context, axis, &wanted, &with_target, &grid)?;
        for (number, interval) in intervals.iter().enumerate().filter(|(_, i)| i.segment == segment) {
            let reach = if segment_state.has_start_mask { START_MASK_REACH } else { usize::MAX };
            let up = interval.lower.filter(|_| options.direction != Direction::Down);
            let down = interval.upper.filter(|_| options.direction != Direction::Up);
            for (start, upwards) in up.map(|k| (k, true)).into_iter().chain(down.map(|k| (k, false))) {
                let Some(&target) = targets.get(&start) else { continue };
                let ahead = if upwards { interval.upper } else { interval.lower };
                let mask = |k: usize| &masks.iter().find(|(j, _)| *j == k).expect("annotated").1;
                let length = if upwards { interval.end - 1 - start } else { start - interval.first };
                let roi = wanted.iter().find(|(k, _)| *k == start).expect("annotated").1;
                chains.push(Chain {
                    interval: number,
                    segment,
                    start,
                    upwards,
                    next: if upwards { start + 1 } else { start.wrapping_sub(1) },
                    left: length.min(reach),
                    bank: {
                        let all = context.options.memorize_annotated;
                        let read = memorized.iter().filter(|m| all || m.slice == start);
                        MemoryBank::new(read.map(|m| (m.slice, &m.memory)), context.options.max_memory_slices)
                    },
                    memorized: wanted.iter().copied().collect(),
                    roi,
                    annotated: {
                        let own = memorized.iter().find(|m| m.slice == start).expect("annotated");
                        own.slice_and_mask.each_ref().map(Tensor::shallow_clone)
                    },
                    annotated_area: area(mask(start)),
                    before: (start, Plane::from_dense(mask(start), grid.cols)),
                    largest: {
                        let areas = masks.iter().map(|(k, m)| (*k, area(m)));
                        areas
                            .max_by_key(|&(k, a)| (a, std::cmp::Reverse(k.abs_diff(start))))
                            .expect("there is a target")
                    },
                    after: ahead.map(|k| (k, Plane::from_dense(mask(k), grid.cols))),
                    after_shape: None,
                    target,
                    area: area(mask(start)),
                    empty_in_a_row: 0,
                    doubtful: Vec::new(),
                    estimates: BTreeMap::new(),
                });
            }
        }
    }
    Ok(chains)
}

/// An annotated slice as the networks know it.
struct Memorized {
    slice: usize,
    memory: Memory,
    /// The slice and its mask through its region, each `[1, 1, H, W]`.
    slice_and_mask: [Tensor; 2],
}

/// Memorizes annotated slices through their regions, `masks` in the same order.
fn memorize_masks(
    context: &mut Context,
    axis: SliceAxis,
    wanted: &[(usize, Roi)],
    masks: &[&[u8]],
    grid: &SliceGrid,
) -> Result<Vec<Memorized>> {
    let size = context.size();
    let device = context.networks.device();
    let mut memorized = Vec::new();
    let at_once = context.max_batch.min(MAX_BATCH);
    for (wanted, masks) in wanted.chunks(at_once).zip(masks.chunks(at_once)) {
        let features = join(&context.features(axis, wanted)?);
        let inputs: Vec<Tensor> = wanted
            .iter()
            .zip(masks)
            .map(|((_, roi), m)| {
                crate::slice::resample::resize(&roi.crop(m, grid.rows, grid.cols, |v| f32::from(v) / 255.0), size, size)
            })
            .collect();
        let inputs = Tensor::cat(&inputs, 0).to_device(device);
        let encoded = context.memorize(&features, &inputs)?;
        let middle = features.slices.narrow(1, features.slices.size()[1] / 2, 1);
        for ((n, (slice, _)), memory) in wanted.iter().enumerate().zip(encoded) {
            let slice_and_mask = [&middle, &inputs].map(|t| t.narrow(0, n as i64, 1).copy());
            memorized.push(Memorized { slice: *slice, memory, slice_and_mask });
        }
    }
    Ok(memorized)
}

/// What the networks say of the next slices of some chains.
struct Prediction {
    features: ImageFeatures,
    segmented: Segmented,
    quality: Vec<f32>,
    presence: Vec<f32>,
}

/// What is memorized of the slices just segmented.
struct ToMemorize {
    features: ImageFeatures,
    masks: Tensor,
    /// Whether anything is remembered of each of them.
    kept: Vec<bool>,
}

/// Chains that did not get to the end of a step.
enum StepError {
    /// They are as they were.
    NotPredicted(Error),
    /// Only their memory is missing.
    NotMemorized(ToMemorize),
}

/// Segments the next slice of every chain of the batch; of one half after the other when they do not fit into memory together.
fn step_batch(context: &mut Context, batch: &mut [&mut Chain], axis: SliceAxis, rois: &mut Rois) -> Result<()> {
    for chain in batch.iter_mut() {
        chain.roi = rois.choose(chain.segment, chain.next, chain.target, Some(chain.roi));
    }
    let wanted: Vec<(usize, Roi)> = batch.iter().map(|c| (c.next, c.roi)).collect();
    let mut features = match context.features(axis, &wanted) {
        Ok(features) => features,
        Err(error) => {
            context.make_room(batch.len(), error)?;
            return split_batch(context, batch, axis, rois);
        }
    };
    let together = batch.len();
    let part = together.div_ceil(threads::at_once());
    let jobs = batch.chunks_mut(part).zip(features.chunks_mut(part)).collect();
    let ends = context.each(jobs, |context, (chains, features)| step(context, chains, axis, join(features)));
    for (chains, end) in batch.chunks_mut(part).zip(ends) {
        match end {
            Ok(()) => {}
            Err(StepError::NotPredicted(error)) => {
                context.make_room(together, error)?;
                split_batch(context, chains, axis, rois)?;
            }
            Err(StepError::NotMemorized(to_memorize)) => {
                let memories = context.memorize(&to_memorize.features, &to_memorize.masks)?;
                memorize(context.options, chains, &memories, &to_memorize.kept);
                advance(chains);
            }
        }
    }
    Ok(())
}

/// A step of one half of the chains after the other.
fn split_batch(context: &mut Context, chains: &mut [&mut Chain], axis: SliceAxis, rois: &mut Rois) -> Result<()> {
    let (first, second) = chains.split_at_mut(chains.len() / 2);
    [first, second].into_iter().filter(|c| !c.is_empty()).try_for_each(|c| step_batch(context, c, axis, rois))
}

/// One step of some chains.
fn step(
    context: &mut Context,
    chains: &mut [&mut Chain],
    axis: SliceAxis,
    features: ImageFeatures,
) -> std::result::Result<(), StepError> {
    let prediction = predict(context, chains, axis, features).map_err(StepError::NotPredicted)?;
    if let Some(to_memorize) = update(context, chains, axis, prediction) {
        let Ok(memories) = crate::torch::run(|| context.networks.memorize(&to_memorize.features, &to_memorize.masks))
        else {
            return Err(StepError::NotMemorized(to_memorize));
        };
        memorize(context.options, chains, &memories, &to_memorize.kept);
    }
    advance(chains);
    Ok(())
}

/// Runs the networks on the next slices of some chains; changes none.
fn predict(
    context: &mut Context,
    chains: &mut [&mut Chain],
    axis: SliceAxis,
    features: ImageFeatures,
) -> Result<Prediction> {
    let prediction = crate::torch::run(|| {
        let memory: Vec<Memory> = chains.iter().map(|c| c.bank.view()).collect();
        let slice_context = slice_context(context, axis, chains, &features);
        let segmented = context.networks.segment(&features, &memory, &slice_context);
        let judgement = context.networks.quality(&features, &segmented, &slice_context);
        let both = Tensor::cat(&[judgement.quality, judgement.presence], 0).clamp(0.0, 1.0);
        let mut quality = Vec::<f32>::try_from(both).expect("two numbers a slice");
        let presence = quality.split_off(chains.len());
        Prediction { features, segmented, quality, presence }
    })?;
    if prediction.quality.iter().chain(&prediction.presence).any(|number| number.is_nan()) {
        return Err(no_number());
    }
    Ok(prediction)
}

/// Takes what was seen of the chains' next slices; what is to be memorized of them, if anything.
fn update(context: &Context, chains: &mut [&mut Chain], axis: SliceAxis, prediction: Prediction) -> Option<ToMemorize> {
    let grid = context.grid(axis);
    let Prediction { features, segmented, quality: qualities, presence } = prediction;
    let mut masks = Vec::with_capacity(chains.len());
    let mut kept = Vec::with_capacity(chains.len());
    let rois: Vec<Roi> = chains.iter().map(|c| c.roi).collect();
    let planes = paste_all(&segmented.probability, &rois, grid.rows, grid.cols);
    for ((n, chain), plane) in chains.iter_mut().enumerate().zip(planes) {
        let probability = segmented.probability.narrow(0, n as i64, 1);
        let quality = qualities[n];
        let found = is_present(&plane, chain.area, context.options);
        // Towards an annotated slice that holds the target, a bad mask is a bad mask; towards the open end, it has left the
        // target, and that it is empty instead is right as surely as the mask was wrong.
        let gone = found && !chain.leads_to_target() && f64::from(presence[n]) < context.options.least_presence;
        if gone {
            chain.doubtful.push((chain.next, Estimate { plane: plane.clone(), quality }));
        }
        let present = found && !gone;
        // Of a slice that may have been called empty wrongly, nothing is remembered: those after it are to be seen as it was.
        kept.push(!gone);
        let quality = if present { quality } else { 1.0 - presence[n] };
        masks.push(if present { probability } else { probability.zeros_like() });
        let plane = if present { plane } else { Plane::default() };
        chain.left -= 1;
        if present {
            chain.target = plane.mask_extent().expect("present");
            chain.area = plane.area();
            chain.empty_in_a_row = 0;
            // After an empty slice the last mask is still what is looked for: the end may have been called too early.
            chain.before = (chain.next, plane.clone());
            // It was not the end: targets have no holes between slices.
            chain.estimates.extend(std::mem::take(&mut chain.doubtful));
        } else {
            chain.empty_in_a_row += 1;
            if context.options.stop_after_empty > 0 && chain.empty_in_a_row >= context.options.stop_after_empty {
                chain.left = 0;
            }
        }
        chain.estimates.insert(chain.next, Estimate { plane, quality });
    }
    let wanted = chains.iter().any(|c| c.left > 0) && kept.contains(&true);
    wanted.then(|| ToMemorize { features, masks: Tensor::cat(&masks, 0), kept })
}

/// Puts the memories of the slices just segmented into the chains' banks.
fn memorize(options: &SessionOptions, chains: &mut [&mut Chain], memories: &[Memory], kept: &[bool]) {
    for ((chain, memory), _) in chains.iter_mut().zip(memories).zip(kept).filter(|(_, kept)| **kept) {
        let every = options.memorize_every;
        let steps = chain.next.abs_diff(chain.start);
        let keep = every > 0 && steps.is_multiple_of(every) && chain.empty_in_a_row == 0;
        if keep || options.memorize_previous {
            chain.bank.memorize(chain.next, memory, keep);
            chain.memorized.insert(chain.next, chain.roi);
        }
    }
}

/// On to the slices after these.
fn advance(chains: &mut [&mut Chain]) {
    for chain in chains {
        chain.next = if chain.upwards { chain.next + 1 } else { chain.next.wrapping_sub(1) };
    }
}

/// For each chain the first of the batch that segments the same slice through the same region, after the same slice and with the
/// same slices in memory, of which as many are annotated.
fn image_groups(batch: &[&mut Chain]) -> Vec<usize> {
    let memorized =
        |c: &Chain| -> Vec<(usize, Roi)> { c.bank.order().map(|slice| (slice, c.memorized[&slice])).collect() };
    let inputs_of: Vec<_> =
        batch.iter().map(|c| (c.next, c.roi, c.before.0, c.bank.annotated(), memorized(c))).collect();
    inputs_of.iter().map(|one| inputs_of.iter().position(|other| other == one).expect("itself at the latest")).collect()
}

/// What is expected of each chain's next slice.
fn slice_context(
    context: &Context,
    axis: SliceAxis,
    batch: &mut [&mut Chain],
    features: &ImageFeatures,
) -> SliceContext {
    let (grid, size) = (context.grid(axis), context.size());
    // Work of the processor, wherever the networks are.
    let (masks, shapes): (Vec<Tensor>, Vec<Tensor>) = threads::side_by_side(batch.len(), Device::Cpu, || {
        threads::map(batch.iter_mut().collect(), |chain: &mut &mut Chain| chain.previous_mask_and_shape(size))
            .into_iter()
            .unzip()
    });
    let (mut slices, mut numbers) = (vec![], Vec::<f32>::new());
    let thickness = context.volume.geometry().spacing_mm[axis.index()];
    for (n, chain) in batch.iter().enumerate() {
        let before = chain.before.0;
        // Where neighbours are given with each slice, the one before is at hand: an upward chain's is the first.
        let last = features.slices.size()[1] - 1;
        slices.push(match chain.next.abs_diff(before) {
            1 if last > 0 => features.slices.narrow(0, n as i64, 1).narrow(1, if chain.upwards { 0 } else { last }, 1),
            _ => context.input(axis, before, chain.roi).narrow(1, last / 2, 1),
        });
        let pixels = f64::from(chain.roi.rows) * f64::from(chain.roi.cols);
        let side_mm = (pixels * grid.row_mm * grid.col_mm).sqrt();
        let walked = chain.next.abs_diff(chain.start) as f64;
        let from_largest = walked.max(chain.next.abs_diff(chain.largest.0) as f64);
        let [largest_area, annotated_area] = [chain.largest.1, chain.annotated_area].map(|area| area as f64 / pixels);
        let [distance, distance_from_largest] = [walked, from_largest].map(|slices| slices * thickness / side_mm);
        numbers.extend(
            [largest_area, annotated_area, walked, distance, distance_from_largest].map(|number| number as f32),
        );
    }
    let device = context.networks.device();
    let join = |parts: &[Tensor]| Tensor::cat(parts, 0).to_device(device);
    let annotated = |i: usize| join(&batch.iter().map(|c| c.annotated[i].shallow_clone()).collect::<Vec<_>>());
    let numbers = Tensor::from_slice(&numbers).view([batch.len() as i64, -1]).to_device(device);
    let number = |i: i64| numbers.narrow(1, i, 1);
    SliceContext {
        shape: join(&shapes),
        before_mask: join(&masks),
        before_slice: join(&slices),
        largest_area: number(0),
        annotated_area: number(1),
        annotated_mask: annotated(1),
        annotated_slice: annotated(0),
        steps: number(2),
        distance: number(3),
        distance_from_largest: number(4),
        same_image: image_groups(batch),
    }
}

/// Whether a slice holds the target: probable enough somewhere, and not tiny beside its neighbour.
fn is_present(plane: &Plane, neighbour_area: usize, options: &SessionOptions) -> bool {
    let area = plane.area();
    area > 0
        && area >= options.min_area
        && f64::from(plane.largest()) / 255.0 >= options.presence_probability
        && area as f64 >= options.presence_area_fraction * neighbour_area as f64
}

fn area(dense: &[u8]) -> usize {
    dense.iter().filter(|&&v| v >= INSIDE).count()
}
