//! The slice of some points.

use crate::volume::{SliceAxis, Volume};

/// Coordinates that differ by less than this, voxels, are equal. Chosen: conversion from millimetres rounds.
const SAME: f64 = 0.05;

/// Points on one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Axis the slice is cut along.
    pub axis: SliceAxis,
    /// Slice number.
    pub slice: usize,
    /// Continuous voxel indices `[depth, height, width]`, exactly on the slice.
    pub points: Vec<[f64; 3]>,
}

/// The difference of the largest and the smallest coordinate along `axis`.
fn spread(points: &[[f64; 3]], axis: SliceAxis) -> f64 {
    let of = points.iter().map(|p| p[axis.index()]);
    of.clone().fold(f64::NEG_INFINITY, f64::max) - of.fold(f64::INFINITY, f64::min)
}

/// The axis along which the points agree best; of several that agree exactly, the first.
pub(crate) fn best_axis(points: &[[f64; 3]]) -> SliceAxis {
    let spreads = SliceAxis::ALL.map(|axis| spread(points, axis));
    let least = spreads.iter().copied().fold(f64::INFINITY, f64::min);
    SliceAxis::ALL.into_iter().find(|axis| spreads[axis.index()] <= least + SAME).unwrap_or(SliceAxis::Depth)
}

/// Checks that points (continuous voxel indices) lie in the volume.
pub(crate) fn check_inside(points: &[[f64; 3]], volume: &Volume) -> Result<(), String> {
    let shape = volume.shape();
    let outside = |p: &[f64; 3]| (0..3).any(|k| !(p[k] >= -0.5 && p[k] <= shape[k] as f64 - 0.5));
    match points.iter().position(outside) {
        Some(i) => Err(format!(
            "point {} lies outside the volume: its voxel index is {}, the volume has {} x {} x {} voxels (depth, \
             height, width). Is it drawn on this volume?",
            i + 1,
            index_text(points[i]),
            shape[0],
            shape[1],
            shape[2]
        )),
        None => Ok(()),
    }
}

/// `[12.0, 3.5, 7.0]`
fn index_text(p: [f64; 3]) -> String {
    format!("[{:.1}, {:.1}, {:.1}]", p[0], p[1], p[2])
}

impl Placed {
    /// Finds the slice of `points`, unless its `axis` or its number is given.
    ///
    /// # Errors
    /// A text when a point lies outside the volume, or they lie on no common slice.
    pub fn find(
        mut points: Vec<[f64; 3]>,
        axis: Option<SliceAxis>,
        slice: Option<usize>,
        volume: &Volume,
    ) -> Result<Placed, String> {
        if points.is_empty() {
            return Err("there is no point; draw at least one".into());
        }
        check_inside(&points, volume)?;
        let axis = axis.unwrap_or_else(|| best_axis(&points));
        let along = axis.index();
        let last = volume.slice_count(axis) - 1;
        let number = |x: f64| (x.round().max(0.0) as usize).min(last);
        // In a plane that is not quite parallel to the slices, points differ by a part of a voxel.
        if spread(&points, axis) > 1.0 {
            let slices = points.iter().map(|p| number(p[along]));
            return Err(format!(
                "the points lie on no common slice: along axis {along}, where they agree best, they are on slices {} \
                 to {}. Draw them on one slice of the volume (in 3D Slicer: rotate the slice view to the volume plane)",
                slices.clone().min().unwrap_or(0),
                slices.max().unwrap_or(0)
            ));
        }
        let middle = points.iter().map(|p| p[along]).sum::<f64>() / points.len() as f64;
        let slice = match slice {
            None => number(middle),
            Some(slice) if slice > last => {
                return Err(format!(
                    "slice {slice} is out of range; the volume has slices 0 to {last} along axis {along}"
                ));
            }
            Some(slice) if (middle - slice as f64).abs() > 0.5 => {
                return Err(format!(
                    "the points are on slice {} along axis {along}, not on slice {slice}; correct one of them",
                    number(middle)
                ));
            }
            Some(slice) => slice,
        };
        points.iter_mut().for_each(|p| p[along] = slice as f64);
        Ok(Placed { axis, slice, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Geometry, VoxelData};

    fn volume() -> Volume {
        Volume::new([4, 10, 20], VoxelData::U8(vec![0; 800]), Geometry::default()).unwrap()
    }

    fn find(points: &[[f64; 3]]) -> Result<(SliceAxis, usize), String> {
        Placed::find(points.to_vec(), None, None, &volume()).map(|p| (p.axis, p.slice))
    }

    #[test]
    fn the_axis_is_where_points_agree_best() {
        assert_eq!(find(&[[2.0, 1.0, 3.0], [2.0, 8.0, 15.0]]), Ok((SliceAxis::Depth, 2)));
        assert_eq!(find(&[[0.0, 7.2, 3.0], [3.0, 6.9, 15.0]]), Ok((SliceAxis::Height, 7)));
        assert_eq!(find(&[[0.0, 1.0, 19.4], [3.0, 9.0, 19.4]]), Ok((SliceAxis::Width, 19)));
        // A line along a row lies on a slice of two axes, a point on one of each: the first axis counts.
        assert_eq!(find(&[[2.01, 1.0, 3.0], [1.99, 1.0, 15.0]]), Ok((SliceAxis::Depth, 2)));
        assert_eq!(find(&[[2.6, 1.0, 3.0]]), Ok((SliceAxis::Depth, 3)));
    }

    #[test]
    fn points_are_moved_onto_their_slice() {
        let placed = Placed::find(vec![[1.8, 1.5, 3.0], [2.4, 8.0, 15.0]], None, None, &volume()).unwrap();
        assert_eq!(placed.points, [[2.0, 1.5, 3.0], [2.0, 8.0, 15.0]]);
    }

    #[test]
    fn what_lies_on_no_slice_is_refused() {
        let text = find(&[[0.0, 1.0, 3.0], [3.0, 8.0, 15.0]]).unwrap_err();
        assert!(text.contains("no common slice") && text.contains("slices 0 to 3"), "{text}");
        for outside in [[4.0, 1.0, 1.0], [0.0, -0.6, 1.0], [0.0, 1.0, f64::NAN]] {
            let text = find(&[[0.0, 1.0, 1.0], outside]).unwrap_err();
            assert!(text.contains("point 2 lies outside"), "{text}");
        }
        assert!(find(&[]).unwrap_err().contains("no point"));
        let on = |slice| Placed::find(vec![[2.0, 1.0, 3.0]], None, Some(slice), &volume());
        assert_eq!(on(2).unwrap().slice, 2);
        assert!(on(1).unwrap_err().contains("are on slice 2"));
        assert!(on(4).unwrap_err().contains("out of range"));
    }
}
