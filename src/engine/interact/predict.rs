//! From the interactions on a slice to its mask (paper §2.1, eq. 1).
//!
//! The interaction network predicts in a first ROI, which is enlarged while the mask touches its border, and then in
//! further ROIs of other sizes (docs/experiments.md: mean IoU of the first slice 0.79 instead of 0.75 for scribbles).
//! The mean of the predictions for a box is fed back once as previous mask (docs/experiments.md: mean DSC after one
//! slice 0.761 instead of 0.752; extreme points lose by it). The prediction of a correction replaces the mask before
//! near what is drawn ([`super::correction`]).

use super::correction::Correction;
use super::guidance::guidance;
use super::interaction::Interaction;
use crate::engine::compute::{Context, Crop, not_a_number};
use crate::error::Result;
use crate::nn::{InteractionInput, InteractionKind};
use crate::slice::grid::SliceGrid;
use crate::slice::plane::{INSIDE, bounds};
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::resize;
use tch::{Kind, Tensor};

/// Side of the first ROI of a scribble, as a multiple of that of a box as large: the target reaches beyond the
/// scribble. Chosen.
const SCRIBBLE_SCALE: f64 = 2.0;
/// Side of the first ROI of a click, as a fraction of the slice's. Chosen.
const CLICK_FRACTION: f64 = 0.33;
/// The mask may reach beyond a box by this fraction of the box's side. Chosen.
const BOX_MARGIN: f64 = 0.1;
/// It may always reach so many pixels beyond. Chosen.
const LEAST_BOX_MARGIN: usize = 2;
/// Most enlargements of a first ROI that is too small. Chosen.
const ENLARGEMENTS: usize = 3;
/// Sizes of the further ROIs, as multiples of the ROI fitted to the first prediction. Measured: docs/experiments.md,
/// "Interaction".
const SCALES: [f64; 3] = [0.75, 1.45, 2.0];
/// Previous probability of a slice that holds no mask. Paper, §2.1.
const NO_PREVIOUS: f64 = 0.5;

/// Interactions on one slice, at least one, and what the slice holds before them.
pub(crate) struct Drawing<'a> {
    pub grid: SliceGrid,
    pub interactions: &'a [Interaction],
    /// Probabilities `[rows, cols]`, 1/255.
    pub before: &'a [u8],
    /// The segment's intensity window.
    pub window: (f64, f64),
}

impl Drawing<'_> {
    /// Predicts the slice's probabilities. Call inside [`crate::torch::run`].
    ///
    /// # Shapes
    /// result: `[rows, cols]`, 1/255.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] when the network's output contains NaN.
    pub fn segment(&self, context: &Context) -> Result<Vec<u8>> {
        let grid = &self.grid;
        let drawn = self.interactions.iter().map(|i| i.extent(grid)).reduce(PixelBox::union).expect("interactions");
        let known = bounds(self.before, grid.cols, INSIDE);
        let previous = known.map(|_| self.before);
        let target = known.map_or(drawn, |b| b.union(drawn));
        let mut dense = if context.options.whole_slice {
            self.predict(context, previous, grid.whole())?
        } else {
            let first = self.first_roi(target, known.is_some(), context.options.roi_scale);
            let (roi, dense) = self.predict_enlarging(context, previous, first, target)?;
            let found = bounds(&dense, grid.cols, INSIDE).unwrap_or(target).union(drawn);
            let mean = self.predict_multiscale(context, previous, (roi, dense), found)?;
            let boxed = self.interactions.iter().any(|i| i.kind == InteractionKind::Box);
            if known.is_none() && boxed { self.predict(context, Some(&mean), roi)? } else { mean }
        };
        self.limit_to_box(&mut dense);
        let last = self.interactions.last().expect("interactions");
        if known.is_some() && !is_box(last) {
            Correction::new(last, self.before, grid).limit(&mut dense);
        }
        self.fix(&mut dense);
        Ok(dense)
    }

    /// Sets the probabilities under strokes and clicks to what these say.
    pub fn fix(&self, dense: &mut [u8]) {
        for interaction in self.interactions {
            let value = if interaction.positive { 255 } else { 0 };
            interaction.fixed_pixels(&self.grid).into_iter().for_each(|i| dense[i] = value);
        }
    }

    /// Pixels that probably lie in the target, row-major indices: those of the mask before, else those under positive
    /// strokes and in the middle of positive boxes, half as wide and high.
    pub fn target_pixels(&self) -> Vec<usize> {
        let grid = &self.grid;
        let mask: Vec<usize> = (0..self.before.len()).filter(|&i| self.before[i] >= INSIDE).collect();
        if !mask.is_empty() {
            return mask;
        }
        let pixels = |interaction: &Interaction| {
            if !is_box(interaction) {
                return interaction.fixed_pixels(grid);
            }
            let PixelBox { top, left, bottom, right } = interaction.extent(grid);
            let middle = |low: usize, high: usize| low + (high - low) / 4..high - (high - low) / 4;
            let row = |r: usize| middle(left, right).map(move |c| r * grid.cols + c);
            middle(top, bottom).flat_map(row).collect()
        };
        self.interactions.iter().filter(|i| i.positive).flat_map(pixels).collect()
    }

    /// The first ROI, for a target in the box `target`. A box, extreme points or an earlier mask (`known`) give the
    /// size of the target; a scribble gives a lower bound; a click gives none.
    fn first_roi(&self, target: PixelBox, known: bool, scale: f64) -> Roi {
        let grid = &self.grid;
        if known || self.has_box() {
            return grid.around(target, scale);
        }
        if self.interactions.iter().any(|i| i.kind == InteractionKind::Scribble) {
            return grid.around(target, scale * SCRIBBLE_SCALE);
        }
        let margin = |n: usize| (n as f64 * CLICK_FRACTION / 2.0) as usize;
        let grown = PixelBox {
            top: target.top.saturating_sub(margin(grid.rows)),
            left: target.left.saturating_sub(margin(grid.cols)),
            bottom: (target.bottom + margin(grid.rows)).min(grid.rows),
            right: (target.right + margin(grid.cols)).min(grid.cols),
        };
        grid.around(grown, 1.0)
    }

    /// Predicts in `roi` and, while the mask touches its border, in larger ROIs. Returns the last ROI and its
    /// prediction.
    fn predict_enlarging(
        &self,
        context: &Context,
        previous: Option<&[u8]>,
        mut roi: Roi,
        target: PixelBox,
    ) -> Result<(Roi, Vec<u8>)> {
        let grid = &self.grid;
        let mut dense = self.predict(context, previous, roi)?;
        for _ in 0..ENLARGEMENTS {
            let found = bounds(&dense, grid.cols, INSIDE).filter(|found| grid.touches_border(roi, *found));
            let Some(found) = found.filter(|_| roi != grid.whole()) else { break };
            let larger = grid.around(found.union(target), context.options.roi_scale);
            roi = if larger.rows > roi.rows { larger } else { grid.whole() };
            dense = self.predict(context, previous, roi)?;
        }
        Ok((roi, dense))
    }

    /// Averages predictions in ROIs of several sizes around `found`, among them the `first`; each is 0 outside its ROI.
    fn predict_multiscale(
        &self,
        context: &Context,
        previous: Option<&[u8]>,
        (roi, first): (Roi, Vec<u8>),
        found: PixelBox,
    ) -> Result<Vec<u8>> {
        let mut rois = vec![roi];
        for scale in SCALES {
            let other = self.grid.around(found, context.options.roi_scale * scale);
            if !rois.contains(&other) {
                rois.push(other);
            }
        }
        let mut sum: Vec<u16> = first.into_iter().map(u16::from).collect();
        for &other in &rois[1..] {
            let prediction = self.predict(context, previous, other)?;
            sum.iter_mut().zip(prediction).for_each(|(sum, v)| *sum += u16::from(v));
        }
        let n = rois.len() as u16;
        Ok(sum.into_iter().map(|sum| ((sum + n / 2) / n) as u8).collect())
    }

    /// Runs the interaction network in `roi`; `previous` are the probabilities given to it as previous mask.
    fn predict(&self, context: &Context, previous: Option<&[u8]>, roi: Roi) -> Result<Vec<u8>> {
        let (grid, size, device) = (&self.grid, context.size(), context.networks.device());
        let maps = guidance(self.interactions, grid, roi, size);
        let previous = match previous {
            Some(previous) => resize(&roi.crop(previous, grid.rows, grid.cols, |v| f32::from(v) / 255.0), size, size),
            None => Tensor::full([1, 1, size, size], NO_PREVIOUS, (Kind::Float, tch::Device::Cpu)),
        };
        let last = self.interactions.last().expect("interactions");
        let input = InteractionInput {
            slices: context.input(last.axis, Crop::new(last.slice, roi, self.window)),
            previous: previous.to_device(device),
            positive: maps.positive.to_device(device),
            negative: maps.negative.to_device(device),
            boxes: maps.boxes.to_device(device),
        };
        let probability = context.networks.interact(last.kind, &input);
        if probability.sum(Kind::Float).double_value(&[]).is_nan() {
            return Err(not_a_number());
        }
        Ok(roi.paste(&probability, grid.rows, grid.cols))
    }

    /// Whether an interaction bounds the target.
    fn has_box(&self) -> bool {
        self.interactions.iter().any(is_box)
    }

    /// Removes the mask beyond a box and its margin, unless something positive is drawn there, too.
    fn limit_to_box(&self, dense: &mut [u8]) {
        let grid = &self.grid;
        let boxes = self.interactions.iter().filter(|i| is_box(i)).map(|i| i.extent(grid));
        let Some(limit) = boxes.reduce(PixelBox::union) else { return };
        let margin =
            |low: usize, high: usize| (((high - low) as f64 * BOX_MARGIN).ceil() as usize).max(LEAST_BOX_MARGIN);
        let (rows, cols) = (margin(limit.top, limit.bottom), margin(limit.left, limit.right));
        let limit = PixelBox {
            top: limit.top.saturating_sub(rows),
            left: limit.left.saturating_sub(cols),
            bottom: limit.bottom + rows,
            right: limit.right + cols,
        };
        let outside = |b: PixelBox| limit.union(b) != limit;
        if self.interactions.iter().filter(|i| i.positive && !is_box(i)).any(|i| outside(i.extent(grid))) {
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
}

/// Whether the interaction bounds the target.
fn is_box(interaction: &Interaction) -> bool {
    matches!(interaction.kind, InteractionKind::Box | InteractionKind::ExtremePoints)
}
