//! Calibration of the quality: Platt scaling of the quality head's logit, by position of the slice.
//!
//! The head is trained on short clips without refinement: without calibration it is too low between annotated slices,
//! where refinement improves the masks, and too certain of the end of a target. The coefficients are fitted to one
//! model's qualities and lie in its header; a model without them reports the head's own qualities.

use super::gain::around;
use crate::engine::propagate::target_end::most_certain;
use crate::nn::QualityCalibration;
use crate::slice::grid::SliceGrid;
use crate::slice::shape::disc_diameter;

/// Qualities are clamped to this and 1 minus this before their logit is taken. Chosen.
const LEAST_QUALITY: f32 = 1e-4;

/// Position of a slice: between annotations, towards an open end, or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// A mask, with an annotated slice with the target on one side alone.
    Open,
    /// A mask between two annotated slices with the target.
    Closed,
    /// No mask.
    Empty,
}

impl QualityCalibration {
    /// The calibrated quality, 0..1: sigmoid(offset + slope logit(quality)).
    fn apply(&self, position: Position, quality: f32) -> f32 {
        let [offset, slope] = match position {
            Position::Open => self.open,
            Position::Closed => self.closed,
            Position::Empty => self.empty,
        };
        let quality = quality.clamp(LEAST_QUALITY, 1.0 - LEAST_QUALITY);
        let logit = (quality / (1.0 - quality)).ln();
        1.0 / (1.0 + (-(offset + slope * logit)).exp())
    }
}

/// Distance of neighbouring slices in diameters of the target, which is that of a disc with its largest area.
pub(crate) fn slice_spacing(areas: &[usize], grid: &SliceGrid, thickness_mm: f64) -> f32 {
    let largest = areas.iter().copied().max().unwrap_or(0).max(1) as f64 * grid.row_mm * grid.col_mm;
    (thickness_mm / disc_diameter(largest)) as f32
}

/// The calibrated quality of every slice. Qualities of annotated slices, of those without an estimate (0), and of those
/// whose annotated neighbours are all empty stay as they are. `spacing`: see [`slice_spacing`].
///
/// # Shapes
/// `quality`, `areas` and `annotated`: one entry a slice / the same.
pub(crate) fn calibrated(
    calibration: &QualityCalibration,
    quality: &[f32],
    areas: &[usize],
    annotated: &[bool],
    spacing: f32,
) -> Vec<f32> {
    let masks = around(&areas.iter().map(|&a| a > 0).collect::<Vec<_>>());
    let limit = |k: usize| {
        let nearest = masks[k].into_iter().flatten().map(|j| j.abs_diff(k)).min();
        nearest.map_or(1.0, |slices| most_certain(slices as f32 * spacing, calibration.least_doubt))
    };
    let position = |k: usize, ends: [Option<usize>; 2]| match ends.map(|end| end.is_some_and(|j| areas[j] > 0)) {
        [false, false] => None,
        _ if areas[k] == 0 => Some(Position::Empty),
        [true, true] => Some(Position::Closed),
        _ => Some(Position::Open),
    };
    let one = |(k, ends): (usize, [Option<usize>; 2])| match position(k, ends) {
        Some(position) if quality[k] > 0.0 && !annotated[k] => {
            let calibrated = calibration.apply(position, quality[k]);
            if position == Position::Empty { calibrated.min(limit(k)) } else { calibrated }
        }
        _ => quality[k],
    };
    around(annotated).into_iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of the default model.
    const CALIBRATION: QualityCalibration =
        QualityCalibration { open: [0.0, 1.0], closed: [0.95, 0.95], empty: [-0.05, 0.42], least_doubt: 0.15 };

    #[test]
    fn qualities_are_calibrated_by_position() {
        let quality = [0.0, 1.0, 1.0, 0.5, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5];
        let areas = [0, 0, 0, 9, 0, 9, 9, 9, 0, 0, 0];
        let annotated = [false, false, false, false, false, true, false, true, false, true, false];
        let sigmoid = |logit: f32| 1.0 / (1.0 + (-logit).exp());
        // Unknown; empty, two and one slice (half a diameter each) beyond the last mask; open; empty; annotated;
        // closed; annotated; empty before an annotated slice without target; annotated; beyond it.
        let ends = [1.0 - 0.15 * 0.5, 1.0 - 0.15 * 0.5f32.sqrt()];
        let expected = [0.0, ends[0], ends[1], 0.5, sigmoid(-0.05), 1.0, sigmoid(0.95), 1.0, sigmoid(-0.05), 1.0, 0.5];
        let got = calibrated(&CALIBRATION, &quality, &areas, &annotated, 0.5);
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn the_logit_is_scaled_and_clamped() {
        // Logit ln 3, and 0.95 + 0.95 ln 3.
        assert!((CALIBRATION.apply(Position::Open, 0.75) - 0.75).abs() < 1e-6);
        let odds = 0.95f32.exp() * 3f32.powf(0.95);
        assert!((CALIBRATION.apply(Position::Closed, 0.75) - odds / (1.0 + odds)).abs() < 1e-6);
        assert!((CALIBRATION.apply(Position::Open, 1.0) - 0.9999).abs() < 1e-5);
    }

    #[test]
    fn slices_are_as_far_apart_as_diameters_of_the_largest_area() {
        // 100 pixels of 0.5 mm x 0.08 pi mm are a disc of 4 mm diameter.
        let grid = SliceGrid { rows: 9, cols: 9, row_mm: 0.5, col_mm: 0.08 * std::f64::consts::PI };
        assert!((slice_spacing(&[3, 100, 0], &grid, 2.0) - 0.5).abs() < 1e-6);
    }
}
