//! From what was drawn on a slice to its mask (paper §2.1, eq. 1).

use super::guidance::guidance;
use super::interaction::{Interaction, Stroke};
use crate::engine::compute::{Context, no_number};
use crate::error::Result;
use crate::nn::{InteractionInput, InteractionKind};
use crate::slice::grid::SliceGrid;
use crate::slice::plane::{INSIDE, bounds};
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::resize;
use tch::{Kind, Tensor};

/// Side of the region around a scribble, whose target may reach beyond it, over the scribble's own.
const SCRIBBLE_SCALE: f64 = 2.0;
/// Side of the region around a click, over the slice's.
const CLICK_PART: f64 = 0.33;
/// A box is drawn around the target; the mask ends this share of its side outside.
const BOX_MARGIN: f64 = 0.1;
/// How often a region that turns out too small is enlarged.
const ENLARGEMENTS: usize = 3;
/// Sides of the further regions that a slice is seen through, over that of the region which serves what was found first.
const STROKE_SCALES: [f64; 3] = [0.75, 1.45, 2.0];
/// The same where a box or extreme points say how large the target is.
const BOX_SCALES: [f64; 1] = [1.45];

/// The probabilities `[rows, cols]` of the slice that `interactions` (at least one, all on one slice) is about; `before` is what
/// the slice held. Call inside [`crate::torch::run`].
///
/// # Errors
/// [`Error::BadModel`] when the network answers with no number.
///
/// [`Error::BadModel`]: crate::Error::BadModel
pub(crate) fn segment_slice(context: &mut Context, interactions: &[Interaction], before: &[u8]) -> Result<Vec<u8>> {
    let grid = context.grid(interactions[0].axis);
    let drawn_box = interactions.iter().map(|i| i.extent(&grid)).reduce(PixelBox::union).expect("something was drawn");
    let known = bounds(before, grid.cols, INSIDE);
    let previous = known.map(|_| before);
    let target = known.map_or(drawn_box, |b| b.union(drawn_box));
    let mut roi =
        if context.options.whole_slice { grid.whole() } else { first_roi(&grid, interactions, target, known, context) };
    let mut dense = predict(context, interactions, previous, roi, &grid)?;
    for _ in 0..ENLARGEMENTS {
        if roi == grid.whole() {
            break;
        }
        let Some(found) = bounds(&dense, grid.cols, INSIDE) else { break };
        if !grid.touches_border(roi, found) {
            break;
        }
        let larger = grid.around(found.union(target), context.options.roi_scale);
        roi = if larger.rows > roi.rows { larger } else { grid.whole() };
        dense = predict(context, interactions, previous, roi, &grid)?;
    }
    if !context.options.whole_slice {
        let found = bounds(&dense, grid.cols, INSIDE).unwrap_or(target).union(drawn_box);
        dense = predict_multiscale(context, interactions, previous, (roi, &dense), found, &grid)?;
    }
    limit_to_box(&mut dense, interactions, &grid);
    for interaction in interactions {
        let value = if interaction.positive { 255 } else { 0 };
        interaction.fixed_pixels(&grid).into_iter().for_each(|i| dense[i] = value);
    }
    Ok(dense)
}

/// The region to look at first. A box, extreme points or an earlier mask tell the size of the target; a scribble hints at
/// it; a click does not.
fn first_roi(
    grid: &SliceGrid,
    interactions: &[Interaction],
    target: PixelBox,
    known: Option<PixelBox>,
    context: &Context,
) -> Roi {
    let scale = context.options.roi_scale;
    if known.is_some() || interactions.iter().any(is_box) {
        return grid.around(target, scale);
    }
    if interactions.iter().any(|i| i.kind == InteractionKind::Scribble) {
        return grid.around(target, scale * SCRIBBLE_SCALE);
    }
    let part = |n: usize| (n as f64 * CLICK_PART / 2.0) as usize;
    let grown = PixelBox {
        top: target.top.saturating_sub(part(grid.rows)),
        left: target.left.saturating_sub(part(grid.cols)),
        bottom: (target.bottom + part(grid.rows)).min(grid.rows),
        right: (target.right + part(grid.cols)).min(grid.cols),
    };
    grid.around(grown, 1.0)
}

/// The mean of what was seen `first`, through its region, and of what is seen through smaller and larger ones around `found`: networks
/// answer a little differently to each, and a drawing says little of how large the target is. Beyond its region a look finds nothing. The answer to a box is
/// then given back to the network, which corrects it as it would a mask that the slice held before.
fn predict_multiscale(
    context: &Context,
    interactions: &[Interaction],
    previous: Option<&[u8]>,
    (roi, first): (Roi, &[u8]),
    found: PixelBox,
    grid: &SliceGrid,
) -> Result<Vec<u8>> {
    let boxed = interactions.iter().any(is_box);
    let mut rois = vec![roi];
    for side in if boxed { &BOX_SCALES[..] } else { &STROKE_SCALES } {
        let other = grid.around(found, context.options.roi_scale * side);
        if !rois.contains(&other) {
            rois.push(other);
        }
    }
    let mut sum: Vec<u16> = first.iter().copied().map(u16::from).collect();
    for &other in &rois[1..] {
        let prediction = predict(context, interactions, previous, other, grid)?;
        sum.iter_mut().zip(prediction).for_each(|(sum, v)| *sum += u16::from(v));
    }
    let predictions = rois.len() as u16;
    let mean: Vec<u8> = sum.into_iter().map(|sum| ((sum + predictions / 2) / predictions) as u8).collect();
    if boxed { predict(context, interactions, Some(&mean), roi, grid) } else { Ok(mean) }
}

/// One pass of the interaction network over `roi`; `previous` is what the slice is taken to hold.
fn predict(
    context: &Context,
    interactions: &[Interaction],
    previous: Option<&[u8]>,
    roi: Roi,
    grid: &SliceGrid,
) -> Result<Vec<u8>> {
    let size = context.size();
    let device = context.networks.device();
    let maps = guidance(interactions, grid, roi, size);
    let previous = match previous {
        Some(previous) => resize(&roi.crop(previous, grid.rows, grid.cols, |v| f32::from(v) / 255.0), size, size),
        None => Tensor::full([1, 1, size, size], 0.5, (Kind::Float, tch::Device::Cpu)),
    };
    let input = InteractionInput {
        slices: context.input(interactions[0].axis, interactions[0].slice, roi),
        previous: previous.to_device(device),
        positive: maps.positive.to_device(device),
        negative: maps.negative.to_device(device),
        boxes: maps.boxes.to_device(device),
    };
    let kind = interactions.last().expect("something was drawn").kind;
    let probability = context.networks.interact(kind, &input);
    if probability.sum(Kind::Float).double_value(&[]).is_nan() {
        return Err(no_number());
    }
    Ok(roi.paste(&probability, grid.rows, grid.cols))
}

/// Whether it says how far the target reaches.
fn is_box(interaction: &Interaction) -> bool {
    matches!(interaction.kind, InteractionKind::Box | InteractionKind::ExtremePoints)
}

/// A box says where the target ends: nothing is kept beyond it and its margin, unless something positive was also drawn
/// out there.
fn limit_to_box(dense: &mut [u8], interactions: &[Interaction], grid: &SliceGrid) {
    let extent = |i: &Interaction| match &i.stroke {
        Stroke::Points { .. } => i.extent(grid),
        Stroke::Raster(mask) => bounds(&mask.data, mask.cols, 1).expect("checked not to be empty"),
    };
    let Some(limit) = interactions.iter().filter(|i| is_box(i)).map(|i| i.extent(grid)).reduce(PixelBox::union) else {
        return;
    };
    let margin = |low: usize, high: usize| (((high - low) as f64 * BOX_MARGIN).ceil() as usize).max(2);
    let (rows, cols) = (margin(limit.top, limit.bottom), margin(limit.left, limit.right));
    let limit = PixelBox {
        top: limit.top.saturating_sub(rows),
        left: limit.left.saturating_sub(cols),
        bottom: limit.bottom + rows,
        right: limit.right + cols,
    };
    let outside = |b: PixelBox| limit.union(b) != limit;
    if interactions.iter().filter(|i| i.positive && !is_box(i)).any(|i| outside(extent(i))) {
        return;
    }
    for (r, row) in dense.chunks_exact_mut(grid.cols).enumerate() {
        for (c, v) in row.iter_mut().enumerate() {
            if r < limit.top || r >= limit.bottom || c < limit.left || c >= limit.right {
                *v = 0;
            }
        }
    }
}
