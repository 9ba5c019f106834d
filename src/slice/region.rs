//! Boxes of pixels, and the region of interest: a window of a slice that the networks see.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Rows and columns from `top`, `left` on: half open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// One past the last row.
    pub bottom: usize,
    /// One past the last column.
    pub right: usize,
}

impl PixelBox {
    /// The pixels of the box, row-major, of a slice with `cols` columns that holds it.
    pub fn crop<T: Copy>(self, slice: &[T], cols: usize) -> Vec<T> {
        let row = |r: usize| slice[r * cols + self.left..r * cols + self.right].iter().copied();
        (self.top..self.bottom).flat_map(row).collect()
    }

    /// The smallest box around both.
    pub fn union(self, other: PixelBox) -> PixelBox {
        PixelBox {
            top: self.top.min(other.top),
            left: self.left.min(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }
}

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

impl Roi {
    /// The pixels of a dense slice `[rows, cols]` in the region, as f32 `[1, 1, roi.rows, roi.cols]`; 0 beyond it.
    pub(crate) fn crop<T: Copy>(&self, dense: &[T], rows: usize, cols: usize, value: impl Fn(T) -> f32) -> Tensor {
        let pixels = self.pixels(dense, rows, cols, value);
        Tensor::from_slice(&pixels).view([1, 1, i64::from(self.rows), i64::from(self.cols)])
    }

    /// The pixels of a dense slice `[rows, cols]` in the region, `[roi.rows, roi.cols]`; 0 beyond the slice.
    pub(crate) fn pixels<T: Copy>(&self, dense: &[T], rows: usize, cols: usize, value: impl Fn(T) -> f32) -> Vec<f32> {
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
        out
    }

    /// Network coordinates of the pixel position (`row`, `col`), for an input of `size` x `size`.
    pub fn to_network(&self, row: f64, col: f64, size: i64) -> (f64, f64) {
        let scale = |x: f64, first: i32, len: i32| (x + 0.5 - f64::from(first)) / f64::from(len) * size as f64 - 0.5;
        (scale(row, self.top, self.rows), scale(col, self.left, self.cols))
    }

    /// The pixels of the region that lie on the slice, counted from the slice's corner.
    pub(crate) fn on_slice(&self, rows: usize, cols: usize) -> PixelBox {
        let within = |first: i32, len: i32, n: usize| {
            let place = |at: i32| at.clamp(0, n as i32) as usize;
            (place(first), place(first + len))
        };
        let ((top, bottom), (left, right)) = (within(self.top, self.rows, rows), within(self.left, self.cols, cols));
        PixelBox { top, left, bottom, right }
    }

    /// Of values of the region, those of the pixels of `place`.
    pub(crate) fn visible(&self, values: &[u8], place: PixelBox) -> Vec<u8> {
        let from = (place.left as i32 - self.left) as usize;
        let mut part = Vec::with_capacity((place.bottom - place.top) * (place.right - place.left));
        for row in place.top..place.bottom {
            let at = (row as i32 - self.top) as usize * self.cols as usize + from;
            part.extend_from_slice(&values[at..at + place.right - place.left]);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_coordinates_put_pixel_centres_on_pixel_centres() {
        let roi = Roi { top: 10, left: 20, rows: 8, cols: 8 };
        // Twice as fine: pixel 10 covers network pixels 0 and 1, its centre lies between them.
        assert_eq!(roi.to_network(10.0, 20.0, 16), (0.5, 0.5));
        assert_eq!(roi.to_network(17.0, 27.0, 16), (14.5, 14.5));
    }
}
