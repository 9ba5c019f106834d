//! How far a correction changes the mask of its slice: wholly where it is drawn, less and less beyond, so that what is
//! right elsewhere stays. FocalClick (Chen et al., 2022) merges a correction into its surroundings for the same reason.
//!
//! probability = before + w (predicted - before), w = exp(-d² / reach²), d: distance from the nearest drawn pixel.
//!
//! The reach grows with the mask and with the distance of what is drawn from the border of the mask: a correction far
//! from it means that much of the mask is wrong.

use super::interaction::Interaction;
use crate::slice::distance::squared_distance;
use crate::slice::grid::SliceGrid;
use crate::slice::plane::{FLOOR, INSIDE, bounds};
use crate::slice::region::PixelBox;
use std::f64::consts::PI;

/// Reach over the radius of a disc as large as the mask. Measured: docs/experiments.md, "Interaction".
const BY_SIZE: f64 = 2.0;
/// Reach over the distance of what is drawn from the border of the mask, where that gives more. Measured: the same.
const BY_ERROR: f64 = 6.0;

/// A scribble or click on a slice that holds a mask.
pub(crate) struct Correction<'a> {
    grid: &'a SliceGrid,
    /// Probabilities before the correction `[rows, cols]`, 1/255.
    before: &'a [u8],
    /// Drawn pixels, at least one, ascending.
    drawn: Vec<usize>,
    positive: bool,
}

impl Correction<'_> {
    /// The scribble or click `drawn` on a slice with the probabilities `before` `[rows, cols]`, 1/255.
    pub fn new<'a>(drawn: &Interaction, before: &'a [u8], grid: &'a SliceGrid) -> Correction<'a> {
        let mut pixels = drawn.fixed_pixels(grid);
        pixels.sort_unstable();
        Correction { grid, before, drawn: pixels, positive: drawn.positive }
    }

    /// Draws the probabilities `predicted` back to those before, the more the farther away from what is drawn.
    ///
    /// # Shapes
    /// `predicted`: `[rows, cols]`, 1/255.
    pub fn limit(&self, predicted: &mut [u8]) {
        let cols = self.grid.cols;
        let part = self.part(predicted);
        let drawn = self.distances(part, |i| self.drawn.binary_search(&i).is_ok());
        let reach = self.reach(part);
        for (d2, i) in drawn.into_iter().zip(pixels(part, cols)) {
            let weight = (-d2 / (reach * reach)).exp();
            let (before, now) = (f64::from(self.before[i]), f64::from(predicted[i]));
            predicted[i] = (before + weight * (now - before)).round() as u8;
        }
    }

    /// The part of the slice that holds what is drawn, all probabilities that are kept, and their border.
    fn part(&self, predicted: &[u8]) -> PixelBox {
        let SliceGrid { rows, cols, .. } = *self.grid;
        let at = |&i: &usize| PixelBox { top: i / cols, left: i % cols, bottom: i / cols + 1, right: i % cols + 1 };
        let drawn = self.drawn.iter().map(at);
        let held = [self.before, predicted].into_iter().filter_map(|dense| bounds(dense, cols, FLOOR));
        let all = drawn.chain(held).reduce(PixelBox::union).expect("something is drawn");
        PixelBox {
            top: all.top.saturating_sub(1),
            left: all.left.saturating_sub(1),
            bottom: (all.bottom + 1).min(rows),
            right: (all.right + 1).min(cols),
        }
    }

    /// Reach in mm.
    fn reach(&self, part: PixelBox) -> f64 {
        let SliceGrid { cols, row_mm, col_mm, .. } = *self.grid;
        let inside = |i: usize| self.before[i] >= INSIDE;
        let area = pixels(part, cols).filter(|&i| inside(i)).count() as f64 * row_mm * col_mm;
        // A pixel that already has the drawn value lies at no distance from the border.
        let border = self.distances(part, |i| inside(i) == self.positive);
        let error2 = border.into_iter().zip(pixels(part, cols)).filter(|(_, i)| self.drawn.binary_search(i).is_ok());
        let error = error2.map(|(d2, _)| d2).filter(|d2| d2.is_finite()).fold(0.0, f64::max).sqrt();
        (BY_SIZE * (area / PI).sqrt()).max(BY_ERROR * error)
    }

    /// Squared distances (mm²) of the pixels of `part` to the nearest one of it where `to` holds.
    fn distances(&self, part: PixelBox, to: impl Fn(usize) -> bool) -> Vec<f64> {
        let SliceGrid { cols, row_mm, col_mm, .. } = *self.grid;
        let (height, width) = (part.bottom - part.top, part.right - part.left);
        squared_distance([1, height, width], [1.0, row_mm, col_mm], |i| {
            to((part.top + i / width) * cols + part.left + i % width)
        })
    }
}

/// The pixels of `part` in a slice with `cols` columns, row by row.
fn pixels(part: PixelBox, cols: usize) -> impl Iterator<Item = usize> {
    (part.top..part.bottom).flat_map(move |r| r * cols + part.left..r * cols + part.right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Stroke;
    use crate::nn::InteractionKind;
    use crate::volume::SliceAxis;
    use std::ops::Range;

    const GRID: SliceGrid = SliceGrid { rows: 30, cols: 40, row_mm: 1.0, col_mm: 2.0 };

    /// A click at row 10 and column `col`.
    fn click(col: f64, positive: bool) -> Interaction {
        let stroke = Stroke::Points { points: vec![[0.0, 10.0, col]], radius_mm: 0.0 };
        Interaction { segment: 1, axis: SliceAxis::Depth, slice: 0, kind: InteractionKind::Click, positive, stroke }
    }

    /// Some rows of columns 4 to 13, which are 20 mm wide.
    fn bar(rows: Range<usize>) -> Vec<u8> {
        let inside = |i: usize| rows.contains(&(i / 40)) && (4..14).contains(&(i % 40));
        (0..1200).map(|i| if inside(i) { 255 } else { 0 }).collect()
    }

    #[test]
    fn a_correction_changes_less_farther_away() {
        let before = bar(9..12);
        // Two columns, that is 4 mm, beyond the bar's last one: a reach of 24 mm, for 2 sqrt(60 mm² / pi) = 8.7 mm.
        let mut predicted = vec![0; 1200];
        (0..1200).filter(|i| i % 40 >= 14).for_each(|i| predicted[i] = 200);
        Correction::new(&click(15.0, true), &before, &GRID).limit(&mut predicted);
        let faded = |value: f64, mm: f64| (value * (-(mm / 24.0f64).powi(2)).exp()).round() as u8;
        assert_eq!(predicted[10 * 40 + 15], 200);
        assert_eq!(predicted[10 * 40 + 27], faded(200.0, 24.0));
        assert_eq!(faded(200.0, 24.0), 74);
        // The prediction takes the bar away: its far end, 22 mm from the click, loses this much.
        assert_eq!(predicted[10 * 40 + 4], 255 - faded(255.0, 22.0));
    }

    #[test]
    fn a_correction_beside_the_border_reaches_as_far_as_the_mask_is_large() {
        let before = bar(5..16);
        // Inside, one column and 2 mm from the border: 12 mm for an error as deep, less than the 16.7 mm by size.
        let mut predicted = vec![0; 1200];
        Correction::new(&click(13.0, false), &before, &GRID).limit(&mut predicted);
        let reach = 2.0 * (220.0 / PI).sqrt();
        let kept = |mm: f64| (255.0 - 255.0 * (-(mm / reach).powi(2)).exp()).round() as u8;
        assert_eq!(predicted[10 * 40 + 13], 0);
        assert_eq!(predicted[10 * 40 + 10], kept(6.0));
        assert_eq!(predicted[10 * 40 + 4], kept(18.0));
    }

    #[test]
    fn where_nothing_changes_the_probabilities_stay() {
        let before = bar(9..12);
        let mut predicted = before.clone();
        Correction::new(&click(39.0, true), &before, &GRID).limit(&mut predicted);
        assert_eq!(predicted, before);
    }
}
