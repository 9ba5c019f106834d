//! Agreement of a mask with its reference: overlap, surface distance, and the ends of both.
//!
//! The surface of a mask is its voxels with a face neighbour outside it; beyond the volume is outside. Distances are
//! Euclidean, in mm, between centres of surface voxels. `docs/evaluation.md` has the definitions.

use crate::slice::distance::squared_distance;
use crate::volume::{SliceAxis, SliceMask};
use serde::{Deserialize, Serialize};

/// Voxels in both, in the first and in the second mask.
fn counts(a: &[u8], b: &[u8]) -> (usize, usize, usize) {
    a.iter().zip(b).fold((0, 0, 0), |(both, a, b), (&x, &y)| {
        let (x, y) = (usize::from(x != 0), usize::from(y != 0));
        (both + (x & y), a + x, b + y)
    })
}

/// Dice similarity coefficient, 0..1. Two empty masks agree: 1.
pub fn dice(a: &[u8], b: &[u8]) -> f64 {
    let (both, a, b) = counts(a, b);
    if a + b == 0 { 1.0 } else { 2.0 * both as f64 / (a + b) as f64 }
}

/// Intersection over union, 0..1. Two empty masks agree: 1.
pub fn iou(a: &[u8], b: &[u8]) -> f64 {
    let (both, a, b) = counts(a, b);
    if a + b == 0 { 1.0 } else { both as f64 / (a + b - both) as f64 }
}

/// Agreement of two surfaces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SurfaceAgreement {
    /// Normalised surface dice: share of both surfaces that lies within the tolerance of the other, 0..1. 1 when both
    /// masks are empty, 0 when one is.
    pub nsd: f64,
    /// Hausdorff distance, 95th percentile: the larger of both directions, mm. 0 when both masks are empty, the
    /// diagonal of the volume when one is.
    pub hd95_mm: f64,
}

/// Compares the surfaces of two masks.
///
/// # Shapes
/// `a`, `b`: `[depth, height, width]`; spacing in mm in the same order.
pub fn surfaces(a: &[u8], b: &[u8], shape: [usize; 3], spacing_mm: [f64; 3], tolerance_mm: f64) -> SurfaceAgreement {
    let inside = |i: usize| a[i] != 0 || b[i] != 0;
    let Some((low, high)) = box_of(shape, inside) else { return SurfaceAgreement { nsd: 1.0, hd95_mm: 0.0 } };
    // Both surfaces lie in the box around both masks, so distances are computed there.
    let size = [0, 1, 2].map(|k| high[k] - low[k]);
    let crop = |mask: &[u8]| -> Vec<u8> {
        let mut out = Vec::with_capacity(size.iter().product());
        for z in low[0]..high[0] {
            for y in low[1]..high[1] {
                let at = (z * shape[1] + y) * shape[2];
                out.extend_from_slice(&mask[at + low[2]..at + high[2]]);
            }
        }
        out
    };
    let (sa, sb) = (surface(&crop(a), size), surface(&crop(b), size));
    let points = |s: &[bool]| s.iter().filter(|&&v| v).count();
    let (na, nb) = (points(&sa), points(&sb));
    if na == 0 || nb == 0 {
        let diagonal = (0..3).map(|k| (shape[k] as f64 * spacing_mm[k]).powi(2)).sum::<f64>().sqrt();
        return SurfaceAgreement { nsd: 0.0, hd95_mm: diagonal };
    }
    let distances = |from: &[bool], to: &[bool]| -> Vec<f64> {
        let d = squared_distance(size, spacing_mm, |i| to[i]);
        let mut d: Vec<f64> = (0..d.len()).filter(|&i| from[i]).map(|i| d[i].sqrt()).collect();
        d.sort_by(f64::total_cmp);
        d
    };
    let (ab, ba) = (distances(&sa, &sb), distances(&sb, &sa));
    // Sums of squares are rounded; a distance of exactly the tolerance is within it.
    let tolerance = tolerance_mm * (1.0 + 1e-9);
    let near = |d: &[f64]| d.partition_point(|&v| v <= tolerance);
    SurfaceAgreement {
        nsd: (near(&ab) + near(&ba)) as f64 / (na + nb) as f64,
        hd95_mm: percentile(&ab, 0.95).max(percentile(&ba, 0.95)),
    }
}

/// Value below which the share `p` of `sorted` lies, interpolated linearly (as numpy and MONAI do).
pub(crate) fn percentile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    if part == 0.0 { sorted[low] } else { sorted[low] * (1.0 - part) + sorted[low + 1] * part }
}

/// Smallest box (low, one past high) around the voxels where `inside` holds.
pub(crate) fn box_of(shape: [usize; 3], inside: impl Fn(usize) -> bool) -> Option<([usize; 3], [usize; 3])> {
    let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
    let mut i = 0;
    for z in 0..shape[0] {
        for y in 0..shape[1] {
            for x in 0..shape[2] {
                if inside(i) {
                    for (k, v) in [z, y, x].into_iter().enumerate() {
                        low[k] = low[k].min(v);
                        high[k] = high[k].max(v + 1);
                    }
                }
                i += 1;
            }
        }
    }
    (high[0] > 0).then_some((low, high))
}

fn surface(mask: &[u8], [depth, height, width]: [usize; 3]) -> Vec<bool> {
    let steps = [(0, height * width), (1, width), (2, 1)];
    let size = [depth, height, width];
    let mut out = vec![false; mask.len()];
    for i in (0..mask.len()).filter(|&i| mask[i] != 0) {
        let at = [i / (height * width), i / width % height, i % width];
        out[i] = steps
            .iter()
            .any(|&(k, step)| at[k] == 0 || at[k] + 1 == size[k] || mask[i - step] == 0 || mask[i + step] == 0);
    }
    out
}

/// One slice of a mask `[depth, height, width]`.
pub fn slice_of(mask: &[u8], shape: [usize; 3], axis: SliceAxis, slice: usize) -> SliceMask {
    let (rows, cols) = axis.slice_shape(shape);
    let (along, row, col) = axis.strides(shape);
    let data = (0..rows * cols).map(|i| u8::from(mask[slice * along + i / cols * row + i % cols * col] != 0)).collect();
    SliceMask { rows, cols, data }
}

/// Voxels inside a mask in each slice along `axis`.
pub fn slice_areas(mask: &[u8], shape: [usize; 3], axis: SliceAxis) -> Vec<usize> {
    (0..shape[axis.index()]).map(|k| slice_of(mask, shape, axis, k).area()).collect()
}

/// Slices in which a mask continues beyond the ends of its target, or is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ends {
    /// Slices that are not empty before the first slice of the target.
    pub false_before: usize,
    /// Slices that are not empty after its last slice.
    pub false_after: usize,
    /// Slices with target where the mask is empty.
    pub missed: usize,
}

/// Compares the ends of a mask with those of its target, from their areas in each slice. Without any target every slice
/// of the mask is false and counts as after it.
pub fn ends(mask_areas: &[usize], reference_areas: &[usize]) -> Ends {
    let first = reference_areas.iter().position(|&a| a > 0).unwrap_or(0);
    let last = reference_areas.iter().rposition(|&a| a > 0).map_or(0, |k| k + 1);
    let filled = |areas: &[usize]| areas.iter().filter(|&&a| a > 0).count();
    Ends {
        false_before: filled(&mask_areas[..first]),
        false_after: filled(&mask_areas[last..]),
        missed: mask_areas.iter().zip(reference_areas).filter(|(m, r)| **m == 0 && **r > 0).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_of_hand_made_masks() {
        let a = [1, 1, 1, 0, 0, 0];
        let b = [0, 1, 1, 2, 0, 0];
        assert!((dice(&a, &b) - 4.0 / 6.0).abs() < 1e-12);
        assert_eq!(iou(&a, &b), 0.5);
        let empty = [0; 6];
        assert_eq!((dice(&a, &empty), iou(&empty, &a)), (0.0, 0.0));
        assert_eq!((dice(&empty, &empty), iou(&empty, &empty)), (1.0, 1.0));
    }

    /// A plate one voxel thick at depth `z` of `[8, 3, 3]`.
    fn plate(z: usize) -> Vec<u8> {
        (0..72).map(|i| u8::from(i / 9 == z)).collect()
    }

    #[test]
    fn two_plates_are_as_far_apart_as_they_are() {
        let of = |a: &[u8], b: &[u8], tolerance| surfaces(a, b, [8, 3, 3], [1.5, 1.0, 1.0], tolerance);
        // Every voxel of a plate is surface; its partner lies two slices, 3 mm, away.
        assert_eq!(of(&plate(2), &plate(4), 2.0), SurfaceAgreement { nsd: 0.0, hd95_mm: 3.0 });
        assert_eq!(of(&plate(2), &plate(4), 3.0), SurfaceAgreement { nsd: 1.0, hd95_mm: 3.0 });
        assert_eq!(of(&plate(2), &plate(2), 0.0), SurfaceAgreement { nsd: 1.0, hd95_mm: 0.0 });
        let empty = vec![0; 72];
        assert_eq!(of(&empty, &empty, 1.0), SurfaceAgreement { nsd: 1.0, hd95_mm: 0.0 });
        let alone = of(&plate(2), &empty, 1.0);
        assert_eq!(alone.nsd, 0.0);
        assert!((alone.hd95_mm - (144.0f64 + 9.0 + 9.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn nsd_weighs_both_surfaces_by_their_size_and_hd95_takes_the_worse_direction() {
        // A row of 4 voxels against its first one.
        let long = [1, 1, 1, 1];
        let short = [1, 0, 0, 0];
        let s = surfaces(&long, &short, [1, 1, 4], [1.0, 1.0, 2.0], 2.0);
        // Within 2 mm: 2 of 4 and 1 of 1.
        assert!((s.nsd - 3.0 / 5.0).abs() < 1e-12);
        // Distances 0, 2, 4, 6: the 95th percentile lies 0.85 of the way from 4 to 6.
        assert!((s.hd95_mm - 5.7).abs() < 1e-9);
    }

    #[test]
    fn the_inside_is_no_surface() {
        let cube = vec![1u8; 125];
        let s = surface(&cube, [5, 5, 5]);
        assert_eq!(s.iter().filter(|&&v| v).count(), 125 - 27);
    }

    #[test]
    fn ends_are_counted_on_their_side() {
        let e = ends(&[3, 1, 0, 5, 0, 2, 2, 0], &[0, 0, 4, 4, 4, 4, 0, 0]);
        assert_eq!(e, Ends { false_before: 2, false_after: 1, missed: 2 });
        assert_eq!(ends(&[0, 1, 1], &[0, 0, 0]), Ends { false_before: 0, false_after: 2, missed: 0 });
    }

    #[test]
    fn slices_are_cut_along_every_axis() {
        let mask: Vec<u8> = (0..24).map(|i| u8::from(i % 4 == 1 || i == 8)).collect();
        assert_eq!(slice_of(&mask, [2, 3, 4], SliceAxis::Width, 1).data, [1; 6]);
        assert_eq!(slice_areas(&mask, [2, 3, 4], SliceAxis::Width), [1, 6, 0, 0]);
        assert_eq!(slice_of(&mask, [2, 3, 4], SliceAxis::Height, 2).data, [1, 1, 0, 0, 0, 1, 0, 0]);
    }
}
