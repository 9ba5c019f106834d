//! Probabilities of a segment in the whole volume.

use super::plane::{INSIDE, Plane};
use crate::volume::SliceAxis;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A segment's probabilities: one plane `[height, width]` for each slice along depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Field<P = Arc<Plane>> {
    pub shape: [usize; 3],
    pub planes: Vec<P>,
}

impl Field {
    pub fn empty(shape: [usize; 3]) -> Field {
        // One empty plane that all slices share.
        let empty = Arc::new(Plane::default());
        Field { shape, planes: vec![empty; shape[0]] }
    }

    /// The probabilities of one slice, `[rows, cols]`.
    pub fn slice(&self, axis: SliceAxis, slice: usize) -> Vec<u8> {
        let (rows, cols) = axis.slice_shape(self.shape);
        let mut dense = vec![0; rows * cols];
        match axis {
            SliceAxis::Depth => self.planes[slice].write_dense(&mut dense, cols),
            SliceAxis::Height => {
                for (plane, row) in self.planes.iter().zip(dense.chunks_exact_mut(cols)) {
                    plane.write_row(slice, row);
                }
            }
            SliceAxis::Width => {
                for (plane, row) in self.planes.iter().zip(dense.chunks_exact_mut(cols)) {
                    plane.write_col(slice, row);
                }
            }
        }
        dense
    }

    /// Replaces the probabilities of the given slices, each `[rows, cols]`.
    pub fn set_slices(&mut self, axis: SliceAxis, slices: &[(usize, Vec<u8>)]) {
        let (_, cols) = axis.slice_shape(self.shape);
        self.set_planes(axis, slices.iter().map(|(slice, dense)| (*slice, Plane::from_dense(dense, cols))).collect());
    }

    /// Replaces the probabilities of the given slices.
    pub fn set_planes(&mut self, axis: SliceAxis, slices: Vec<(usize, Plane)>) {
        if axis == SliceAxis::Depth {
            for (slice, plane) in slices {
                self.planes[slice] = Arc::new(plane);
            }
            return;
        }
        let [_, height, width] = self.shape;
        let (_, cols) = axis.slice_shape(self.shape);
        let (mut dense, mut row) = (vec![0; height * width], vec![0; cols]);
        for (d, plane) in self.planes.iter_mut().enumerate() {
            if plane.is_empty() && slices.iter().all(|(_, new)| !new.has_row(d)) {
                continue;
            }
            plane.write_dense(&mut dense, width);
            for (slice, new) in &slices {
                new.write_row(d, &mut row);
                match axis {
                    SliceAxis::Height => dense[slice * width..(slice + 1) * width].copy_from_slice(&row),
                    _ => row.iter().enumerate().for_each(|(r, &v)| dense[r * width + slice] = v),
                }
            }
            let new = Plane::from_dense(&dense, width);
            if new != **plane {
                *plane = Arc::new(new);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.planes.iter().all(|p| p.is_empty())
    }

    /// Number of voxels of the mask in each slice along `axis`.
    pub fn areas(&self, axis: SliceAxis) -> Vec<usize> {
        let mut areas = vec![0; self.shape[axis.index()]];
        for (d, plane) in self.planes.iter().enumerate() {
            let width = plane.cols as usize;
            if width == 0 {
                continue;
            }
            for (i, row) in plane.data.chunks_exact(width).enumerate() {
                for (j, _) in row.iter().enumerate().filter(|(_, v)| **v >= INSIDE) {
                    areas[[d, plane.top as usize + i, plane.left as usize + j][axis.index()]] += 1;
                }
            }
        }
        areas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_of_every_axis_are_written_and_read_back() {
        let shape = [2, 3, 4];
        for axis in SliceAxis::ALL {
            let (rows, cols) = axis.slice_shape(shape);
            let mut field = Field::empty(shape);
            let new: Vec<u8> = (0..rows * cols).map(|i| 100 + 10 * i as u8).collect();
            field.set_slices(axis, &[(1, new.clone())]);
            assert_eq!(field.slice(axis, 1), new, "{axis:?}");
            assert!(field.slice(axis, 0).iter().all(|&v| v == 0), "{axis:?}");
            // Values from 130 (the fourth on) are inside.
            assert_eq!(field.areas(axis)[1], rows * cols - 3);
            // The same voxel seen along another axis.
            let (r, c) = (rows - 1, cols - 1);
            let mut index = [0; 3];
            index[axis.index()] = 1;
            index[axis.in_plane().0] = r;
            index[axis.in_plane().1] = c;
            assert_eq!(field.slice(SliceAxis::Depth, index[0])[index[1] * 4 + index[2]], new[r * cols + c]);
        }
    }
}
