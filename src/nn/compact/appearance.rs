//! How typical each pixel's intensity is of the inside rather than the outside: the ratio of two histograms of the slice
//! itself, taken under soft weights. The cue of histogram-based interactive segmentation (Boykov and Jolly, "Interactive Graph
//! Cuts", 2001), given to the networks as one more channel.

use tch::{Kind, Tensor};

/// Bins of the histograms.
const BINS: i64 = 48;
/// They cover this many standard deviations on both sides of the mean.
const SPAN: f64 = 2.5;
/// Largest logarithm of a ratio; it becomes 1.
const LARGEST: f64 = 3.0;
/// Weight, in pixels, at which a histogram counts half.
const TRUSTED: f64 = 10.0;

/// Logarithm of the ratio of the two histograms at each pixel, -1..1; 0 where nothing is known.
///
/// # Shapes
/// `intensity`, `inside`, `outside`: `[N, 1, H, W]`, weights at least 0 / `[N, 1, H / 2, W / 2]`, f32.
pub(super) fn appearance(intensity: &Tensor, inside: &Tensor, outside: &Tensor) -> Tensor {
    let half = |t: &Tensor| t.to_kind(Kind::Float).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
    let x = half(intensity);
    let shape = x.size();
    let flat = |t: &Tensor| t.view([shape[0], 1, -1]);
    let (x, inside, outside) = (flat(&x), flat(&half(inside)), flat(&half(outside)));
    let sum = |t: &Tensor| t.sum_dim_intlist(2, true, Kind::Float);

    // Bins fit the intensities that are looked at, not the whole volume's.
    let weight: Tensor = &inside + &outside + 1e-6;
    let total = sum(&weight);
    let mean = sum(&(&x * &weight)) / &total;
    let deviation = (sum(&((&x - &mean).square() * &weight)) / &total).sqrt().clamp_min(1e-3);
    let last = (BINS - 1) as f64;
    let position = (((&x - &mean) / deviation / SPAN + 1.0) * (0.5 * last)).clamp(0.0, last);
    let bins = Tensor::arange(BINS, (Kind::Float, x.device())).view([1, BINS, 1]);
    // Each pixel lies between two bins: [N, BINS, H * W].
    let membership = (1.0f64 - Tensor::abs(&(position - bins))).clamp_min(0.0);

    let histogram = |weight: &Tensor| {
        let total = sum(weight);
        let counts = membership.matmul(&weight.transpose(1, 2)).transpose(1, 2);
        let smooth = counts.avg_pool1d([3], [1], [1], false, true);
        ((smooth + 0.02) / (&total + 0.02 * BINS as f64), &total / (&total + TRUSTED))
    };
    let ((inside, known), (outside, also)) = (histogram(&inside), histogram(&outside));
    let ratio = (inside / outside).log().clamp(-LARGEST, LARGEST) * (known * also / LARGEST);
    ratio.matmul(&membership).view(shape.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intensities_like_the_inside_stand_out() {
        // Left half 0.2, right half 0.6; inside is marked in the right half, outside in the left.
        let columns = |f: &dyn Fn(i64) -> f32| {
            let values: Vec<f32> = (0..32 * 32).map(|i| f(i % 32)).collect();
            Tensor::from_slice(&values).view([1, 1, 32, 32])
        };
        let image = columns(&|c| if c < 16 { 0.2 } else { 0.6 });
        let inside = columns(&|c| f32::from(c >= 24));
        let outside = columns(&|c| f32::from(c < 8));
        let map = appearance(&image, &inside, &outside);
        assert_eq!(map.size(), [1, 1, 16, 16]);
        let at = |c: i64| map.double_value(&[0, 0, 5, c]);
        // Histograms taken over 64 half-resolution pixels and trusted 64 / 74 each.
        let trust = (64.0f64 / 74.0).powi(2);
        assert!((at(8) - trust).abs() < 1e-4 && (at(7) + trust).abs() < 1e-4, "{} {}", at(8), at(7));
        // Nothing marked inside: nothing is known.
        let nothing = appearance(&image, &inside.zeros_like(), &outside);
        assert_eq!(nothing.abs().max().double_value(&[]), 0.0);
    }
}
