//! 3D refinement of propagated probabilities. Inputs: network probabilities, shape interpolation, appearance model,
//! image.
//!
//! A chain carries its errors from slice to slice. Refinement fuses all slices of an interval at once, with the
//! annotated slices as boundary conditions, in three steps (docs/experiments.md, "Refinement"):
//!
//! 1. [`appearance_model`]: each pixel's probability is combined with its likelihood by appearance;
//! 2. shape prior, between two annotated masks: combined with the interpolated shape
//!    ([`crate::slice::shape::between`]),
//!    which has the more weight, the closer the two slices are in diameters of the target;
//! 3. [`random_walk`]: combined with the neighbours in the slice and across, by similarity of intensity.

mod appearance_model;
mod logistic;
mod random_walk;

use super::compute::Context;
use super::propagate::outcome::Estimate;
use super::propagate::target_end;
use super::session::options::SessionOptions;
use super::session::progress::CancelToken;
use crate::error::{Error, Result};
use crate::slice::plane::Plane;
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::{resample, resize};
use crate::slice::shape::{Position, Shape, between, disc_diameter};
use crate::slice::window::WindowedSlices;
use crate::torch::threads;
use appearance_model::AppearanceModel;
use random_walk::Block;
use std::ops::Range;
use tch::Tensor;

/// Pixels around all masks. Chosen.
const MARGIN: usize = 12;
/// Most rows and columns that are computed; of larger regions the change is computed at this size. Chosen.
const SIDE: usize = 128;
/// Weight of the appearance model's logit against that of the propagated probability, before its reliability. Measured:
/// docs/experiments.md, "Refinement", compares fixed weights with weights by reliability.
const APPEARANCE_WEIGHT: f32 = 0.9;
/// Probabilities are clamped to this and 1 minus this before the appearance model is applied. Chosen.
const LEAST_PROBABILITY: f32 = 0.01;
/// Decay of the interpolated shape's weight with the gap between the annotated slices in diameters of the target.
/// Measured: docs/experiments.md, "Refinement".
const SHAPE_DECAY: f64 = 2.5;
/// Least diameter of a target against which a gap is measured, mm: prevents a division by zero.
const LEAST_DIAMETER_MM: f64 = 1e-9;
/// Most voxels that are refined together. Chosen: it bounds the memory of the random walk.
const BLOCK_VOXELS: usize = 2_000_000;

/// The annotated slices below and above an interval, number and mask, if any.
type Ends = [Option<(usize, Plane)>; 2];

/// Refines the consecutive `slices` of an interval, whose images are from `source`; `ends` are the annotated slices
/// below and above, where there are any.
///
/// # Errors
/// [`Error::Cancelled`] when a stop is requested.
pub(super) fn refine<'a>(
    context: &Context<'a>,
    source: WindowedSlices<'a>,
    ends: Ends,
    slices: &mut [Estimate],
    cancel: &CancelToken,
) -> Result<()> {
    let closed = ends.iter().all(|end| end.as_ref().is_some_and(|(_, mask)| !mask.is_empty()));
    let Some(range) = target_end::slices_to_refine(slices, closed) else { return Ok(()) };
    let slices = &mut slices[range];
    let Some(interval) = RefinedInterval::new(context, source, ends, closed, slices) else { return Ok(()) };
    interval.refine(slices, cancel)
}

/// Everything that serves to refine one interval.
struct RefinedInterval<'a> {
    options: &'a SessionOptions,
    ends: Ends,
    window: Window<'a>,
    /// None without a mask at both ends.
    shape_prior: Option<ShapePrior>,
    /// None without a mask at either end.
    appearance: Option<AppearanceModel>,
}

impl<'a> RefinedInterval<'a> {
    /// None when no slice has a mask.
    fn new(
        context: &Context<'a>,
        source: WindowedSlices<'a>,
        ends: Ends,
        closed: bool,
        slices: &[Estimate],
    ) -> Option<RefinedInterval<'a>> {
        let planes = slices.iter().map(|s| &s.plane).chain(ends.iter().flatten().map(|(_, mask)| mask));
        let masks = planes.filter_map(Plane::extent).reduce(PixelBox::union)?;
        let window = Window::around(context, source, masks);
        let examples: Vec<_> = ends.iter().flatten().map(|end| window.example(end)).collect();
        Some(RefinedInterval {
            options: context.options,
            shape_prior: closed.then(|| ShapePrior::new(&window, &ends)).flatten(),
            appearance: AppearanceModel::new(&examples),
            ends,
            window,
        })
    }

    /// Refines the slices, block by block: the slices before a block are refined already, the slice after it is not.
    fn refine(&self, slices: &mut [Estimate], cancel: &CancelToken) -> Result<()> {
        let [below, above] = &self.ends;
        let block = (BLOCK_VOXELS / self.window.pixels()).max(1);
        let mut before = self.neighbour(below, slices[0].slice);
        let mut start = 0;
        while start < slices.len() {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let end = (start + block).min(slices.len());
            let prior = self.prior(&slices[start..(end + 1).min(slices.len())]);
            let after = if end == slices.len() { self.neighbour(above, slices[end - 1].slice) } else { None };
            let free = usize::from(before.is_some())..usize::from(before.is_some()) + end - start;
            let mut resampled: Vec<ResampledSlice> = before.into_iter().chain(prior).chain(after).collect();
            let walked = self.window.walk(&resampled, free.clone());
            self.replace(&mut slices[start..end], &walked);
            let image = resampled.swap_remove(free.end - 1).image;
            before = walked.into_iter().next_back().map(|probability| ResampledSlice { probability, image });
            start = end;
        }
        Ok(())
    }

    /// An annotated slice at the end of the interval, if it is the neighbour of `slice`.
    fn neighbour(&self, end: &Option<(usize, Plane)>, slice: usize) -> Option<ResampledSlice> {
        let (k, mask) = end.as_ref().filter(|(k, _)| k.abs_diff(slice) == 1)?;
        Some(ResampledSlice { probability: self.window.resample(mask), image: flat(&self.window.image(*k)) })
    }

    /// Images of slices and their probabilities, combined with appearance and shape prior.
    fn prior(&self, slices: &[Estimate]) -> Vec<ResampledSlice> {
        let (window, shape_prior) = (&self.window, self.shape_prior.as_ref());
        let jobs = slices.iter().map(|slice| (slice, self.appearance.as_ref().map(AppearanceModel::share))).collect();
        threads::map(jobs, |(estimate, appearance): (&Estimate, Option<AppearanceModel>)| {
            let image = window.image(estimate.slice);
            let mut probability = window.resample(&estimate.plane);
            if let Some(appearance) = appearance.filter(|_| !estimate.plane.is_empty()) {
                combine_appearance(&mut probability, &appearance.logits(&image));
            }
            if let Some(shape_prior) = shape_prior {
                shape_prior.combine(estimate.slice, &mut probability);
            }
            ResampledSlice { probability, image: flat(&image) }
        })
    }

    /// Replaces the estimates by those with refined probabilities.
    fn replace(&self, slices: &mut [Estimate], refined: &[Vec<f32>]) {
        let (window, options) = (&self.window, self.options);
        let jobs = slices.iter_mut().zip(refined).collect();
        threads::map(jobs, |(estimate, probability): (&mut Estimate, &Vec<f32>)| {
            *estimate = target_end::refined(estimate, window.refined(&estimate.plane, probability), options);
        });
    }
}

/// A slice at the computed size, row by row.
struct ResampledSlice {
    /// 0..1.
    probability: Vec<f32>,
    /// Intensities, 0..1.
    image: Vec<f32>,
}

/// The region of an interval's slices that is refined, and the size at which it is computed.
struct Window<'a> {
    source: WindowedSlices<'a>,
    roi: Roi,
    /// The same region.
    place: PixelBox,
    /// Computed rows and columns.
    side: [usize; 2],
    /// Distance of slices, rows and columns, mm.
    spacing: [f64; 3],
}

impl<'a> Window<'a> {
    fn around(context: &Context, source: WindowedSlices<'a>, masks: PixelBox) -> Window<'a> {
        let grid = context.grid(source.axis);
        let place = PixelBox {
            top: masks.top.saturating_sub(MARGIN),
            left: masks.left.saturating_sub(MARGIN),
            bottom: (masks.bottom + MARGIN).min(grid.rows),
            right: (masks.right + MARGIN).min(grid.cols),
        };
        let pixels = [place.bottom - place.top, place.right - place.left];
        let side = pixels.map(|n| n.min(SIDE));
        let thickness = context.volume.geometry().spacing_mm[source.axis.index()];
        let mm = |i: usize, mm: f64| mm * pixels[i] as f64 / side[i] as f64;
        Window {
            source,
            roi: Roi { top: place.top as i32, left: place.left as i32, rows: pixels[0] as i32, cols: pixels[1] as i32 },
            place,
            side,
            spacing: [thickness, mm(0, grid.row_mm), mm(1, grid.col_mm)],
        }
    }

    /// Computed pixels of a slice.
    fn pixels(&self) -> usize {
        self.side[0] * self.side[1]
    }

    /// Intensities of a slice, `[1, 1, rows, columns]`, 0..1.
    fn image(&self, slice: usize) -> Tensor {
        resize(&self.source.crop(slice, self.roi), self.side[0] as i64, self.side[1] as i64).contiguous()
    }

    /// An annotated slice and its mask, each `[1, 1, rows, columns]`.
    fn example(&self, (slice, mask): &(usize, Plane)) -> (Tensor, Tensor) {
        (self.image(*slice), resample(mask, self.roi, self.side))
    }

    /// Probabilities of a plane, 0..1, `[rows, columns]`.
    fn resample(&self, plane: &Plane) -> Vec<f32> {
        flat(&resample(plane, self.roi, self.side))
    }

    /// Probabilities of the `free` ones of consecutive slices after the random walk; the others are boundary
    /// conditions.
    fn walk(&self, slices: &[ResampledSlice], free: Range<usize>) -> Vec<Vec<f32>> {
        let fixed: Vec<bool> = (0..slices.len()).map(|i| !free.contains(&i)).collect();
        let image: Vec<f32> = slices.iter().flat_map(|s| &s.image).copied().collect();
        let prior: Vec<f32> = slices.iter().flat_map(|s| &s.probability).copied().collect();
        let block = Block { side: self.side, spacing: self.spacing, image: &image, fixed: &fixed };
        block.walk(&prior).chunks_exact(self.pixels()).skip(free.start).take(free.len()).map(<[f32]>::to_vec).collect()
    }

    /// The plane with new probabilities, given at the computed size. Where that is smaller than the region, the change
    /// is resampled and added, so that details of the plane remain.
    fn refined(&self, plane: &Plane, probability: &[f32]) -> Plane {
        let new = if self.side == [self.roi.rows as usize, self.roi.cols as usize] {
            probability.to_vec()
        } else {
            let change: Vec<f32> = probability.iter().zip(self.resample(plane)).map(|(new, old)| new - old).collect();
            let change = Tensor::from_slice(&change).view([1, 1, self.side[0] as i64, self.side[1] as i64]);
            let change = resize(&change, i64::from(self.roi.rows), i64::from(self.roi.cols));
            plane.part(self.roi).iter().zip(flat(&change)).map(|(p, change)| p + change).collect()
        };
        let bytes: Vec<u8> = new.iter().map(|p| (p.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        Plane::from_part(&bytes, self.place)
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.contiguous().view([-1])).expect("f32")
}

/// Adds the appearance model's logits, weighted, to those of the probabilities.
fn combine_appearance(probability: &mut [f32], logits: &[f32]) {
    for (p, logit) in probability.iter_mut().zip(logits) {
        let known = p.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY);
        *p = 1.0 / (1.0 + (1.0 - known) / known * (-APPEARANCE_WEIGHT * logit).exp());
    }
}

/// The shapes interpolated between two annotated masks.
struct ShapePrior {
    ends: [usize; 2],
    shapes: [Shape; 2],
    /// Weight against the propagated probabilities: exp(-[`SHAPE_DECAY`] gap / diameter of the target).
    weight: f32,
}

impl ShapePrior {
    /// None without an annotated slice at either end.
    fn new(window: &Window, ends: &Ends) -> Option<ShapePrior> {
        let [Some((a, lower)), Some((b, upper))] = ends else { return None };
        let [thickness, row, col] = window.spacing;
        let cols = window.side[1];
        let masks = [lower, upper].map(|mask| window.resample(mask));
        let area = masks.iter().flatten().filter(|&&p| p >= 0.5).count() as f64 / 2.0;
        let diameter = disc_diameter(area * row * col);
        let weight = shape_weight((b - a) as f64 * thickness, diameter);
        Some(ShapePrior { ends: [*a, *b], shapes: masks.map(|mask| Shape::new(&mask, cols)), weight })
    }

    /// The weighted mean of the probabilities propagated to `slice` and the interpolated shape.
    fn combine(&self, slice: usize, probability: &mut [f32]) {
        let position = Position { walked: slice - self.ends[0], left: self.ends[1] - slice };
        let Some(distance) = between(&self.shapes[0], &self.shapes[1], position) else { return };
        for (p, d) in probability.iter_mut().zip(distance) {
            *p += self.weight * (1.0 / (1.0 + (-d).exp()) - *p);
        }
    }
}

/// Weight of an interpolated shape between annotated slices `gap` apart; both in mm.
fn shape_weight(gap: f64, diameter: f64) -> f32 {
    (-SHAPE_DECAY * gap / diameter.max(LEAST_DIAMETER_MM)).exp() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpolated_shape_counts_little_across_a_wide_gap() {
        // Two fifths of a diameter: 1/e. Two diameters: e^-5. A target of no area: nothing.
        assert!((shape_weight(8.0, 20.0) - (-1f32).exp()).abs() < 1e-6);
        assert!((shape_weight(40.0, 20.0) - (-5f32).exp()).abs() < 1e-6);
        assert_eq!(shape_weight(1.0, 0.0), 0.0);
    }

    #[test]
    fn appearance_counts_nine_tenths_and_nothing_is_certain() {
        let mut probability = [0.5, 0.0, 1.0];
        combine_appearance(&mut probability, &[1.0, 4.6, 0.0]);
        // Odds 1 and e^0.9; 1/99 and e^4.14; 99 and 1.
        let odds = [0.9f32.exp(), 4.14f32.exp() / 99.0, 99.0];
        let expected = odds.map(|o| o / (1.0 + o));
        assert!(probability.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-5), "{probability:?} {expected:?}");
    }
}
