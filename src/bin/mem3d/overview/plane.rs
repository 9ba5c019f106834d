//! Slices in radiological orientation, cropped, and their contours.

use super::canvas::Point;
use mem3d::slice::region::PixelBox;
use mem3d::volume::{Geometry, SliceAxis, Volume, Voxel};
use mem3d::with_voxels;

/// One slice's values in display order: rows downwards, columns to the right.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane<T> {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<T>,
}

/// Orientation of the slices of one axis for display, and their spacing.
///
/// Axial slices have the patient's right at the left and the front at the top, coronal and sagittal ones the head
/// at the top; an oblique volume is turned by quarters only.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    axis: SliceAxis,
    shape: [usize; 3],
    transpose: bool,
    flip_rows: bool,
    flip_cols: bool,
    /// Distance of neighbouring rows and columns as displayed, mm.
    pub spacing_mm: (f64, f64),
    /// The patient's directions: letters for left edge and top edge.
    pub letters: (char, char),
}

impl View {
    pub fn new(shape: [usize; 3], geometry: &Geometry, axis: SliceAxis) -> Self {
        let (r, c) = axis.in_plane();
        let towards = |axis: usize| {
            let d = geometry.direction[axis];
            let k = (0..3).max_by(|&a, &b| d[a].abs().total_cmp(&d[b].abs())).expect("three components");
            (k, d[k] > 0.0)
        };
        // Left-right is always shown across, head-foot always downwards, front-back whichever is left.
        let transpose = towards(r).0 < towards(c).0;
        let (down, across) = if transpose { (c, r) } else { (r, c) };
        let ((down_k, down_up), (across_k, across_up)) = (towards(down), towards(across));
        // LPS grows to the left (shown at the right), to the back and to the head.
        let flip_rows = if down_k == 2 { down_up } else { !down_up };
        let flip_cols = if across_k == 2 { across_up } else { !across_up };
        const FIRST: [char; 3] = ['R', 'A', 'H'];
        View {
            axis,
            shape,
            transpose,
            flip_rows,
            flip_cols,
            spacing_mm: (geometry.spacing_mm[down], geometry.spacing_mm[across]),
            letters: (FIRST[across_k], FIRST[down_k]),
        }
    }

    /// Rows and columns as displayed.
    pub fn size(&self) -> (usize, usize) {
        let (rows, cols) = self.axis.slice_shape(self.shape);
        if self.transpose { (cols, rows) } else { (rows, cols) }
    }

    /// Number of slices.
    pub fn slice_count(&self) -> usize {
        self.shape[self.axis.index()]
    }

    /// Slice number `slice` of an array, `value` of each voxel.
    pub fn slice<T: Copy, U>(&self, array: &[T], slice: usize, value: impl Fn(T) -> U) -> Plane<U> {
        let (along, per_row, per_col) = self.axis.strides(self.shape);
        let (down, across) = if self.transpose { (per_col, per_row) } else { (per_row, per_col) };
        let (rows, cols) = self.size();
        let mut data = Vec::with_capacity(rows * cols);
        for row in 0..rows {
            let r = if self.flip_rows { rows - 1 - row } else { row };
            for col in 0..cols {
                let c = if self.flip_cols { cols - 1 - col } else { col };
                data.push(value(array[slice * along + r * down + c * across]));
            }
        }
        Plane { rows, cols, data }
    }

    /// Slice number `slice` of `volume` in grey values: `window` is mapped to 0..255.
    pub fn grey(&self, volume: &Volume, slice: usize, window: (f64, f64)) -> Plane<u8> {
        let scale = 255.0 / (window.1 - window.0);
        with_voxels!(volume.data(), v => self.slice(v, slice, |x| {
            // The cast saturates; a voxel that is not a number becomes black.
            ((Voxel::to_f64(x) - window.0) * scale).round() as u8
        }))
    }
}

impl<T: Copy> Plane<T> {
    /// The part within `crop`, which lies inside the plane.
    pub fn crop(&self, crop: PixelBox) -> Plane<T> {
        let data = crop.crop(&self.data, self.cols);
        Plane { rows: crop.bottom - crop.top, cols: crop.right - crop.left, data }
    }
}

impl Plane<bool> {
    /// The line between inside and outside: segments `((x, y), (x, y))` in pixels, where pixel (row 0, col 0) covers
    /// x and y 0..1. Marching squares over pixel centres; what touches the plane's edge is closed there.
    pub fn contour(&self) -> Vec<(Point, Point)> {
        let at = |row: i64, col: i64| {
            let inside = row >= 0 && col >= 0 && (row as usize) < self.rows && (col as usize) < self.cols;
            inside && self.data[row as usize * self.cols + col as usize]
        };
        let mut segments = Vec::new();
        for row in -1..self.rows as i64 {
            for col in -1..self.cols as i64 {
                let corners = [at(row, col), at(row, col + 1), at(row + 1, col + 1), at(row + 1, col)].map(u8::from);
                let (x, y) = (col as f32 + 0.5, row as f32 + 0.5);
                let (top, right) = ((x + 0.5, y), (x + 1.0, y + 0.5));
                let (bottom, left) = ((x + 0.5, y + 1.0), (x, y + 0.5));
                match corners[0] | corners[1] << 1 | corners[2] << 2 | corners[3] << 3 {
                    0 | 15 => {}
                    1 | 14 => segments.push((left, top)),
                    2 | 13 => segments.push((top, right)),
                    4 | 11 => segments.push((right, bottom)),
                    8 | 7 => segments.push((bottom, left)),
                    3 | 12 => segments.push((left, right)),
                    6 | 9 => segments.push((top, bottom)),
                    // Two pixels that only touch at a corner stay apart.
                    5 => segments.extend([(left, top), (right, bottom)]),
                    _ => segments.extend([(top, right), (bottom, left)]),
                }
            }
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mem3d::volume::VoxelData;

    fn geometry(direction: [[f64; 3]; 3]) -> Geometry {
        Geometry { spacing_mm: [3.0, 2.0, 1.0], direction, ..Geometry::default() }
    }

    #[test]
    fn slices_are_turned_to_radiological_display() {
        let values = [0u8, 1, 2, 3, 4, 5, 6, 7];
        // Standard orientation: axial slices stay as they are.
        let g = Geometry::default();
        let axial = View::new([2, 2, 2], &g, SliceAxis::Depth);
        assert_eq!(axial.slice(&values, 0, |v| v).data, [0, 1, 2, 3]);
        assert_eq!(axial.letters, ('R', 'A'));
        // Coronal: rows are depth, which grows to the head, and the head is shown at the top.
        let coronal = View::new([2, 2, 2], &g, SliceAxis::Height);
        assert_eq!(coronal.slice(&values, 0, |v| v).data, [4, 5, 0, 1]);
        assert_eq!(coronal.letters, ('R', 'H'));
        // Width grows to the right and height to the front (as in many NIfTI files): both are turned.
        let g = geometry([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]]);
        assert_eq!(View::new([2, 2, 2], &g, SliceAxis::Depth).slice(&values, 0, |v| v).data, [3, 2, 1, 0]);
    }

    #[test]
    fn rows_and_columns_change_places_when_left_right_would_run_downwards() {
        // Height grows to the left, width to the back.
        let g = geometry([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        let view = View::new([1, 2, 3], &g, SliceAxis::Depth);
        assert_eq!(view.size(), (3, 2));
        assert_eq!(view.spacing_mm, (1.0, 2.0));
        assert_eq!(view.slice(&[0u8, 1, 2, 3, 4, 5], 0, |v| v).data, [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn the_window_becomes_black_to_white() {
        let data = VoxelData::I16(vec![-1000, 0, 40, 100, 2000]);
        let volume = Volume::new([1, 1, 5], data, Geometry::default()).unwrap();
        let view = View::new([1, 1, 5], volume.geometry(), SliceAxis::Depth);
        assert_eq!(view.grey(&volume, 0, (0.0, 100.0)).data, [0, 0, 102, 255, 255]);
    }

    #[test]
    fn the_contour_of_one_pixel_is_a_diamond_around_its_centre() {
        let mask = Plane { rows: 3, cols: 3, data: [0, 0, 0, 0, 1, 0, 0, 0, 0].map(|v| v == 1).to_vec() };
        let segments = mask.contour();
        assert_eq!(segments.len(), 4);
        for (a, b) in &segments {
            for p in [a, b] {
                assert_eq!((p.0 - 1.5).abs() + (p.1 - 1.5).abs(), 0.5);
            }
        }
    }

    #[test]
    fn a_mask_at_the_edge_has_a_closed_contour() {
        let full = Plane { rows: 2, cols: 2, data: vec![true; 4] };
        let segments = full.contour();
        // Every point is met twice: no loose end.
        let mut ends: Vec<_> = segments.iter().flat_map(|(a, b)| [*a, *b]).map(|p| (p.0 * 2.0, p.1 * 2.0)).collect();
        ends.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(ends.len(), 16);
        assert!(ends.chunks(2).all(|c| c[0] == c[1]));
        let crop = full.crop(PixelBox { top: 0, left: 1, bottom: 2, right: 2 });
        assert_eq!((crop.rows, crop.cols, crop.data.len()), (2, 1, 2));
    }
}
