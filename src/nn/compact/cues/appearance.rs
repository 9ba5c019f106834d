//! How typical each pixel's intensity is of the inside rather than the outside: the ratio of two histograms, of the slice
//! itself or of another whose mask is known, taken under soft weights. The cue of histogram-based interactive segmentation (Boykov and Jolly, "Interactive Graph
//! Cuts", 2001), given to the networks as one more channel.

use super::histogram::{Bins, range};
use super::pooling::{half, largest};
use tch::Tensor;

/// Largest logarithm of a ratio; it becomes 1.
const LARGEST: f64 = 3.0;
/// Weight, in pixels, at which a histogram counts half.
const TRUSTED: f64 = 10.0;
/// Side of the ring around a mask, pixels at half resolution, both sides of its border together.
const RING: i64 = 15;

/// Logarithm of the ratio of the two histograms at each pixel, -1..1; 0 where nothing is known.
///
/// # Shapes
/// `intensity`, `inside`, `outside`: `[N, 1, H, W]`, weights at least 0 / `[N, 1, H / 2, W / 2]`, f32.
pub(crate) fn appearance(intensity: &Tensor, inside: &Tensor, outside: &Tensor) -> Tensor {
    let [x, inside, outside] = [intensity, inside, outside].map(half);
    seen_as(&x, &x, &inside, &outside)
}

/// The same, and the likeness to an annotated slice: by the histograms inside its mask, and in a ring around it.
///
/// # Shapes
/// As [`appearance`]; `annotated`, `mask` (0..1): `[N, 1, H, W]`.
pub(crate) fn appearance_and_likeness(
    intensity: &Tensor,
    [inside, outside]: [&Tensor; 2],
    [annotated, mask]: [&Tensor; 2],
) -> [Tensor; 2] {
    let [x, inside, outside, annotated, mask] = [intensity, inside, outside, annotated, mask].map(half);
    let ring = largest(&mask, RING) - &mask;
    let both = |own: &Tensor, other: &Tensor| Tensor::cat(&[own, other], 0);
    let seen = seen_as(&both(&x, &x), &both(&x, &annotated), &both(&inside, &mask), &both(&outside, &ring));
    let n = x.size()[0];
    [seen.narrow(0, 0, n), seen.narrow(0, n, n)]
}

/// Intensities by the histograms of `other`; everything at half resolution.
fn seen_as(intensity: &Tensor, other: &Tensor, inside: &Tensor, outside: &Tensor) -> Tensor {
    let shape = intensity.size();
    let [x, other, inside, outside] = [intensity, other, inside, outside].map(|t| t.flatten(1, -1));
    let range = range(&other, &(&inside + &outside));
    let bins = Bins::new(&other, &range);
    let ((inside, inside_weight), (outside, outside_weight)) = (bins.histogram(&inside), bins.histogram(&outside));
    let known = |weight: &Tensor| weight / (weight + TRUSTED);
    let known = known(&inside_weight) * known(&outside_weight) / LARGEST;
    let ratio = (inside / outside).log().clamp(-LARGEST, LARGEST) * known;
    Bins::new(&x, &range).look_up(&ratio).view(shape.as_slice())
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
        let reliability = (64.0f64 / 74.0).powi(2);
        assert!((at(8) - reliability).abs() < 1e-4 && (at(7) + reliability).abs() < 1e-4, "{} {}", at(8), at(7));
        // By another slice, on which the mask is the bright half: of 15 pixels to the left of it, 7 are in the ring.
        let mask = columns(&|c| f32::from(c >= 16));
        let [own, other] = appearance_and_likeness(&image, [&inside, &outside], [&image, &mask]);
        assert!(own.equal(&map));
        let reliability = (128.0f64 / 138.0) * (16.0 * 7.0 / (16.0 * 7.0 + 10.0));
        let at = |c: i64| other.double_value(&[0, 0, 5, c]);
        assert!(
            (at(8) - reliability).abs() < 1e-4 && (at(7) + reliability).abs() < 1e-4,
            "{} {} {reliability}",
            at(8),
            at(7)
        );
        // Nothing marked inside: nothing is known.
        let nothing = appearance(&image, &inside.zeros_like(), &outside);
        assert_eq!(nothing.abs().max().double_value(&[]), 0.0);
    }
}
