//! Intensity window of a volume, and slices as the networks receive them.
//!
//! One window serves the whole volume, never a slice alone: the same tissue has the same value in every slice.

use super::region::Roi;
use super::resample::resize;
use crate::error::{Error, Result};
use crate::volume::{SliceAxis, Volume, Voxel};
use crate::with_voxels;
use tch::Tensor;

/// Voxels from which the percentiles of the default window are computed, at most. Chosen.
const SAMPLES: usize = 1_000_000;
/// Limits of the default window of CT, HU: fat, soft tissue and contrast agent without air and cortical bone. Chosen.
pub(crate) const CT_WINDOW: (f64, f64) = (-250.0, 450.0);

/// Least value of a volume that is taken for CT: that of air or of the scanner's padding, HU. Chosen.
const CT_LEAST: std::ops::RangeInclusive<f64> = -5000.0..=-500.0;

/// The intensities that become 0 and 1: `explicit` if given, else the 0.5th and 99.5th percentile, limited to
/// -250..450 HU if the volume's range is that of CT (least value -5000 to -500, 99.5th percentile above -250).
///
/// # Errors
/// [`Error::InvalidArgument`] for NaN or infinite voxels (unless `replace_non_finite`), an empty or non-finite explicit
/// window, and a volume whose voxels are all the same.
pub fn find_window(volume: &Volume, explicit: Option<(f64, f64)>, replace_non_finite: bool) -> Result<(f64, f64)> {
    let bad = with_voxels!(volume.data(), v => v.iter().filter(|x| !x.to_f64().is_finite()).count());
    if bad > 0 && !replace_non_finite {
        return Err(Error::argument(format!(
            "the volume has {bad} NaN or infinite voxels; clean it, or have them replaced by the window's lower \
             end (the option --replace-non-finite of mem3d, replace_non_finite of a session)"
        )));
    }
    if let Some((low, high)) = explicit {
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::argument(format!("the window {low} to {high} is empty; give its lower end first")));
        }
        return Ok((low, high));
    }
    let step = sample_step(volume.shape());
    let mut values: Vec<f32> = with_voxels!(volume.data(), v => {
        v.iter().step_by(step).map(|x| x.to_f32()).filter(|x| x.is_finite()).collect()
    });
    if values.is_empty() {
        return Err(Error::argument("the volume has no finite voxel; there is nothing to segment"));
    }
    let mut percentile = |p: f64| {
        let k = ((values.len() - 1) as f64 * p).round() as usize;
        f64::from(*values.select_nth_unstable_by(k, f32::total_cmp).1)
    };
    let (least, low, high, most) = (percentile(0.0), percentile(0.005), percentile(0.995), percentile(1.0));
    let (low, high) = if CT_LEAST.contains(&least) && high > CT_WINDOW.0 {
        (low.max(CT_WINDOW.0), high.min(CT_WINDOW.1))
    } else {
        (low, high)
    };
    // A few bright voxels on a constant background: both percentiles are equal.
    let (low, high) = if low < high { (low, high) } else { (least, most) };
    if low < high {
        return Ok((low, high));
    }
    let (least, most) = with_voxels!(volume.data(), v => extremes(v));
    if least < most {
        return Ok((least, most));
    }
    Err(Error::argument(format!(
        "every voxel of the volume is {least}; there is nothing to segment. Check that the right volume was given"
    )))
}

/// Distance of the voxels from which the percentiles are computed, in C order: the least that gives at most [`SAMPLES`]
/// and has no factor in common with a side, so that samples come from all rows and columns alike.
fn sample_step(shape: [usize; 3]) -> usize {
    let voxels: usize = shape.iter().product();
    let least = voxels.div_ceil(SAMPLES).max(1);
    (least..).find(|&step| shape.iter().all(|&side| common_factor(step, side) == 1)).expect("a prime above every side")
}

/// The greatest common factor.
fn common_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_factor(b, a % b) }
}

fn extremes<T: Voxel>(voxels: &[T]) -> (f64, f64) {
    voxels
        .iter()
        .map(|v| v.to_f64())
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
}

/// A volume's slices along one axis, with intensities mapped to 0..1.
#[derive(Debug, Clone, Copy)]
pub struct WindowedSlices<'a> {
    /// The volume.
    pub volume: &'a Volume,
    /// Intensities that become 0 and 1, in the volume's units.
    pub window: (f64, f64),
    /// Axis along which slices are cut.
    pub axis: SliceAxis,
}

impl WindowedSlices<'_> {
    /// A slice's region of interest as the networks receive it, with its neighbours as context slices.
    ///
    /// Pixels beyond the slice are 0; beyond the volume the last slice is repeated.
    ///
    /// # Shapes
    /// result: `[1, context_slices, size, size]`, f32, 0..1, on the CPU.
    pub fn input(&self, slice: usize, roi: Roi, size: i64, context_slices: i64) -> Tensor {
        let half = context_slices / 2;
        let last = self.volume.slice_count(self.axis) as i64 - 1;
        let planes: Vec<Tensor> =
            (-half..=half).map(|offset| self.crop((slice as i64 + offset).clamp(0, last) as usize, roi)).collect();
        resize(&Tensor::cat(&planes, 1), size, size).clamp(0.0, 1.0)
    }

    /// The pixels of a region of interest; 0 beyond the slice.
    ///
    /// # Shapes
    /// result: `[1, 1, roi.rows, roi.cols]`, f32, 0..1.
    pub(crate) fn crop(&self, slice: usize, roi: Roi) -> Tensor {
        let shape = self.volume.shape();
        let (rows, cols) = self.axis.slice_shape(shape);
        let (along, per_row, per_col) = self.axis.strides(shape);
        let (low, high) = self.window;
        let (scale, shift) = ((1.0 / (high - low)) as f32, low as f32);
        let windowed = |value: f32, finite: bool| {
            let v = (value - shift) * scale;
            // NaN and infinity become 0: the session's option replace_non_finite allows them.
            if finite && v > 0.0 { v.min(1.0) } else { 0.0 }
        };
        roi.tensor(&with_voxels!(self.volume.data(), voxels => roi.read(rows, cols, |row, col, line| {
            let first = slice * along + row * per_row + col * per_col;
            for (i, out) in line.iter_mut().enumerate() {
                let voxel = voxels[first + i * per_col];
                *out = windowed(voxel.to_f32(), voxel.to_f64().is_finite());
            }
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Geometry, VoxelData};

    fn volume(shape: [usize; 3], data: VoxelData) -> Volume {
        Volume::new(shape, data, Geometry::default()).unwrap()
    }

    fn depth(volume: &Volume, window: (f64, f64)) -> WindowedSlices<'_> {
        WindowedSlices { volume, window, axis: SliceAxis::Depth }
    }

    #[test]
    fn the_window_is_found_cut_for_ct_and_refused_for_a_constant() {
        // 0..1000: percentiles at positions 5 and 995 of 1001 values.
        let mr = volume([1, 1, 1001], VoxelData::I16((0..=1000).collect()));
        assert_eq!(find_window(&mr, None, false).unwrap(), (5.0, 995.0));
        let ct = volume([1, 1, 3001], VoxelData::I16((-1000..=2000).collect()));
        assert_eq!(find_window(&ct, None, false).unwrap(), (-250.0, 450.0));
        assert_eq!(find_window(&ct, Some((-100.0, 200.0)), false).unwrap(), (-100.0, 200.0));
        assert!(find_window(&ct, Some((2.0, 2.0)), false).is_err());
        let flat = volume([1, 1, 4], VoxelData::U8(vec![7; 4]));
        assert!(find_window(&flat, None, false).unwrap_err().to_string().contains("every voxel"));
        // One bright voxel in two thousand lies outside both percentiles.
        let mut spot = vec![0u8; 2000];
        spot[900] = 9;
        assert_eq!(find_window(&volume([1, 1, 2000], VoxelData::U8(spot)), None, false).unwrap(), (0.0, 9.0));
    }

    #[test]
    fn voxels_that_are_not_finite_are_refused_or_replaced() {
        let v = volume([1, 1, 4], VoxelData::F32(vec![0.0, f32::NAN, f32::INFINITY, 2.0]));
        assert!(find_window(&v, None, false).unwrap_err().to_string().contains("2 NaN"));
        assert_eq!(find_window(&v, None, true).unwrap(), (0.0, 2.0));
        let roi = Roi { top: 0, left: 0, rows: 1, cols: 4 };
        let t = depth(&v, (0.0, 2.0)).input(0, roi, 4, 1);
        assert!(t.isfinite().all().int64_value(&[]) == 1);
    }

    #[test]
    fn voxels_that_are_not_finite_become_the_lower_end_of_the_window() {
        let replaced = |data: VoxelData| {
            let v = volume([1, 1, 4], data);
            let t = depth(&v, (0.0, 2.0)).crop(0, Roi { top: 0, left: 0, rows: 1, cols: 4 });
            Vec::<f32>::try_from(t.view([-1])).unwrap()
        };
        let none = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!(replaced(VoxelData::F32(vec![none[0], none[1], none[2], 1.0])), [0.0, 0.0, 0.0, 0.5]);
        // Finite, though beyond 32 bits.
        let far = none.map(f64::from);
        assert_eq!(replaced(VoxelData::F64(vec![far[0], far[1], far[2], 1e300])), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn samples_of_the_default_window_come_from_every_column() {
        // 2 million voxels: every second one, which are column 0 alone, would be enough.
        assert_eq!(sample_step([1000, 1000, 2]), 3);
        assert_eq!(sample_step([1000, 1000, 6]), 7);
        assert_eq!(sample_step([100, 100, 100]), 1);
        // Column 0 has 10 and 20 in turn, column 1 has 0 and 100.
        let columns = volume([1000, 1000, 2], VoxelData::U8([10, 0, 20, 100].repeat(500_000)));
        assert_eq!(find_window(&columns, None, false).unwrap(), (0.0, 100.0));
    }

    #[test]
    fn slices_of_each_axis_hold_the_right_voxels() {
        let v = volume([2, 3, 4], VoxelData::U8((0..24).collect()));
        let get = |axis: SliceAxis, slice| {
            let (rows, cols) = axis.slice_shape([2, 3, 4]);
            let roi = Roi { top: 0, left: 0, rows: rows as i32, cols: cols as i32 };
            let t = WindowedSlices { volume: &v, window: (0.0, 100.0), axis }.crop(slice, roi) * 100.0;
            let t: Vec<f32> = Vec::try_from(t.round().view([-1])).unwrap();
            t.iter().map(|&x| x as u8).collect::<Vec<_>>()
        };
        assert_eq!(get(SliceAxis::Depth, 1), (12..24).collect::<Vec<_>>());
        assert_eq!(get(SliceAxis::Height, 1), [4, 5, 6, 7, 16, 17, 18, 19]);
        assert_eq!(get(SliceAxis::Width, 3), [3, 7, 11, 15, 19, 23]);
    }

    #[test]
    fn context_repeats_the_last_slice_at_the_ends() {
        let v = volume([2, 1, 1], VoxelData::U8(vec![10, 20]));
        let roi = Roi { top: 0, left: 0, rows: 1, cols: 1 };
        let t = depth(&v, (0.0, 100.0)).input(0, roi, 1, 3) * 100.0;
        let t: Vec<f32> = Vec::try_from(t.round().view([-1])).unwrap();
        assert_eq!(t, [10.0, 10.0, 20.0]);
    }
}
