//! Crop, resize and blur of planes in worker threads, without libtorch, whose own threads would compete for the cores.
//! Cropping and resizing give the same numbers as `slice::resample`.

use crate::slice::region::Roi;

/// Weights of the pixels from `first` on in one output pixel.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// Triangle filter from `n` pixels to `size`, widened by the factor of a reduction.
fn taps(n: usize, size: usize) -> Vec<Taps> {
    let scale = n as f32 / size as f32;
    let support = scale.max(1.0);
    (0..size)
        .map(|i| {
            let centre = (i as f32 + 0.5) * scale;
            let first = (centre - support + 0.5).floor().max(0.0) as usize;
            let end = ((centre + support + 0.5).floor() as usize).min(n);
            let mut weights: Vec<f32> =
                (first..end).map(|j| (1.0 - ((j as f32 + 0.5 - centre) / support).abs()).max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum);
            Taps { first, weights }
        })
        .collect()
}

/// The square region `roi` of a plane `[side, side]`, resampled to `size` pixels a side; 0 beyond the plane.
pub fn crop_resize(plane: &[f32], side: usize, roi: Roi, size: usize, out: &mut [f32]) {
    let n = roi.rows as usize;
    let taps = taps(n, size);
    let part = roi.pixels(plane, side, side, |v| v);
    // Columns first, row by row of the region.
    let mut narrow = vec![0f32; n * size];
    for (row, narrow) in part.chunks_exact(n).zip(narrow.chunks_exact_mut(size)) {
        for (tap, v) in taps.iter().zip(narrow) {
            *v = tap.weights.iter().zip(&row[tap.first..]).map(|(w, p)| w * p).sum();
        }
    }
    for (r, tap) in taps.iter().enumerate() {
        let out = &mut out[r * size..(r + 1) * size];
        out.fill(0.0);
        for (k, w) in tap.weights.iter().enumerate() {
            let from = &narrow[(tap.first + k) * size..(tap.first + k + 1) * size];
            out.iter_mut().zip(from).for_each(|(o, v)| *o += w * v);
        }
    }
}

/// Gaussian smoothing of a plane `[side, side]`, repeating its border.
pub fn blur(plane: &mut [f32], side: usize, sigma: f32) {
    if sigma < 0.15 {
        return;
    }
    let reach = (2.5 * sigma).ceil() as i32;
    let mut kernel: Vec<f32> = (-reach..=reach).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= sum);
    let last = side as i32 - 1;
    let mut turned = vec![0f32; plane.len()];
    // Twice along rows, transposing in between.
    for (from, to) in [(0, 1), (1, 0)] {
        let source = if from == 0 { plane.to_vec() } else { turned.clone() };
        let target: &mut [f32] = if to == 1 { &mut turned } else { plane };
        for r in 0..side {
            let line = &source[r * side..(r + 1) * side];
            for c in 0..side as i32 {
                let sum: f32 = kernel
                    .iter()
                    .enumerate()
                    .map(|(k, w)| w * line[(c + k as i32 - reach).clamp(0, last) as usize])
                    .sum();
                target[c as usize * side + r] = sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::resample::resize;

    #[test]
    fn the_engine_gives_the_same_numbers() {
        let side = 30;
        let plane: Vec<f32> = (0..side * side).map(|i| ((i * 7919) % 1009) as f32 / 1009.0).collect();
        for (top, left, n, size) in [(3, 5, 20, 32), (0, 0, 30, 30), (-4, 6, 25, 16), (2, -3, 29, 20), (10, 12, 11, 48)]
        {
            let mut ours = vec![9f32; size * size];
            let roi = Roi { top, left, rows: n, cols: n };
            crop_resize(&plane, side, roi, size, &mut ours);
            let theirs = resize(&roi.crop(&plane, side, side, |v| v), size as i64, size as i64);
            let theirs: Vec<f32> = Vec::try_from(theirs.contiguous().view([-1])).unwrap();
            let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{n} to {size}: {worst}");
        }
    }

    #[test]
    fn blur_keeps_the_mean_and_spreads_a_point() {
        let mut plane = vec![0f32; 21 * 21];
        plane[10 * 21 + 10] = 1.0;
        blur(&mut plane, 21, 1.0);
        assert!((plane.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        // The peak of a two-dimensional Gaussian of deviation 1 is 1 / (2 pi), a little more as the kernel is cut off.
        assert!((plane[10 * 21 + 10] - 0.159).abs() < 0.006);
        assert!((plane[10 * 21 + 11] - plane[11 * 21 + 10]).abs() < 1e-6);
    }
}
