//! Probabilities of a segment as they are kept: one cropped plane a slice, shared between undo steps.
//!
//! A value is a probability in 1/255; a voxel belongs to the mask from 128 (one half) on. An annotated slice holds 0
//! and 255 only. Planes are immutable and shared, so a snapshot of a whole volume costs one pointer a slice.

use super::region::{PixelBox, Roi};
use crate::volume::SliceMask;
use serde::{Deserialize, Serialize};

/// Smallest stored probability, in 1/255; below it 0 is stored, so that planes stay small. Chosen: 3 %.
pub(crate) const FLOOR: u8 = 8;
/// Least value of a voxel inside the mask: a probability of one half.
pub(crate) const INSIDE: u8 = 128;

/// One slice's probabilities, cropped to where they are not 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plane {
    pub(super) top: u32,
    pub(super) left: u32,
    pub(super) cols: u32,
    pub(super) data: Vec<u8>,
}

impl Plane {
    /// Crops `dense` (`[rows, cols]`, row-major).
    pub fn from_dense(dense: &[u8], cols: usize) -> Plane {
        Plane::from_part(dense, PixelBox { top: 0, left: 0, bottom: dense.len() / cols, right: cols })
    }

    /// Crops `part`, the pixels of `place` (row-major), in a slice that is 0 elsewhere.
    pub fn from_part(part: &[u8], place: PixelBox) -> Plane {
        let cols = place.right - place.left;
        if cols == 0 {
            return Plane::default();
        }
        let Some(b) = bounds(part, cols, FLOOR) else { return Plane::default() };
        let width = b.right - b.left;
        let mut data = Vec::with_capacity(width * (b.bottom - b.top));
        for r in b.top..b.bottom {
            let row = &part[r * cols + b.left..r * cols + b.right];
            data.extend(row.iter().map(|&v| if v < FLOOR { 0 } else { v }));
        }
        Plane { top: (place.top + b.top) as u32, left: (place.left + b.left) as u32, cols: width as u32, data }
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Where the plane is not 0; none when it is empty.
    pub fn extent(&self) -> Option<PixelBox> {
        let (top, left, cols) = (self.top as usize, self.left as usize, self.cols as usize);
        let rows = self.data.len().checked_div(cols)?;
        Some(PixelBox { top, left, bottom: top + rows, right: left + cols })
    }

    /// Whether a pixel lies in the mask.
    pub fn holds_mask(&self) -> bool {
        self.data.iter().any(|&v| v >= INSIDE)
    }

    /// Where the mask is; none when it is empty.
    pub fn mask_extent(&self) -> Option<PixelBox> {
        let (top, left) = (self.top as usize, self.left as usize);
        let b = bounds(&self.data, (self.cols as usize).max(1), INSIDE)?;
        Some(PixelBox { top: b.top + top, left: b.left + left, bottom: b.bottom + top, right: b.right + left })
    }

    /// Pixels of the mask.
    pub fn area(&self) -> usize {
        self.data.iter().filter(|&&v| v >= INSIDE).count()
    }

    /// Largest value, 1/255.
    pub fn largest(&self) -> u8 {
        self.data.iter().copied().max().unwrap_or(0)
    }

    /// Adds `weight` times the plane to `sum`, the pixels of `place` (row-major), which holds all of the plane.
    pub fn add_to(&self, sum: &mut [f32], place: PixelBox, weight: f32) {
        let (width, cols) = (self.cols as usize, place.right - place.left);
        for (i, row) in self.data.chunks_exact(width.max(1)).enumerate() {
            let at = (self.top as usize + i - place.top) * cols + self.left as usize - place.left;
            sum[at..at + width].iter_mut().zip(row).for_each(|(s, &v)| *s += weight * f32::from(v));
        }
    }

    /// Probabilities 0..1 in a region of interest, `[roi.rows, roi.cols]`; 0 beyond the plane.
    pub fn part(&self, roi: Roi) -> Vec<f32> {
        let width = self.cols as usize;
        // The region in the coordinates of the plane.
        let roi = Roi { top: roi.top - self.top as i32, left: roi.left - self.left as i32, ..roi };
        roi.read(self.data.len() / width.max(1), width, |row, col, line| {
            let from = row * width + col;
            line.iter_mut().zip(&self.data[from..]).for_each(|(p, &v)| *p = f32::from(v) / 255.0);
        })
    }

    pub fn bytes(&self) -> usize {
        self.data.len() + size_of::<Plane>()
    }

    /// Whether the plane lies within `[rows, cols]`; one from a damaged file may not.
    pub fn fits(&self, rows: usize, cols: usize) -> bool {
        let n = self.data.len();
        let width = self.cols as usize;
        if n == 0 {
            return true;
        }
        width > 0
            && n.is_multiple_of(width)
            && self.top as usize + n / width <= rows
            && self.left as usize + width <= cols
    }

    /// Writes the plane over zeros into `dense` (`[rows, cols]`).
    pub fn write_dense(&self, dense: &mut [u8], cols: usize) {
        dense.fill(0);
        let width = self.cols as usize;
        if width == 0 {
            return;
        }
        for (i, row) in self.data.chunks_exact(width).enumerate() {
            let at = (self.top as usize + i) * cols + self.left as usize;
            dense[at..at + width].copy_from_slice(row);
        }
    }

    /// Whether row `r` lies within the plane's box.
    pub(super) fn has_row(&self, r: usize) -> bool {
        let top = self.top as usize;
        !self.is_empty() && (top..top + self.data.len() / self.cols as usize).contains(&r)
    }

    /// Copies row `r` over zeros into `out`.
    pub(super) fn write_row(&self, r: usize, out: &mut [u8]) {
        out.fill(0);
        let width = self.cols as usize;
        if width == 0 || r < self.top as usize {
            return;
        }
        if let Some(row) = self.data.chunks_exact(width).nth(r - self.top as usize) {
            out[self.left as usize..self.left as usize + width].copy_from_slice(row);
        }
    }

    /// Copies column `c` over zeros into `out`.
    pub(super) fn write_col(&self, c: usize, out: &mut [u8]) {
        out.fill(0);
        let (left, width) = (self.left as usize, self.cols as usize);
        if c < left || c >= left + width {
            return;
        }
        for (i, row) in self.data.chunks_exact(width).enumerate() {
            out[self.top as usize + i] = row[c - left];
        }
    }
}

/// The box around the values of `dense` (`[rows, cols]`) that are at least `floor`; none if there are none.
pub(crate) fn bounds(dense: &[u8], cols: usize, floor: u8) -> Option<PixelBox> {
    let mut b: Option<PixelBox> = None;
    for (r, row) in dense.chunks_exact(cols).enumerate() {
        let Some(first) = row.iter().position(|&v| v >= floor) else { continue };
        let last = row.iter().rposition(|&v| v >= floor).expect("there is a first") + 1;
        let here = PixelBox { top: r, left: first, bottom: r + 1, right: last };
        b = Some(b.map_or(here, |b| b.union(here)));
    }
    b
}

/// The mask of dense probabilities.
pub(crate) fn mask_of(dense: &[u8], rows: usize, cols: usize) -> SliceMask {
    SliceMask { rows, cols, data: dense.iter().map(|&v| u8::from(v >= INSIDE)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_keeps_its_box_and_drops_tiny_values() {
        // 3x4 with 200 at (1, 1) and 9 at (2, 2); 7 at (0, 0) is below the floor.
        let dense = [7, 0, 0, 0, 0, 200, 0, 0, 0, 0, 9, 0];
        let plane = Plane::from_dense(&dense, 4);
        assert_eq!((plane.top, plane.left, plane.cols), (1, 1, 2));
        assert_eq!(plane.data, [200, 0, 0, 9]);
        let mut back = [1; 12];
        plane.write_dense(&mut back, 4);
        assert_eq!(back, [0, 0, 0, 0, 0, 200, 0, 0, 0, 0, 9, 0]);
        assert!(plane.fits(3, 4) && !plane.fits(2, 4) && !plane.fits(3, 2));
    }

    #[test]
    fn a_part_of_a_slice_becomes_a_plane_and_is_cropped_by_a_region() {
        // 200 at (3, 5) and 9 at (4, 6) of a slice of 6 x 8.
        let plane = Plane::from_part(&[0, 200, 0, 0, 0, 9], PixelBox { top: 3, left: 4, bottom: 5, right: 7 });
        let mut dense = vec![0; 48];
        plane.write_dense(&mut dense, 8);
        assert_eq!(plane, Plane::from_dense(&dense, 8));
        assert_eq!((dense[3 * 8 + 5], dense[4 * 8 + 6]), (200, 9));
        assert_eq!((plane.area(), plane.largest()), (1, 200));
        assert_eq!(plane.extent(), Some(PixelBox { top: 3, left: 5, bottom: 5, right: 7 }));
        assert_eq!(plane.mask_extent(), Some(PixelBox { top: 3, left: 5, bottom: 4, right: 6 }));
        for (top, left, rows, cols) in [(-1, -2, 8, 12), (3, 5, 2, 2), (4, 0, 9, 6), (0, 6, 4, 9), (0, 0, 2, 3)] {
            let roi = Roi { top, left, rows, cols };
            let cropped: Vec<f32> = Vec::try_from(roi.crop(&dense, 6, 8, |v| f32::from(v) / 255.0).view([-1])).unwrap();
            assert_eq!(plane.part(roi), cropped, "{roi:?}");
        }
        let mut sum = [1.0; 12];
        plane.add_to(&mut sum, PixelBox { top: 2, left: 4, bottom: 5, right: 8 }, 0.5);
        assert_eq!(sum, [1.0, 1.0, 1.0, 1.0, 1.0, 101.0, 1.0, 1.0, 1.0, 1.0, 5.5, 1.0]);
        let empty = Plane::default();
        assert_eq!((empty.extent(), empty.mask_extent(), empty.largest()), (None, None, 0));
    }
}
