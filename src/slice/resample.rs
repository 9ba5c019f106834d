//! Resampling between slices and the networks' input: masks to the input size, probabilities back to the slice.

use super::plane::Plane;
use super::region::Roi;
use tch::{Device, Kind, Tensor};

impl Roi {
    /// Resamples probabilities of the region to its slice; 0 outside the region.
    ///
    /// # Shapes
    /// `[1, 1, S, S]`, 0..1 / `[rows, cols]`, 1/255 steps.
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
}

/// Resamples probabilities of N regions to their slices of `rows` x `cols` pixels.
///
/// # Shapes
/// `[N, 1, S, S]`, 0..1 / N planes.
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

/// A plane's probabilities in a region, resampled.
///
/// # Shapes
/// result: `[1, 1, rows, cols]`, f32, 0..1.
pub(crate) fn resample(plane: &Plane, roi: Roi, [rows, cols]: [usize; 2]) -> Tensor {
    resize(&roi.tensor(&plane.part(roi)), rows as i64, cols as i64).contiguous()
}

fn same_size(rois: &[Roi]) -> bool {
    rois.iter().all(|r| (r.rows, r.cols) == (rois[0].rows, rois[0].cols))
}

/// Probabilities `[N, 1, S, S]` resampled to the size of a region: 1/255 steps, slice after slice.
fn bytes(probability: &Tensor, roi: Roi) -> Vec<u8> {
    let probability = probability.to_device(Device::Cpu).to_kind(Kind::Float);
    let small = resize(&probability, i64::from(roi.rows), i64::from(roi.cols));
    let values = (small.clamp(0.0, 1.0) * 255.0).round().to_kind(Kind::Uint8).contiguous().view([-1]);
    Vec::try_from(&values).expect("a flat tensor of bytes")
}

/// Bilinear resampling, with an anti-aliasing filter where the result is smaller.
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
}
