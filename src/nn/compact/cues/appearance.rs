//! Appearance and likeness: log-ratio of the histograms inside and outside of a mask at each pixel's intensity, as in
//! Boykov and Jolly, "Interactive Graph Cuts", 2001. Appearance takes the histograms of the slice itself under soft
//! weights, likeness those of the annotated slice.
//!
//! value = clamp(log(h_in / h_out), ±3) / 3 * r_in * r_out, r = w / (w + 10) for histograms of w pixels

use super::histogram::{Bins, range};
use super::pooling::{half, largest};
use tch::Tensor;

/// Largest logarithm of a ratio; it maps to 1. Chosen.
const LARGEST: f64 = 3.0;
/// Number of pixels at which the reliability r of a histogram is one half. Chosen.
const HALF_RELIABLE: f64 = 10.0;
/// Side of the dilation that makes the ring around a mask, pixels at half resolution: the ring is 7 wide. Chosen.
const RING: i64 = 15;

/// Appearance of each pixel, -1 outside..1 inside; 0 if a histogram is empty.
///
/// # Shapes
/// `intensity`, `inside`, `outside`: `[N, 1, H, W]`, weights at least 0 / `[N, 1, H / 2, W / 2]`, f32.
pub(crate) fn appearance(intensity: &Tensor, inside: &Tensor, outside: &Tensor) -> Tensor {
    let [x, inside, outside] = [intensity, inside, outside].map(half);
    log_ratio(&x, &x, &inside, &outside)
}

/// Appearance, and likeness to the annotated slice, with the histograms inside its mask and in a ring around it.
///
/// # Shapes
/// As [`appearance`]; `annotated`: `[N, 1, H, W]`; `mask`: `[N, 1, H, W]`, 0..1.
pub(crate) fn appearance_and_likeness(
    intensity: &Tensor,
    [inside, outside]: [&Tensor; 2],
    [annotated, mask]: [&Tensor; 2],
) -> [Tensor; 2] {
    let [x, inside, outside, annotated, mask] = [intensity, inside, outside, annotated, mask].map(half);
    let ring = largest(&mask, RING) - &mask;
    let both = |own: &Tensor, other: &Tensor| Tensor::cat(&[own, other], 0);
    let ratios = log_ratio(&both(&x, &x), &both(&x, &annotated), &both(&inside, &mask), &both(&outside, &ring));
    let n = x.size()[0];
    [ratios.narrow(0, 0, n), ratios.narrow(0, n, n)]
}

/// Log-ratio of the histograms of `other` inside and outside, at the pixels of `intensity`; all at half resolution.
fn log_ratio(intensity: &Tensor, other: &Tensor, inside: &Tensor, outside: &Tensor) -> Tensor {
    let shape = intensity.size();
    let [x, other, inside, outside] = [intensity, other, inside, outside].map(|t| t.flatten(1, -1));
    let range = range(&other, &(&inside + &outside));
    let bins = Bins::new(&other, &range);
    let ((inside, inside_weight), (outside, outside_weight)) = (bins.histogram(&inside), bins.histogram(&outside));
    let reliability = |weight: &Tensor| weight / (weight + HALF_RELIABLE);
    let factor = reliability(&inside_weight) * reliability(&outside_weight) / LARGEST;
    let ratio = (inside / outside).log().clamp(-LARGEST, LARGEST) * factor;
    Bins::new(&x, &range).look_up(&ratio).view(shape.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appearance_and_likeness_by_hand() {
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
        // Histograms of 64 pixels at half resolution, with a reliability of 64 / 74 each.
        let reliability = (64.0f64 / 74.0).powi(2);
        assert!((at(8) - reliability).abs() < 1e-4 && (at(7) + reliability).abs() < 1e-4, "{} {}", at(8), at(7));
        // Annotated slice whose mask is the bright half: the ring has 7 columns to the left of it.
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
        // Nothing marked inside: unknown.
        let nothing = appearance(&image, &inside.zeros_like(), &outside);
        assert_eq!(nothing.abs().max().double_value(&[]), 0.0);
    }
}
