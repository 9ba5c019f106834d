//! Guidance maps: interactions as images, input of the interaction network (paper §2.1).
//!
//! A scribble is the drawn stroke, a click or an extreme point a Gaussian with a full width at half maximum of 10
//! network pixels, a box (and the box of extreme points) the filled rectangle. Training uses the same function.

use super::interaction::{Interaction, Stroke, StrokeGrid};
use crate::nn::InteractionKind;
use crate::slice::grid::SliceGrid;
use crate::slice::region::Roi;
use tch::Tensor;

/// Full width at half maximum of a point, network pixels. That of the published interaction network.
const POINT_WIDTH: f64 = 10.0;
/// Points are 0 beyond this many widths. Chosen: the Gaussian has fallen to 0.2 %.
const POINT_REACH: f64 = 1.5;

/// Positive, negative and box map of the interactions on one slice.
#[derive(Debug)]
pub struct Guidance {
    /// `[1, 1, size, size]`, 0..1.
    pub positive: Tensor,
    /// `[1, 1, size, size]`, 0..1.
    pub negative: Tensor,
    /// `[1, 1, size, size]`, 0 or 1.
    pub boxes: Tensor,
}

/// Draws the maps of `interactions`, all on one slice, for the region of interest `roi`.
///
/// # Shapes
/// Three maps `[1, 1, size, size]`, f32, on the CPU.
pub fn guidance(interactions: &[Interaction], grid: &SliceGrid, roi: Roi, size: i64) -> Guidance {
    let n = size as usize;
    let mut positive = vec![0f32; n * n];
    let mut negative = vec![0f32; n * n];
    let mut boxes = vec![0f32; n * n];
    for interaction in interactions {
        let map = if interaction.positive { &mut positive } else { &mut negative };
        match (&interaction.stroke, interaction.kind) {
            (Stroke::Raster(mask), _) => {
                for i in (0..mask.data.len()).filter(|&i| mask.data[i] != 0) {
                    let (r, c) = ((i / mask.cols) as f64, (i % mask.cols) as f64);
                    fill(map, n, roi.to_network(r - 0.5, c - 0.5, size), roi.to_network(r + 0.5, c + 0.5, size));
                }
            }
            (_, InteractionKind::Scribble) => {
                let strokes = stroke_grid(grid, roi, n);
                strokes.visit(&interaction.line_mm(grid), interaction.radius_mm(grid), |i| map[i] = 1.0);
            }
            (_, InteractionKind::Click) => {
                interaction.in_plane().iter().for_each(|p| splat(map, n, roi.to_network(p.0, p.1, size)));
            }
            (_, InteractionKind::Box | InteractionKind::ExtremePoints) => {
                let points: Vec<_> = interaction.in_plane().iter().map(|p| roi.to_network(p.0, p.1, size)).collect();
                if interaction.kind == InteractionKind::ExtremePoints {
                    points.iter().for_each(|p| splat(map, n, *p));
                }
                let low = points.iter().fold((f64::MAX, f64::MAX), |a, p| (a.0.min(p.0), a.1.min(p.1)));
                let high = points.iter().fold((f64::MIN, f64::MIN), |a, p| (a.0.max(p.0), a.1.max(p.1)));
                fill(&mut boxes, n, low, high);
            }
        }
    }
    let tensor = |map: Vec<f32>| Tensor::from_slice(&map).view([1, 1, size, size]);
    Guidance { positive: tensor(positive), negative: tensor(negative), boxes: tensor(boxes) }
}

/// The network's pixels in millimetres of the slice.
fn stroke_grid(grid: &SliceGrid, roi: Roi, n: usize) -> StrokeGrid {
    let (row_mm, col_mm) = (grid.row_mm, grid.col_mm);
    let pitch = (f64::from(roi.rows) / n as f64 * row_mm, f64::from(roi.cols) / n as f64 * col_mm);
    let first =
        ((f64::from(roi.top) - 0.5) * row_mm + 0.5 * pitch.0, (f64::from(roi.left) - 0.5) * col_mm + 0.5 * pitch.1);
    StrokeGrid { rows: n, cols: n, first, pitch }
}

/// Sets every pixel that the rectangle from `low` to `high` touches, at least one.
fn fill(map: &mut [f32], n: usize, low: (f64, f64), high: (f64, f64)) {
    let range = |a: f64, b: f64| {
        if b < -0.5 || a > n as f64 - 0.5 {
            return 0..0;
        }
        let from = a.round().clamp(0.0, n as f64 - 1.0) as usize;
        from..(b.round().clamp(0.0, n as f64) as usize).max(from + 1)
    };
    for r in range(low.0, high.0) {
        map[r * n..(r + 1) * n][range(low.1, high.1)].fill(1.0);
    }
}

/// Adds a Gaussian at `centre`; overlapping ones keep the larger value.
fn splat(map: &mut [f32], n: usize, centre: (f64, f64)) {
    let reach = POINT_REACH * POINT_WIDTH;
    let range =
        |x: f64| (x - reach).ceil().max(0.0) as usize..((x + reach).floor() + 1.0).clamp(0.0, n as f64) as usize;
    // The Gaussian is a product of one along rows and one along columns.
    let along = |x: f64| {
        let weight = move |i: usize| {
            (-4.0 * std::f64::consts::LN_2 * (i as f64 - x).powi(2) / (POINT_WIDTH * POINT_WIDTH)).exp()
        };
        range(x).map(weight).collect::<Vec<_>>()
    };
    let (rows, cols) = (along(centre.0), along(centre.1));
    for (r, row) in range(centre.0).zip(&rows) {
        for (c, col) in range(centre.1).zip(&cols) {
            map[r * n + c] = map[r * n + c].max((row * col) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{SliceAxis, SliceMask};

    const GRID: SliceGrid = SliceGrid { rows: 16, cols: 16, row_mm: 1.0, col_mm: 1.0 };
    const ROI: Roi = Roi { top: 0, left: 0, rows: 16, cols: 16 };

    fn drawn(kind: InteractionKind, positive: bool, stroke: Stroke) -> Interaction {
        Interaction { segment: 1, axis: SliceAxis::Depth, slice: 0, kind, positive, stroke }
    }

    fn points(list: &[(f64, f64)]) -> Stroke {
        Stroke::Points { points: list.iter().map(|p| [0.0, p.0, p.1]).collect(), radius_mm: 0.1 }
    }

    fn sum(t: &Tensor) -> f64 {
        t.sum(tch::Kind::Float).double_value(&[])
    }

    #[test]
    fn a_click_is_a_gaussian_ten_pixels_wide() {
        let g = guidance(&[drawn(InteractionKind::Click, false, points(&[(8.0, 8.0)]))], &GRID, ROI, 16);
        assert_eq!(sum(&g.positive), 0.0);
        assert_eq!(g.negative.double_value(&[0, 0, 8, 8]), 1.0);
        assert!((g.negative.double_value(&[0, 0, 8, 13]) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_box_is_filled_and_extreme_points_have_both() {
        let corners = points(&[(2.0, 4.0), (10.0, 12.0)]);
        let g = guidance(&[drawn(InteractionKind::Box, true, corners)], &GRID, ROI, 16);
        assert_eq!((sum(&g.boxes), sum(&g.positive)), (64.0, 0.0));
        let extremes = points(&[(2.0, 8.0), (10.0, 8.0), (5.0, 4.0), (5.0, 12.0)]);
        let g = guidance(&[drawn(InteractionKind::ExtremePoints, true, extremes)], &GRID, ROI, 16);
        assert_eq!(sum(&g.boxes), 64.0);
        assert_eq!(g.positive.double_value(&[0, 0, 5, 4]), 1.0);
    }

    #[test]
    fn strokes_keep_their_place_at_another_resolution() {
        let mut mask = SliceMask::zeros(16, 16);
        mask.data[4 * 16 + 6] = 1;
        let raster = [drawn(InteractionKind::Scribble, true, Stroke::Raster(mask))];
        let fine = guidance(&raster, &GRID, ROI, 32);
        // Pixel (4, 6) covers network pixels 8, 9 and 12, 13.
        assert_eq!(sum(&fine.positive), 4.0);
        assert_eq!(fine.positive.double_value(&[0, 0, 9, 12]), 1.0);
        let coarse = guidance(&raster, &GRID, ROI, 8);
        assert_eq!(coarse.positive.double_value(&[0, 0, 2, 3]), 1.0);
        let line = [drawn(InteractionKind::Scribble, true, points(&[(4.0, 2.0), (4.0, 9.0)]))];
        let g = guidance(&line, &GRID, Roi { top: 2, left: 0, rows: 8, cols: 8 }, 8);
        // Row 4 of the slice is row 2 of the region; the part beyond it is cut off.
        assert_eq!(g.positive.get(0).get(0).get(2).sum(tch::Kind::Float).double_value(&[]), 6.0);
        assert_eq!(sum(&g.positive), 6.0);
    }
}
