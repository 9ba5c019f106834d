//! The last word on the slices between annotated ones: what the chains say of them, what the annotated masks alone would leave
//! there, and the image, put together in three dimensions.
//!
//! A chain sees one slice after the other and passes its errors on. Here each slice is held against the slices on both sides and
//! against the annotated ones at once ([`crate::engine::refine::random_walk`]). Between two annotated slices that are close together, the border drawn
//! from one to the other ([`crate::slice::shape::between`]) is better than anything carried: it has the more weight, the closer they
//! are in diameters of the target. What the pixels of the annotated slices look like ([`crate::engine::refine::appearance_model`]) counts besides.

mod appearance_model;
mod logistic;
mod random_walk;

use super::compute::Context;
use super::session::progress::CancelToken;
use crate::error::{Error, Result};
use crate::slice::plane::Plane;
use crate::slice::region::{PixelBox, Roi};
use crate::slice::resample::resize;
use crate::slice::shape::{Position, Shape, between};
use crate::slice::window::crop_window;
use crate::torch::threads;
use crate::volume::{SliceAxis, Volume};
use appearance_model::AppearanceModel;
use random_walk::Block;
use std::ops::Range;
use tch::Tensor;

/// Pixels around all masks.
const MARGIN: usize = 12;
/// Slices beyond the last mask towards an open end.
const BEYOND: usize = 2;
/// Most rows and columns that are worked on; larger masks are made smaller, and what changes is made larger again.
const SIDE: usize = 128;
/// Weight of what a pixel looks like against what was carried, both as logits.
const APPEARANCE_WEIGHT: f32 = 0.9;
/// Least probability, and of the other, that was carried: one that is certain cannot be argued with.
const LEAST: f32 = 0.01;
/// Most voxels that are worked on together.
const MOST: usize = 2_000_000;

/// One slice of an interval: number, probabilities, quality.
pub(super) type SliceEstimate = (usize, Plane, f32);

/// Puts the consecutive `slices` of an interval right; `ends` are the annotated slices below and above, where there are any. Where a slice
/// becomes empty or stops being so, its quality is how much that was doubted.
///
/// # Errors
/// [`Error::Cancelled`] when `cancel` was asked for.
pub(super) fn refine(
    context: &Context,
    axis: SliceAxis,
    ends: [Option<(usize, Plane)>; 2],
    slices: &mut [SliceEstimate],
    cancel: &CancelToken,
) -> Result<()> {
    let closed = ends.iter().all(|e| e.as_ref().is_some_and(|(_, mask)| !mask.is_empty()));
    let held = |(_, plane, _): &SliceEstimate| !plane.is_empty();
    let (first, last) = match (slices.iter().position(held), slices.iter().rposition(held)) {
        _ if closed => (0, slices.len()),
        (Some(first), Some(last)) => (first.saturating_sub(BEYOND), (last + 1 + BEYOND).min(slices.len())),
        _ => return Ok(()),
    };
    let slices = &mut slices[first..last];
    let planes = slices.iter().map(|(_, plane, _)| plane).chain(ends.iter().flatten().map(|(_, mask)| mask));
    let Some(place) = planes.filter_map(Plane::extent).reduce(PixelBox::union) else { return Ok(()) };
    let window = Window::around(context, axis, place);
    let shape_prior = closed.then(|| ShapePrior::new(&window, &ends)).flatten();
    let appearance = AppearanceModel::new(&ends.iter().flatten().map(|end| window.example(end)).collect::<Vec<_>>());
    let adjacent = |end: &Option<(usize, Plane)>, slice: usize| {
        let end = end.as_ref().filter(|(k, _)| k.abs_diff(slice) == 1);
        end.map(|(k, mask)| ResampledSlice { probability: window.resample(mask), image: flat(&window.slice(*k)) })
    };
    let [below, above] = &ends;
    // What is known of the slice before: the annotated one, later the last of the part before.
    let mut before = adjacent(below, slices[0].0);
    let at_once = (MOST / (window.side[0] * window.side[1])).max(1);
    let least = context.options.min_area;
    let mut start = 0;
    while start < slices.len() {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let end = (start + at_once).min(slices.len());
        // With the slice after these, which the next part changes.
        let known = &slices[start..(end + 1).min(slices.len())];
        let jobs = known.iter().map(|slice| (slice, appearance.as_ref().map(AppearanceModel::share))).collect();
        let resampled = threads::map(jobs, |((k, plane, _), appearance): (&SliceEstimate, Option<AppearanceModel>)| {
            let slice = window.slice(*k);
            let mut probability = window.resample(plane);
            if let Some(appearance) = appearance.filter(|_| !plane.is_empty()) {
                join_appearance(&mut probability, &appearance.logits(&slice));
            }
            if let Some(shape_prior) = &shape_prior {
                shape_prior.join(*k, &mut probability);
            }
            ResampledSlice { probability, image: flat(&slice) }
        });
        let free = usize::from(before.is_some())..usize::from(before.is_some()) + end - start;
        let after = if end == slices.len() { adjacent(above, slices[end - 1].0) } else { None };
        let mut resampled: Vec<ResampledSlice> = before.into_iter().chain(resampled).chain(after).collect();
        let walked = window.walk(&resampled, free.clone());
        let jobs = slices[start..end].iter_mut().zip(&walked).collect();
        threads::map(jobs, |((_, plane, quality), walked): (&mut SliceEstimate, &Vec<f32>)| {
            let new = window.changed(plane, walked, least);
            if (new.area() > 0) != (plane.area() > 0) {
                *quality = 1.0 - *quality;
            }
            *plane = new;
        });
        let image = resampled.swap_remove(free.end - 1).image;
        before = walked.into_iter().next_back().map(|probability| ResampledSlice { probability, image });
        start = end;
    }
    Ok(())
}

/// A slice as it is worked on, row by row.
struct ResampledSlice {
    /// 0..1.
    probability: Vec<f32>,
    /// Intensities, 0..1.
    image: Vec<f32>,
}

/// Pixels of the slices that are worked on, and how large they are made.
struct Window<'a> {
    volume: &'a Volume,
    /// Intensities that become 0 and 1.
    levels: (f64, f64),
    axis: SliceAxis,
    roi: Roi,
    place: PixelBox,
    /// Rows and columns.
    side: [usize; 2],
    /// Distance of slices, rows and columns, mm.
    spacing: [f64; 3],
}

impl<'a> Window<'a> {
    fn around(context: &Context<'a>, axis: SliceAxis, masks: PixelBox) -> Window<'a> {
        let grid = context.grid(axis);
        let place = PixelBox {
            top: masks.top.saturating_sub(MARGIN),
            left: masks.left.saturating_sub(MARGIN),
            bottom: (masks.bottom + MARGIN).min(grid.rows),
            right: (masks.right + MARGIN).min(grid.cols),
        };
        let pixels = [place.bottom - place.top, place.right - place.left];
        let side = pixels.map(|n| n.min(SIDE));
        let thickness = context.volume.geometry().spacing_mm[axis.index()];
        let mm = |i: usize, mm: f64| mm * pixels[i] as f64 / side[i] as f64;
        Window {
            volume: context.volume,
            levels: context.window,
            axis,
            roi: Roi { top: place.top as i32, left: place.left as i32, rows: pixels[0] as i32, cols: pixels[1] as i32 },
            place,
            side,
            spacing: [thickness, mm(0, grid.row_mm), mm(1, grid.col_mm)],
        }
    }

    fn scaled(&self, pixels: &Tensor) -> Tensor {
        resize(pixels, self.side[0] as i64, self.side[1] as i64).contiguous()
    }

    /// Intensities of a slice, `[1, 1, rows, columns]`, 0..1.
    fn slice(&self, slice: usize) -> Tensor {
        self.scaled(&crop_window(self.volume, self.levels, self.axis, slice, self.roi))
    }

    /// An annotated slice and its mask, each `[1, 1, rows, columns]`.
    fn example(&self, (slice, mask): &(usize, Plane)) -> (Tensor, Tensor) {
        (self.slice(*slice), self.scaled(&self.pixels(&mask.part(self.roi))))
    }

    fn pixels(&self, values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, 1, i64::from(self.roi.rows), i64::from(self.roi.cols)])
    }

    /// Probabilities, 0..1.
    fn resample(&self, plane: &Plane) -> Vec<f32> {
        flat(&self.scaled(&self.pixels(&plane.part(self.roi))))
    }

    /// New probabilities of the `free` ones of consecutive slices; the others keep theirs.
    fn walk(&self, slices: &[ResampledSlice], free: Range<usize>) -> Vec<Vec<f32>> {
        let fixed: Vec<bool> = (0..slices.len()).map(|i| !free.contains(&i)).collect();
        let image: Vec<f32> = slices.iter().flat_map(|s| &s.image).copied().collect();
        let prior: Vec<f32> = slices.iter().flat_map(|s| &s.probability).copied().collect();
        let block = Block { side: self.side, spacing: self.spacing, image: &image, fixed: &fixed };
        let area = self.side[0] * self.side[1];
        block.walk(&prior).chunks_exact(area).skip(free.start).take(free.len()).map(<[f32]>::to_vec).collect()
    }

    /// A plane whose probabilities have become `walked`; empty when fewer than `least` pixels are left inside.
    fn changed(&self, plane: &Plane, walked: &[f32], least: usize) -> Plane {
        let pixels = plane.part(self.roi);
        let new = if self.side == [self.roi.rows as usize, self.roi.cols as usize] {
            walked.to_vec()
        } else {
            // What is finer than was worked on stays as it was.
            let change: Vec<f32> = walked.iter().zip(self.resample(plane)).map(|(new, old)| new - old).collect();
            let change = Tensor::from_slice(&change).view([1, 1, self.side[0] as i64, self.side[1] as i64]);
            let change = resize(&change, i64::from(self.roi.rows), i64::from(self.roi.cols));
            pixels.iter().zip(flat(&change)).map(|(p, change)| p + change).collect()
        };
        let bytes: Vec<u8> = new.iter().map(|p| (p.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        let plane = Plane::from_part(&bytes, self.place);
        if plane.area() < least { Plane::default() } else { plane }
    }
}

fn flat(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.contiguous().view([-1])).expect("f32")
}

/// Probabilities that were carried, joined with the logits of what the pixels look like.
fn join_appearance(carried: &mut [f32], logits: &[f32]) {
    for (p, logit) in carried.iter_mut().zip(logits) {
        let known = p.clamp(LEAST, 1.0 - LEAST);
        *p = 1.0 / (1.0 + (1.0 - known) / known * (-APPEARANCE_WEIGHT * logit).exp());
    }
}

/// What two annotated masks leave between them.
struct ShapePrior {
    ends: [usize; 2],
    shapes: [Shape; 2],
    /// Weight against what was carried.
    share: f32,
}

impl ShapePrior {
    fn new(window: &Window, ends: &[Option<(usize, Plane)>; 2]) -> Option<ShapePrior> {
        let [Some((a, lower)), Some((b, upper))] = ends else { return None };
        let [thickness, row, col] = window.spacing;
        let cols = window.side[1];
        let masks = [lower, upper].map(|mask| window.resample(mask));
        let area = masks.iter().flatten().filter(|&&p| p >= 0.5).count() as f64 / 2.0;
        let diameter = 2.0 * (area * row * col / std::f64::consts::PI).sqrt();
        let gap = (b - a) as f64 * thickness;
        let share = (-gap / diameter.max(1e-9)).exp() as f32;
        Some(ShapePrior { ends: [*a, *b], shapes: masks.map(|mask| Shape::new(&mask, cols)), share })
    }

    /// Joins it with the probabilities carried to `slice`.
    fn join(&self, slice: usize, carried: &mut [f32]) {
        let position = Position { walked: slice - self.ends[0], left: self.ends[1] - slice };
        let Some(distance) = between(&self.shapes[0], &self.shapes[1], position) else { return };
        for (p, d) in carried.iter_mut().zip(distance) {
            *p += self.share * (1.0 / (1.0 + (-d).exp()) - *p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appearance_counts_nine_tenths_and_nothing_is_certain() {
        let mut carried = [0.5, 0.0, 1.0];
        join_appearance(&mut carried, &[1.0, 4.6, 0.0]);
        // Odds 1 and e^0.9; 1/99 and e^4.14; 99 and 1.
        let odds = [0.9f32.exp(), 4.14f32.exp() / 99.0, 99.0];
        let expected = odds.map(|o| o / (1.0 + o));
        assert!(carried.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-5), "{carried:?} {expected:?}");
    }
}
