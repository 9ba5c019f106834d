//! The intensity window of a segment. The session's window serves every segment, except in CT: it begins at -250 HU and
//! makes lung and air alike, so that a segment most of whose voxels are darker gets a window that begins below them.

use crate::engine::session::options::SessionOptions;
use crate::engine::session::state::SegmentState;
use crate::slice::plane::INSIDE;
use crate::slice::window::CT_WINDOW;
use crate::volume::{SliceAxis, Volume, Voxel};
use crate::with_voxels;

/// Share of the target's voxels that may lie below the window. Chosen.
const BELOW: f64 = 0.1;
/// The window begins this much below the darkest of the others, HU, so that they differ from air. Chosen.
const MARGIN: f64 = 100.0;
/// Windows begin at multiples of this, HU, so that features stay valid while annotations are added. Chosen.
const STEP: f64 = 100.0;
/// No window begins below this, HU: air.
const LOWEST: f64 = -1000.0;

/// The session's default `window`, widened for a target with intensities `values` (NaN and infinite ones do not count)
/// if their median lies below it: with fewer dark voxels, as in the colon, masks are worse in a wider window
/// (docs/experiments.md, "Window"). It stays as it is where it was given or is not that of CT.
pub(crate) fn target_window(
    window: (f64, f64),
    options: &SessionOptions,
    values: impl FnOnce() -> Vec<f32>,
) -> (f64, f64) {
    if options.window.is_some() || window.0 != CT_WINDOW.0 {
        return window;
    }
    let mut values: Vec<f32> = values().into_iter().filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return window;
    }
    let mut percentile = |share: f64| {
        let at = ((values.len() - 1) as f64 * share) as usize;
        f64::from(*values.select_nth_unstable_by(at, f32::total_cmp).1)
    };
    if percentile(0.5) >= window.0 {
        return window;
    }
    let low = percentile(BELOW);
    ((((low - MARGIN) / STEP).floor() * STEP).clamp(LOWEST, window.0), window.1)
}

/// Intensities of the voxels inside the masks of a segment's annotated slices.
pub(crate) fn annotated_values(volume: &Volume, segment: &SegmentState) -> Vec<f32> {
    let mut values = Vec::new();
    for axis in SliceAxis::ALL {
        for slice in segment.axis(axis).annotated() {
            let mask = segment.field.slice(axis, slice);
            let inside: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] >= INSIDE).collect();
            values.extend(pixel_values(volume, axis, slice, &inside));
        }
    }
    values
}

/// Intensities of some pixels of a slice, given by their row-major indices.
pub(crate) fn pixel_values(volume: &Volume, axis: SliceAxis, slice: usize, pixels: &[usize]) -> Vec<f32> {
    let (_, cols) = axis.slice_shape(volume.shape());
    let (along, per_row, per_col) = axis.strides(volume.shape());
    let index = |i: usize| slice * along + i / cols * per_row + i % cols * per_col;
    with_voxels!(volume.data(), voxels => pixels.iter().map(|&i| voxels[index(i)].to_f32()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Geometry, VoxelData};

    #[test]
    fn dark_targets_of_ct_widen_its_window() {
        let options = SessionOptions::default();
        let of = |values: &[f32]| target_window(CT_WINDOW, &options, || values.to_vec());
        // 11 values: the second lowest is where the window begins, the sixth is the median.
        let lung = [-930.0, -861.0, -830.0, -820.0, -810.0, -771.0, -720.0, -700.0, -600.0, -500.0, 20.0];
        assert_eq!(of(&lung), (-1000.0, 450.0));
        assert_eq!(of(&lung.map(|v| v + 400.0)), (-600.0, 450.0));
        let colon = [-985.0, -972.0, -900.0, -500.0, -235.0, -42.0, 0.0, 5.0, 29.0, 41.0, 700.0];
        assert_eq!(of(&colon), CT_WINDOW);
        assert_eq!((of(&[-3000.0]), of(&[]), of(&[f32::NAN])), ((-1000.0, 450.0), CT_WINDOW, CT_WINDOW));
        // A window of another modality, and one that was given.
        assert_eq!(target_window((5.0, 995.0), &options, || vec![-900.0]), (5.0, 995.0));
        let given = SessionOptions { window: Some(CT_WINDOW), ..options };
        assert_eq!(target_window(CT_WINDOW, &given, || vec![-900.0]), CT_WINDOW);
    }

    #[test]
    fn pixels_of_each_axis_are_the_right_voxels() {
        let data = VoxelData::I16((0..24).collect());
        let volume = Volume::new([2, 3, 4], data, Geometry::default()).unwrap();
        let of = |axis, slice| pixel_values(&volume, axis, slice, &[0, 5]);
        assert_eq!(of(SliceAxis::Depth, 1), [12.0, 17.0]);
        // Slices of 2 x 4 and of 2 x 3 pixels.
        assert_eq!(of(SliceAxis::Height, 2), [8.0, 21.0]);
        assert_eq!(of(SliceAxis::Width, 3), [3.0, 23.0]);
    }
}
