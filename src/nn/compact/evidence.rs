//! Signs that a mask still holds what the masks of the slice before and of the annotated slice held: numbers for the quality head.
//! At the end of a target the mask is carried on to something else, whose intensities, contrast or outline differ.

use super::super::Expected;
use super::histogram::{Bins, range};
use super::windows::{largest, smallest};
use tch::{Kind, Tensor};

/// Numbers a slice.
pub(super) const EVIDENCE: i64 = 14;
/// Largest logarithm of a ratio of areas.
const LARGEST: f64 = 4.0;
/// Side of the ring around a mask, pixels at half resolution, both sides of its border together.
const RING: i64 = 7;
/// Width of its border, the same.
const BORDER: i64 = 3;

/// What a mask looks like on its slice.
struct Look {
    /// Area, pixels at half resolution.
    area: Tensor,
    /// Mean inside minus mean in the ring around, over the deviation of both.
    contrast: Tensor,
    /// Mean difference of neighbours along the border over the deviation.
    edge: Tensor,
    intensities: Tensor,
    inside: Tensor,
    ring: Tensor,
    range: (Tensor, Tensor),
}

/// Overlap of the intensities' histograms (0 to 1), mean logarithm of how much more they are like the inside than the surroundings
/// before; logarithms of the ratios of areas to the slice before, to the annotated slice that masks were carried from, and to the
/// largest annotated (targets taper off); contrast now and before, change of the sharpness of the outline (-1 to 1); overlap and
/// likeness once more, with the annotated slice; logarithms of the slices from there, and over the diameter that the target has where
/// it is largest, of the distances from there and from where that is; what is left of the largest area if it goes on shrinking as an
/// ellipsoid's slices do (1 to -1, below 0 beyond its end).
///
/// # Shapes
/// `slice`, `mask` (0..1): `[N, 1, H, W]` / `[N, 14]`, f32.
pub(super) fn evidence(slice: &Tensor, mask: &Tensor, expected: &Expected) -> Tensor {
    let (now, before) = (Look::new(slice, mask), Look::new(&expected.before_slice, &expected.before_mask));
    let annotated_look = Look::new(&expected.annotated_slice, &expected.annotated_mask);
    let [overlap, likeness] = now.compare(&before);
    let [overlap_annotated, likeness_annotated] = now.compare(&annotated_look);
    let ratio = |to: &Tensor| ((&now.area + 1.0) / (to + 1.0)).log().clamp(-LARGEST, LARGEST);
    let pixels = now.inside.size()[1] as f64;
    let diameter = (&expected.largest_area * (4.0 / std::f64::consts::PI)).sqrt() + 1e-3;
    let diameters = |distance: &Tensor| (distance / &diameter).clamp_min(1e-3).log();
    let of_annotated = ratio(&(&expected.annotated_area * pixels));
    let steps = expected.steps.clamp_min(1.0).log();
    let distances = [&expected.distance, &expected.distance_from_largest].map(diameters);
    let change = (&now.edge - &before.edge) / (&now.edge + &before.edge + 0.05);
    Tensor::cat(
        &[
            &overlap,
            &likeness,
            &ratio(&before.area),
            &of_annotated,
            &ratio(&(&expected.largest_area * pixels)),
            &now.contrast,
            &before.contrast,
            &change,
            &overlap_annotated,
            &likeness_annotated,
            &steps,
            &distances[0],
            &distances[1],
            &left(expected),
        ],
        1,
    )
}

/// Areas of an ellipsoid's slices are A (1 - z² / h²): known at the largest annotated slice (z = 0) and at the one that masks were
/// carried from, continued to the query. 1 when that is the largest itself, or as large.
fn left(expected: &Expected) -> Tensor {
    let way = &expected.distance_from_largest;
    let known = (way - &expected.distance).clamp_min(1e-3);
    let shrunk = 1.0 - (&expected.annotated_area / &expected.largest_area.clamp_min(1e-6)).clamp(0.0, 1.0);
    let farther: Tensor = (way / &known).square() * shrunk;
    // Nothing is known of how it shrinks where masks came from the largest.
    let apart = (way - &expected.distance).gt(2e-3).to_kind(Kind::Float);
    let left: Tensor = 1.0 - farther * apart;
    left.clamp(-1.0, 1.0)
}

impl Look {
    /// Overlap of the histograms inside, and likeness to the inside rather than the ring of `other`. The bins are those of
    /// `other`: there the mask is as good as it gets.
    fn compare(&self, other: &Look) -> [Tensor; 2] {
        let bins = Bins::new(&self.intensities, &other.range);
        let others = Bins::new(&other.intensities, &other.range);
        let (inside, area) = bins.histogram(&self.inside);
        let other_inside = others.histogram(&other.inside).0;
        let overlap = inside.minimum(&other_inside).sum_dim_intlist(1, true, Kind::Float);
        let likeness = bins.look_up(&(other_inside / others.histogram(&other.ring).0).log()) * &self.inside;
        [overlap, likeness.sum_dim_intlist(1, true, Kind::Float) / area.clamp_min(1.0)]
    }

    fn new(slice: &Tensor, mask: &Tensor) -> Look {
        let half = |t: &Tensor| t.to_kind(Kind::Float).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
        let (x, mask) = (half(slice), half(mask));
        let ring = largest(&mask, RING) - &mask;
        let border = largest(&mask, BORDER) - smallest(&mask, BORDER);
        let neighbours = largest(&x, BORDER) - smallest(&x, BORDER);
        let flat = |t: &Tensor| t.flatten(1, -1);
        let sum = |t: &Tensor| flat(t).sum_dim_intlist(1, true, Kind::Float);
        let mean = |t: &Tensor, weight: &Tensor| sum(&(t * weight)) / (sum(weight) + 1e-3);
        let (contrast, edge) = (mean(&x, &mask) - mean(&x, &ring), mean(&neighbours, &border));
        let (intensities, inside, ring) = (flat(&x), flat(&mask), flat(&ring));
        let range = range(&intensities, &(&inside + &ring));
        Look {
            area: sum(&mask),
            contrast: contrast / &range.1,
            edge: edge / &range.1,
            intensities,
            inside,
            ring,
            range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(f: &dyn Fn(usize, usize) -> f32) -> Tensor {
        let values: Vec<f32> = (0..48 * 48).map(|i| f(i / 48, i % 48)).collect();
        Tensor::from_slice(&values).view([1, 1, 48, 48])
    }

    #[test]
    fn a_target_that_ended_looks_different() {
        let inside = |r: usize, c: usize| (16..32).contains(&r) && (16..32).contains(&c);
        let mask = map(&|r, c| f32::from(inside(r, c)));
        let present = map(&|r, c| if inside(r, c) { 0.8 } else { 0.2 });
        let gone = map(&|_, _| 0.2);
        let at = |t: &Tensor, i: i64| t.double_value(&[0, i]);
        // Of 24 x 24 pixels at half resolution.
        let pixels = |n: f32| Tensor::from_slice(&[n / 576.0]).view([1, 1]);
        let carried = |annotated: f32, from_largest: f32| Expected {
            shape: mask.shallow_clone(),
            before_mask: mask.shallow_clone(),
            before_slice: present.shallow_clone(),
            largest_area: pixels(127.0),
            annotated_area: pixels(annotated),
            annotated_mask: mask.shallow_clone(),
            annotated_slice: gone.shallow_clone(),
            steps: Tensor::from_slice(&[4f32]).view([1, 1]),
            distance: Tensor::from_slice(&[0.5f32]).view([1, 1]),
            distance_from_largest: Tensor::from_slice(&[from_largest]).view([1, 1]),
            same: vec![0],
        };
        let expected = carried(31.0, 1.5);
        let same = evidence(&present, &mask, &expected);
        assert_eq!(same.size(), [1, EVIDENCE]);
        assert!((at(&same, 0) - 1.0).abs() < 1e-5 && at(&same, 2).abs() < 1e-6 && at(&same, 7).abs() < 1e-6);
        assert!(at(&same, 1) > 2.0);
        assert!((at(&same, 3) - (65.0f64 / 32.0).ln()).abs() < 1e-5);
        assert!((at(&same, 4) - (65.0f64 / 128.0).ln()).abs() < 1e-5);
        // The annotated slice, of one grey, has nothing as bright: 64 pixels inside and 132 in the ring say how unlikely that is.
        assert!(at(&same, 8) < 0.1 && (at(&same, 9) - (132.96f64 / 64.96).ln()).abs() < 1e-2);
        // Half a side away from a disc of 127 / 576 of the area, which is 0.530 of the side wide, and three times as far.
        assert!((at(&same, 10) - 4f64.ln()).abs() < 1e-6 && (at(&same, 11) - (0.5f64 / 0.531).ln()).abs() < 1e-3);
        assert!((at(&same, 12) - at(&same, 11) - 3f64.ln()).abs() < 1e-5);
        // 31 / 127 of the area after 1 of 1.5: 1 - 96 / 127 * 2.25.
        assert!((at(&same, 13) + 89.0 / 127.0).abs() < 1e-5);
        // Nothing is known when masks come from the largest, nothing shrinks from one as large, and nothing is less than nothing.
        let [alone, as_large, long_gone] = [(31.0, 0.5), (127.0, 1.5), (0.0, 0.7)].map(|(a, d)| left(&carried(a, d)));
        assert_eq!([at(&alone, 0), at(&as_large, 0), at(&long_gone, 0)], [1.0, 1.0, -1.0]);
        assert!(at(&same, 5) > 1.0 && (at(&same, 5) - at(&same, 6)).abs() < 1e-6);
        let ended = evidence(&gone, &mask, &expected);
        assert!(at(&ended, 0) < 0.1 && at(&ended, 1) < -2.0 && at(&ended, 5).abs() < 0.01 && at(&ended, 7) < -0.8);
        // Half as large in every direction: a quarter of the area, 17 and 65 pixels with one more each.
        let small = map(&|r, c| f32::from((20..28).contains(&r) && (20..28).contains(&c)));
        let shrunk = evidence(&present, &small, &expected);
        assert!((at(&shrunk, 2) - (17.0f64 / 65.0).ln()).abs() < 1e-5);
        let empty = evidence(&present, &mask.zeros_like(), &expected);
        assert!(Vec::<f32>::try_from(empty.view([-1])).unwrap().iter().all(|v| v.is_finite()));
    }
}
