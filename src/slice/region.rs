//! Boxes of pixels, and the region of interest: the part of a slice that the networks receive.

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

/// A region of interest (ROI) of a slice, in pixels; it may reach beyond the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Roi {
    /// First row; negative when the region begins before the slice.
    pub top: i32,
    /// First column.
    pub left: i32,
    /// Rows.
    pub rows: i32,
    /// Columns.
    pub cols: i32,
}

impl Roi {
    /// Number of pixels.
    pub fn area(&self) -> usize {
        self.rows.max(0) as usize * self.cols.max(0) as usize
    }

    /// Values of the region's pixels, 0 beyond a slice of `rows` x `cols` pixels. `read` receives a row of the slice, a
    /// column of it, and the values to fill from that column on.
    ///
    /// # Shapes
    /// result: `[self.rows, self.cols]`.
    pub(crate) fn read(&self, rows: usize, cols: usize, read: impl Fn(usize, usize, &mut [f32])) -> Vec<f32> {
        let mut out = vec![0f32; self.area()];
        let from = self.left.max(0);
        let to = (self.left + self.cols).min(cols as i32);
        if from >= to {
            return out;
        }
        for (r, line) in out.chunks_exact_mut(self.cols as usize).enumerate() {
            let row = self.top + r as i32;
            if (0..rows as i32).contains(&row) {
                let line = &mut line[(from - self.left) as usize..(to - self.left) as usize];
                read(row as usize, from as usize, line);
            }
        }
        out
    }

    /// Values of the region's pixels as a tensor.
    ///
    /// # Shapes
    /// `values`: `[self.rows, self.cols]`, f32 / `[1, 1, self.rows, self.cols]`.
    pub(crate) fn tensor(&self, values: &[f32]) -> Tensor {
        Tensor::from_slice(values).view([1, 1, i64::from(self.rows), i64::from(self.cols)])
    }

    /// The region's pixels of a dense slice; 0 beyond the slice.
    ///
    /// # Shapes
    /// `dense`: `[rows, cols]` / `[1, 1, self.rows, self.cols]`, f32.
    pub(crate) fn crop<T: Copy>(&self, dense: &[T], rows: usize, cols: usize, value: impl Fn(T) -> f32) -> Tensor {
        self.tensor(&self.pixels(dense, rows, cols, value))
    }

    /// The region's pixels of a dense slice `[rows, cols]`, `[self.rows, self.cols]`; 0 beyond the slice.
    pub(crate) fn pixels<T: Copy>(&self, dense: &[T], rows: usize, cols: usize, value: impl Fn(T) -> f32) -> Vec<f32> {
        self.read(rows, cols, |row, col, line| {
            let from = row * cols + col;
            line.iter_mut().zip(&dense[from..]).for_each(|(out, &v)| *out = value(v));
        })
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

    /// The values of `place` out of those of the region, row by row; `place` lies within the region.
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

    #[test]
    fn the_area_of_an_elongated_region_is_counted_beyond_32_bits() {
        assert_eq!(Roi { top: 0, left: -749_999, rows: 1500, cols: 1_500_000 }.area(), 2_250_000_000);
        assert_eq!(Roi { top: 0, left: 0, rows: -1, cols: 4 }.area(), 0);
    }
}
