//! Puts what the chains say of each slice together: between two annotated slices both chains meet; their probabilities are blended, each
//! trusted for its nearness and its quality, then put right in three dimensions.

use super::chain::{Carried, Outcome};
use super::interval::{Interval, START_MASK_REACH};
use crate::engine::compute::Context;
use crate::engine::compute::roi_choice::Rois;
use crate::engine::refine::refine;
use crate::engine::session::options::{Direction, PropagateOptions};
use crate::engine::session::progress::CancelToken;
use crate::engine::session::state::{SegmentState, State};
use crate::error::Result;
use crate::slice::grid::SliceGrid;
use crate::slice::plane::Plane;
use crate::slice::region::PixelBox;
use crate::torch::threads;
use crate::volume::SliceAxis;
use tch::Device;

/// Puts the chains' estimates together.
#[expect(clippy::too_many_arguments, reason = "one propagation's own")]
pub(crate) fn compose(
    context: &mut Context,
    state: &State,
    segments: &[u32],
    axis: SliceAxis,
    options: &PropagateOptions,
    cancel: &CancelToken,
    intervals: &[Interval],
    carried: &[Carried],
    mut rois: Rois,
) -> Result<Vec<Outcome>> {
    // Work of the processor, wherever the networks are, and shared out among its threads by slices.
    let slices = intervals.iter().map(|i| i.end - i.first).sum();
    let settled = threads::side_by_side(slices, Device::Cpu, || {
        context.each((0..intervals.len()).collect(), |context, number| {
            let interval = &intervals[number];
            let own: Vec<&Carried> = carried.iter().filter(|c| c.interval == number).collect();
            settle(context, &state.segments[&interval.segment], axis, cancel, interval, &own)
        })
    });
    let mut outcomes: Vec<Outcome> = Vec::new();
    for &segment in segments {
        let rois = rois.by_segment.remove(&segment).unwrap_or_default();
        outcomes.push(Outcome { segment, slices: Vec::new(), rois, carried: Vec::new() });
    }
    for (interval, slices) in intervals.iter().zip(settled) {
        let complete = |k: usize, upwards: bool| {
            let whole = options.range.is_none() || if upwards { interval.first == k + 1 } else { interval.end == k };
            (k, upwards && whole, !upwards && whole)
        };
        let outcome = outcomes.iter_mut().find(|o| o.segment == interval.segment).expect("of these segments");
        let up = interval.lower.filter(|_| options.direction != Direction::Down);
        let down = interval.upper.filter(|_| options.direction != Direction::Up);
        outcome.carried.extend(up.map(|k| complete(k, true)).into_iter().chain(down.map(|k| complete(k, false))));
        outcome.slices.extend(slices?);
    }
    Ok(outcomes)
}

/// The new slices of an interval, from the chains that lead through it.
fn settle(
    context: &Context,
    old: &SegmentState,
    axis: SliceAxis,
    cancel: &CancelToken,
    interval: &Interval,
    own: &[&Carried],
) -> Result<Vec<(usize, Plane, f32)>> {
    let grid = context.grid(axis);
    let estimate = |k| blend(own, k, interval, old, axis, &grid).map(|(plane, quality)| (k, plane, quality));
    let mut slices: Vec<_> = (interval.first..interval.end).filter_map(estimate).collect();
    if context.options.regularise && !old.has_start_mask && !own.is_empty() {
        let end = |k| (k, Plane::from_dense(&old.field.slice(axis, k), grid.cols));
        refine(context, axis, [interval.lower.map(end), interval.upper.map(end)], &mut slices, cancel)?;
    }
    if old.annotated_across(axis) {
        let mut dense = vec![0; grid.rows * grid.cols];
        for (slice, plane, _) in &mut slices {
            plane.write_dense(&mut dense, grid.cols);
            old.keep_annotated(axis, *slice, &mut dense);
            *plane = Plane::from_dense(&dense, grid.cols);
        }
    }
    Ok(slices)
}

/// Probabilities and quality of one slice from the chains of its interval; none when it keeps what it has.
fn blend(
    chains: &[&Carried],
    slice: usize,
    interval: &Interval,
    old: &SegmentState,
    axis: SliceAxis,
    grid: &SliceGrid,
) -> Option<(Plane, f32)> {
    if chains.is_empty() {
        // Every annotated neighbour says that the target is not here.
        return (!old.has_start_mask).then(|| (Plane::default(), 1.0));
    }
    let nearest = chains.iter().map(|c| slice.abs_diff(c.start)).min().expect("there is a chain");
    if old.has_start_mask && nearest > START_MASK_REACH {
        return None;
    }
    let own = |c: &Carried, span: usize| {
        let nearness = 1.0 - slice.abs_diff(c.start) as f32 / span as f32;
        (nearness, c.estimates.get(&slice).map_or(0.0, |e| e.quality))
    };
    let weights = match (interval.lower, interval.upper, chains) {
        (Some(a), Some(b), [one, other]) => blend_weights([own(one, b - a), own(other, b - a)]).to_vec(),
        _ => vec![1.0; chains.len()],
    };
    let mut quality = 0.0;
    let mut parts: Vec<(&Plane, f32)> = Vec::new();
    for (chain, weight) in chains.iter().zip(weights) {
        match chain.estimates.get(&slice) {
            Some(estimate) => {
                parts.push((&estimate.plane, weight));
                quality += weight * estimate.quality;
            }
            None => {
                let last =
                    if chain.upwards { chain.estimates.last_key_value() } else { chain.estimates.first_key_value() };
                quality += weight * last.map_or(0.0, |(&k, e)| beyond_the_end(e.quality, k.abs_diff(slice)));
            }
        }
    }
    let before = old.has_start_mask.then(|| Plane::from_dense(&old.field.slice(axis, slice), grid.cols));
    let boxes = parts.iter().map(|(plane, _)| *plane).chain(&before).filter_map(Plane::extent);
    let quality = quality.clamp(0.0, 1.0);
    let Some(place) = boxes.reduce(PixelBox::union) else { return Some((Plane::default(), quality)) };
    let mut probability = vec![0f32; (place.bottom - place.top) * (place.right - place.left)];
    parts.iter().for_each(|(plane, weight)| plane.add_to(&mut probability, place, *weight));
    if let Some(before) = before {
        let weight = 1.0 - nearest as f32 / (START_MASK_REACH + 1) as f32;
        probability.iter_mut().for_each(|p| *p *= weight);
        before.add_to(&mut probability, place, 1.0 - weight);
    }
    let whole: Vec<u8> = probability.iter().map(|p| (p + 0.5) as u8).collect();
    Some((Plane::from_part(&whole, place), quality))
}

/// Quality of a slice `steps` beyond the last one looked at, whose quality was `last`: the target ended before, and the
/// doubt about it halves with every slice.
fn beyond_the_end(last: f32, steps: usize) -> f32 {
    1.0 - (1.0 - last) * 0.5f32.powi(steps.min(60) as i32)
}

/// Quality that a chain which has stopped, or is sure of nothing, is taken to have.
const LEAST_QUALITY: f32 = 0.05;

/// Weights of two estimates of one slice, 1 in all: nearness (0..1) times quality, both squared.
fn blend_weights(estimates: [(f32, f32); 2]) -> [f32; 2] {
    let weights = estimates.map(|(nearness, quality)| (nearness * quality.max(LEAST_QUALITY)).powi(2));
    weights.map(|w| w / (weights[0] + weights[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_halves_beyond_the_end() {
        assert!((beyond_the_end(0.6, 1) - 0.8).abs() < 1e-6);
        assert!((beyond_the_end(0.6, 2) - 0.9).abs() < 1e-6);
    }

    #[test]
    fn the_nearer_and_the_better_is_trusted() {
        assert_eq!(blend_weights([(0.5, 0.8), (0.5, 0.8)]), [0.5, 0.5]);
        // (3/4 * 1)² and (1/4 * 1)²: nine to one. Twice the quality: four to one.
        assert!((blend_weights([(0.75, 1.0), (0.25, 1.0)])[0] - 0.9).abs() < 1e-6);
        assert!((blend_weights([(0.5, 0.4), (0.5, 0.8)])[1] - 0.8).abs() < 1e-6);
        // Neither says anything: the nearer one.
        assert!((blend_weights([(0.75, 0.0), (0.25, 0.0)])[0] - 0.9).abs() < 1e-6);
    }
}
