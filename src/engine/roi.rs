//! Region of interest: a part of a slice, square in millimetres, brought to the networks' input size and back.
//!
//! The region follows the target without jitter: it stays while the target fits, its place snaps to a grid and its
//! size to steps, so that features computed for one round serve the next.

use super::plane::{PixelBox, Plane};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A window of a slice in pixels; it may reach beyond the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Roi {
    /// First row; negative when the window begins before the slice.
    pub top: i32,
    /// First column.
    pub left: i32,
    /// Rows.
    pub rows: i32,
    /// Columns.
    pub cols: i32,
}

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

/// Ratio of neighbouring sizes of a region.
const SIZE_STEP: f64 = 1.25;
/// The target must stay this fraction of the region's side away from its border.
const MARGIN: f64 = 0.06;
/// A region more than this many times as large as wanted is replaced.
const TOO_LARGE: f64 = 2.5;

impl SliceGrid {
    /// The whole slice, centred in a square.
    pub fn whole(&self) -> Roi {
        self.square(self.rows as f64 / 2.0, self.cols as f64 / 2.0, self.whole_side_mm())
    }

    fn whole_side_mm(&self) -> f64 {
        (self.rows as f64 * self.row_mm).max(self.cols as f64 * self.col_mm)
    }

    /// Side of the region wanted for a target in `target`, mm: `scale` times its larger side, but with 16 pixels of
    /// margin on every side, and never more than the slice.
    pub fn wanted_side_mm(&self, target: PixelBox, scale: f64) -> f64 {
        let fine = self.row_mm.min(self.col_mm);
        let side =
            ((target.bottom - target.top) as f64 * self.row_mm).max((target.right - target.left) as f64 * self.col_mm);
        (side * scale).max(side + 32.0 * fine).min(self.whole_side_mm())
    }

    /// A region for a target in `target`, its size and place snapped.
    pub fn around(&self, target: PixelBox, scale: f64) -> Roi {
        let wanted = self.wanted_side_mm(target, scale);
        let whole = self.whole_side_mm();
        // Steps count down from the whole slice, so that the largest region is exactly the slice.
        let steps = ((whole / wanted).ln() / SIZE_STEP.ln()).floor().max(0.0);
        let side = whole / SIZE_STEP.powf(steps);
        let snap = |centre_px: f64, mm: f64| {
            let grid = side / 12.0;
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

    /// Whether `roi` still serves a target in `target`: large enough, not far too large, and with a margin wherever
    /// the slice goes on.
    pub fn serves(&self, roi: Roi, target: PixelBox, scale: f64) -> bool {
        let side = (f64::from(roi.rows) * self.row_mm).max(f64::from(roi.cols) * self.col_mm);
        let wanted = self.wanted_side_mm(target, scale);
        // A region that was sized at the edge of a step must not flip with every pixel.
        side * 1.15 >= wanted && side <= TOO_LARGE * wanted && !self.touches_border(roi, target)
    }

    /// Whether `target` comes close to a border of `roi` beyond which the slice goes on.
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

impl Roi {
    /// The pixels of a dense slice `[rows, cols]` under the region, as f32 `[1, 1, roi.rows, roi.cols]`; 0 beyond the slice.
    pub(crate) fn crop<T: Copy>(&self, dense: &[T], rows: usize, cols: usize, value: impl Fn(T) -> f32) -> Tensor {
        let mut out = vec![0f32; (self.rows * self.cols) as usize];
        for (r, out) in out.chunks_exact_mut(self.cols as usize).enumerate() {
            let row = self.top + r as i32;
            if row < 0 || row >= rows as i32 {
                continue;
            }
            let from = self.left.max(0);
            let to = (self.left + self.cols).min(cols as i32);
            for col in from..to {
                out[(col - self.left) as usize] = value(dense[row as usize * cols + col as usize]);
            }
        }
        Tensor::from_slice(&out).view([1, 1, i64::from(self.rows), i64::from(self.cols)])
    }

    /// Network coordinates of the pixel position (`row`, `col`), for an input of `size` x `size`.
    pub fn to_network(&self, row: f64, col: f64, size: i64) -> (f64, f64) {
        let scale = |x: f64, first: i32, len: i32| (x + 0.5 - f64::from(first)) / f64::from(len) * size as f64 - 0.5;
        (scale(row, self.top, self.rows), scale(col, self.left, self.cols))
    }

    /// The pixels of the region that lie on the slice, counted from the slice's corner.
    fn on_slice(&self, rows: usize, cols: usize) -> PixelBox {
        let within = |first: i32, len: i32, n: usize| {
            let place = |at: i32| at.clamp(0, n as i32) as usize;
            (place(first), place(first + len))
        };
        let ((top, bottom), (left, right)) = (within(self.top, self.rows, rows), within(self.left, self.cols, cols));
        PixelBox { top, left, bottom, right }
    }

    /// Brings probabilities `[1, 1, S, S]` back to the slice: 1/255 steps, `[rows, cols]`, 0 outside the region.
    pub(crate) fn paste(&self, probability: &Tensor, rows: usize, cols: usize) -> Vec<u8> {
        let place = self.on_slice(rows, cols);
        let part = self.visible(&bytes(probability, *self), place);
        let mut dense = vec![0; rows * cols];
        let width = place.right - place.left;
        for (r, line) in part.chunks_exact(width.max(1)).enumerate() {
            let at = (place.top + r) * cols + place.left;
            dense[at..at + width].copy_from_slice(line);
        }
        dense
    }

    /// Of values of the region, those of the pixels of `place`.
    fn visible(&self, values: &[u8], place: PixelBox) -> Vec<u8> {
        let from = (place.left as i32 - self.left) as usize;
        let mut part = Vec::with_capacity((place.bottom - place.top) * (place.right - place.left));
        for row in place.top..place.bottom {
            let at = (row as i32 - self.top) as usize * self.cols as usize + from;
            part.extend_from_slice(&values[at..at + place.right - place.left]);
        }
        part
    }
}

/// Probabilities `[N, 1, S, S]`, each brought back to its slice, of `rows` x `cols` pixels.
pub(crate) fn paste_all(probability: &Tensor, rois: &[Roi], rows: usize, cols: usize) -> Vec<Plane> {
    let plane = |roi: &Roi, values: &[u8]| {
        let place = roi.on_slice(rows, cols);
        Plane::from_part(&roi.visible(values, place), place)
    };
    if !same_size(rois) {
        let one = |(n, roi): (usize, &Roi)| plane(roi, &bytes(&probability.narrow(0, n as i64, 1), *roi));
        return rois.iter().enumerate().map(one).collect();
    }
    let all = bytes(probability, rois[0]);
    rois.iter().zip(all.chunks_exact(all.len() / rois.len())).map(|(roi, values)| plane(roi, values)).collect()
}

/// Planes as seen through their regions, at the networks' input size: `[N, 1, size, size]`, f32, 0..1.
pub(crate) fn see_all(planes: &[(&Plane, Roi)], size: i64) -> Tensor {
    let rois: Vec<Roi> = planes.iter().map(|(_, roi)| *roi).collect();
    let part = |parts: &[f32], roi: Roi| {
        let t = Tensor::from_slice(parts).view([-1, 1, i64::from(roi.rows), i64::from(roi.cols)]);
        resize(&t, size, size).contiguous()
    };
    if same_size(&rois) {
        let parts: Vec<Vec<f32>> = planes.iter().map(|(plane, roi)| plane.part(*roi)).collect();
        return part(&parts.concat(), rois[0]);
    }
    Tensor::cat(&planes.iter().map(|(plane, roi)| part(&plane.part(*roi), *roi)).collect::<Vec<_>>(), 0)
}

fn same_size(rois: &[Roi]) -> bool {
    rois.iter().all(|r| (r.rows, r.cols) == (rois[0].rows, rois[0].cols))
}

/// Probabilities `[N, 1, S, S]` at the size of a region, 1/255 steps, slice after slice.
fn bytes(probability: &Tensor, roi: Roi) -> Vec<u8> {
    let probability = probability.to_device(Device::Cpu).to_kind(Kind::Float);
    let small = resize(&probability, i64::from(roi.rows), i64::from(roi.cols));
    let values = (small.clamp(0.0, 1.0) * 255.0).round().to_kind(Kind::Uint8).contiguous().view([-1]);
    Vec::try_from(&values).expect("a flat tensor of bytes")
}

/// Bilinear resampling, with smoothing where it makes smaller.
///
/// # Shapes
/// `[N, C, H, W]` / `[N, C, rows, cols]`.
pub(crate) fn resize(t: &Tensor, rows: i64, cols: i64) -> Tensor {
    let size = t.size();
    if size[2] == rows && size[3] == cols {
        return t.shallow_clone();
    }
    if size[2] > rows || size[3] > cols {
        return t.internal_upsample_bilinear2d_aa([rows, cols], false, None, None);
    }
    t.upsample_bilinear2d([rows, cols], false, None, None)
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

    #[test]
    fn crop_and_paste_are_inverse_where_sizes_agree() {
        let dense: Vec<u8> = (0..12).map(|i| i * 20).collect();
        let roi = Roi { top: -1, left: 1, rows: 4, cols: 4 };
        let crop = roi.crop(&dense, 3, 4, |v| f32::from(v) / 255.0);
        // First row lies before the slice, last column after it.
        assert_eq!(crop.double_value(&[0, 0, 0, 0]), 0.0);
        assert!((crop.double_value(&[0, 0, 1, 0]) - 20.0 / 255.0).abs() < 1e-6);
        assert_eq!(crop.double_value(&[0, 0, 1, 3]), 0.0);
        let back = roi.paste(&crop, 3, 4);
        assert_eq!(back, [0, 20, 40, 60, 0, 100, 120, 140, 0, 180, 200, 220]);
    }

    #[test]
    fn network_coordinates_put_pixel_centres_on_pixel_centres() {
        let roi = Roi { top: 10, left: 20, rows: 8, cols: 8 };
        // Twice as fine: pixel 10 covers network pixels 0 and 1, its centre lies between them.
        assert_eq!(roi.to_network(10.0, 20.0, 16), (0.5, 0.5));
        assert_eq!(roi.to_network(17.0, 27.0, 16), (14.5, 14.5));
    }
}
