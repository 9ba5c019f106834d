//! Rows, columns and spacing of slices, and the region of interest that serves a target.
//!
//! The region follows the target without jitter: it stays while the target fits, its position snaps to a grid and its
//! size to steps, so that features computed in one round are reused in the next.

use super::region::{PixelBox, Roi};
use crate::volume::{SliceAxis, Volume};

/// Shape and in-plane spacing of the slices along one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SliceGrid {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Distance of neighbouring rows, mm.
    pub row_mm: f64,
    /// Distance of neighbouring columns, mm.
    pub col_mm: f64,
}

/// Rows, columns and spacing of the slices of `volume` along `axis`.
pub fn slice_grid(volume: &Volume, axis: SliceAxis) -> SliceGrid {
    let (rows, cols) = axis.slice_shape(volume.shape());
    let (r, c) = axis.in_plane();
    let spacing = volume.geometry().spacing_mm;
    SliceGrid { rows, cols, row_mm: spacing[r], col_mm: spacing[c] }
}

/// Ratio of neighbouring sizes of a region. Chosen.
const SIZE_STEP: f64 = 1.25;
/// The target must stay this fraction of the region's side away from its border. Chosen.
const MARGIN: f64 = 0.06;
/// A region more than this many times as large as wanted is replaced. Chosen.
const TOO_LARGE: f64 = 2.5;
/// A region is large enough if this many times its side reaches the wanted side: a region whose size was rounded down
/// must not be replaced with every pixel that the target grows. Chosen.
const SIZE_TOLERANCE: f64 = 1.15;
/// Least distance of a target from the border of a new region, pixels. Chosen.
const LEAST_MARGIN: f64 = 16.0;
/// Positions of regions are multiples of their side divided by this number. Chosen.
const POSITIONS: f64 = 12.0;

impl SliceGrid {
    /// The whole slice, centred in a square: the largest region. Its rows and columns differ in number as their
    /// distances do, so that it has many more pixels than an elongated slice.
    pub fn whole(&self) -> Roi {
        self.square(self.rows as f64 / 2.0, self.cols as f64 / 2.0, self.whole_side_mm())
    }

    fn whole_side_mm(&self) -> f64 {
        (self.rows as f64 * self.row_mm).max(self.cols as f64 * self.col_mm)
    }

    /// Side of the region wanted for a target in `target`, mm: `scale` times its larger side, with at least
    /// 16 pixels of margin on every side, at most the slice.
    pub fn wanted_side_mm(&self, target: PixelBox, scale: f64) -> f64 {
        let fine = self.row_mm.min(self.col_mm);
        let side =
            ((target.bottom - target.top) as f64 * self.row_mm).max((target.right - target.left) as f64 * self.col_mm);
        (side * scale).max(side + 2.0 * LEAST_MARGIN * fine).min(self.whole_side_mm())
    }

    /// A region for a target in `target`, its size and position snapped.
    pub fn around(&self, target: PixelBox, scale: f64) -> Roi {
        let wanted = self.wanted_side_mm(target, scale);
        let whole = self.whole_side_mm();
        // Steps count down from the whole slice, so that the largest region is exactly the slice.
        let steps = ((whole / wanted).ln() / SIZE_STEP.ln()).floor().max(0.0);
        let side = whole / SIZE_STEP.powf(steps);
        let snap = |centre_px: f64, mm: f64| {
            let grid = side / POSITIONS;
            (centre_px * mm / grid).round() * grid / mm
        };
        let row = snap((target.top + target.bottom) as f64 / 2.0, self.row_mm);
        let col = snap((target.left + target.right) as f64 / 2.0, self.col_mm);
        self.square(row, col, side)
    }

    /// The square of `side` mm about (`row`, `col`), moved into the slice as far as it fits.
    fn square(&self, row: f64, col: f64, side: f64) -> Roi {
        let place = |centre: f64, mm: f64, n: usize| {
            let len = ((side / mm).round() as i32).max(1);
            let n = n as i32;
            let first = (centre - f64::from(len) / 2.0).round() as i32;
            let first = if len >= n { -((len - n) / 2) } else { first.clamp(0, n - len) };
            (first, len)
        };
        let (top, rows) = place(row, self.row_mm, self.rows);
        let (left, cols) = place(col, self.col_mm, self.cols);
        Roi { top, left, rows, cols }
    }

    /// Whether `roi` still serves a target in `target`: large enough, not far too large, and with a margin on each side
    /// where the slice continues.
    pub fn serves(&self, roi: Roi, target: PixelBox, scale: f64) -> bool {
        let side = (f64::from(roi.rows) * self.row_mm).max(f64::from(roi.cols) * self.col_mm);
        let wanted = self.wanted_side_mm(target, scale);
        side * SIZE_TOLERANCE >= wanted && side <= TOO_LARGE * wanted && !self.touches_border(roi, target)
    }

    /// Whether `target` comes close to a border of `roi` beyond which the slice continues.
    pub fn touches_border(&self, roi: Roi, target: PixelBox) -> bool {
        let near = |first: i32, len: i32, n: usize, low: usize, high: usize| {
            let margin = (f64::from(len) * MARGIN).ceil() as i32;
            let before = first > 0 && (low as i32) < first + margin;
            let after = first + len < n as i32 && high as i32 > first + len - margin;
            before || after
        };
        near(roi.top, roi.rows, self.rows, target.top, target.bottom)
            || near(roi.left, roi.cols, self.cols, target.left, target.right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: SliceGrid = SliceGrid { rows: 100, cols: 200, row_mm: 1.0, col_mm: 1.0 };

    fn pixels(top: usize, left: usize, bottom: usize, right: usize) -> PixelBox {
        PixelBox { top, left, bottom, right }
    }

    #[test]
    fn the_whole_slice_is_centred_in_a_square() {
        assert_eq!(GRID.whole(), Roi { top: -50, left: 0, rows: 200, cols: 200 });
        // 1500 m by 2 mm.
        let elongated = SliceGrid { rows: 1500, cols: 2, row_mm: 1000.0, col_mm: 1.0 }.whole();
        assert_eq!(elongated, Roi { top: 0, left: -749_999, rows: 1500, cols: 1_500_000 });
        assert_eq!(elongated.area(), 2_250_000_000);
    }

    #[test]
    fn a_region_is_square_in_millimetres_and_inside_the_slice() {
        let grid = SliceGrid { rows: 50, cols: 400, row_mm: 4.0, col_mm: 0.5 };
        // Both sides of the slice are 200 mm.
        let roi = grid.around(pixels(20, 160, 30, 240), 1.6);
        // Equal up to half a row and half a column.
        assert!((f64::from(roi.rows) * 4.0 - f64::from(roi.cols) * 0.5).abs() <= 2.25, "{roi:?}");
        let corner = grid.around(pixels(0, 0, 10, 80), 1.6);
        assert_eq!((corner.top, corner.left), (0, 0));
    }

    #[test]
    fn a_region_stays_while_the_target_fits_and_is_replaced_when_it_does_not() {
        let roi = GRID.around(pixels(40, 40, 60, 60), 1.6);
        assert!(GRID.serves(roi, pixels(40, 40, 60, 60), 1.6));
        assert!(GRID.serves(roi, pixels(42, 43, 62, 62), 1.6));
        // At its right border.
        let right = (roi.left + roi.cols) as usize;
        assert!(!GRID.serves(roi, pixels(40, right - 21, 60, right - 1), 1.6));
        // Far too small for it now.
        assert!(!GRID.serves(roi, pixels(0, 0, 100, 100), 1.6));
        // A border of the slice is no border of the region.
        let whole = SliceGrid { rows: 100, cols: 100, ..GRID }.whole();
        assert!(!SliceGrid { rows: 100, cols: 100, ..GRID }.touches_border(whole, pixels(0, 0, 100, 100)));
    }

    #[test]
    fn neighbouring_targets_get_the_same_region() {
        let a = GRID.around(pixels(30, 30, 60, 60), 1.6);
        let b = GRID.around(pixels(31, 30, 61, 59), 1.6);
        assert_eq!(a, b);
    }
}
