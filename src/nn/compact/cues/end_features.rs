//! Signs that a mask still holds what the masks of the slice before and of the annotated slice held: numbers for the quality head.
//! At the end of a target the mask is carried on to something else, whose intensities, contrast or outline differ.

use super::histogram::{Bins, range};
use super::pooling::{half, largest, smallest};
use crate::nn::networks::SliceContext;
use tch::{Kind, Tensor};

/// Numbers a slice.
pub(crate) const END_FEATURES: i64 = 14;
/// Largest logarithm of a ratio of areas.
const LARGEST: f64 = 4.0;
/// Side of the ring around a mask, pixels at half resolution, both sides of its border together.
const RING: i64 = 7;
/// Width of its border, the same.
const BORDER: i64 = 3;

/// What masks look like on their slices, `[N, ..]`.
struct MaskStatistics {
    /// Area, pixels at half resolution.
    area: Tensor,
    /// Mean inside minus mean in the ring around, over the deviation of both.
    contrast: Tensor,
    /// Mean difference of neighbours along the border over the deviation.
    edge: Tensor,
    /// `[N, P]`, as the next two.
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
pub(crate) fn end_features(slice: &Tensor, mask: &Tensor, context: &SliceContext) -> Tensor {
    let slices = [slice, &context.before_slice, &context.annotated_slice].map(half);
    let masks = [mask, &context.before_mask, &context.annotated_mask].map(half);
    let statistics = MaskStatistics::new(&Tensor::cat(&slices, 0), &Tensor::cat(&masks, 0));
    let n = slice.size()[0];
    let part = |t: &Tensor, i: i64| t.narrow(0, i * n, n);
    let [now, before] = [0, 1].map(|i| [&statistics.area, &statistics.contrast, &statistics.edge].map(|t| part(t, i)));
    let ([now_area, now_contrast, now_edge], [before_area, before_contrast, before_edge]) = (now, before);
    let [overlap, likeness] = statistics.compare();
    let pixels = statistics.inside.size()[1] as f64;
    let areas = [&before_area, &(&context.annotated_area * pixels), &(&context.largest_area * pixels)];
    let ratios = ((now_area + 1.0) / (Tensor::cat(&areas, 1) + 1.0)).log().clamp(-LARGEST, LARGEST);
    let diameter = (&context.largest_area * (4.0 / std::f64::consts::PI)).sqrt() + 1e-3;
    let distances = Tensor::cat(&[&context.distance, &context.distance_from_largest], 1);
    let change = (&now_edge - &before_edge) / (&now_edge + &before_edge + 0.05);
    Tensor::cat(
        &[
            &part(&overlap, 0),
            &part(&likeness, 0),
            &ratios,
            &now_contrast,
            &before_contrast,
            &change,
            &part(&overlap, 1),
            &part(&likeness, 1),
            &context.steps.clamp_min(1.0).log(),
            &(distances / diameter).clamp_min(1e-3).log(),
            &expected_remaining_area(context),
        ],
        1,
    )
}

/// Areas of an ellipsoid's slices are A (1 - z² / h²): known at the largest annotated slice (z = 0) and at the one that masks were
/// carried from, continued to the query. 1 when that is the largest itself, or as large.
fn expected_remaining_area(context: &SliceContext) -> Tensor {
    let from_largest = &context.distance_from_largest;
    let known = (from_largest - &context.distance).clamp_min(1e-3);
    let shrunk = 1.0 - (&context.annotated_area / &context.largest_area.clamp_min(1e-6)).clamp(0.0, 1.0);
    let farther: Tensor = (from_largest / &known).square() * shrunk;
    // Nothing is known of how it shrinks where masks came from the largest.
    let apart = (from_largest - &context.distance).gt(2e-3).to_kind(Kind::Float);
    let remaining: Tensor = 1.0 - farther * apart;
    remaining.clamp(-1.0, 1.0)
}

impl MaskStatistics {
    /// # Shapes
    /// At half resolution `[N, 1, h, w]`, f32; masks 0..1.
    fn new(x: &Tensor, mask: &Tensor) -> MaskStatistics {
        let ring = largest(mask, RING) - mask;
        let border = largest(mask, BORDER) - smallest(mask, BORDER);
        let neighbours = largest(x, BORDER) - smallest(x, BORDER);
        let flat = |t: &Tensor| t.flatten(1, -1);
        let sum = |t: &Tensor| flat(t).sum_dim_intlist(1, true, Kind::Float);
        let mean = |t: &Tensor, weight: &Tensor| sum(&(t * weight)) / (sum(weight) + 1e-3);
        let (contrast, edge) = (mean(x, mask) - mean(x, &ring), mean(&neighbours, &border));
        let (intensities, inside, ring) = (flat(x), flat(mask), flat(&ring));
        let range = range(&intensities, &(&inside + &ring));
        MaskStatistics {
            area: sum(mask),
            contrast: contrast / &range.1,
            edge: edge / &range.1,
            intensities,
            inside,
            ring,
            range,
        }
    }

    /// Of the first third of the rows with the second, then with the last: overlap of the histograms inside, and likeness to the inside
    /// rather than the ring. The bins are those of the other: there the mask is as good as it gets.
    ///
    /// # Shapes
    /// 3 N rows / `[2 N, 1]`.
    fn compare(&self) -> [Tensor; 2] {
        let n = self.area.size()[0] / 3;
        let own = |t: &Tensor| t.narrow(0, 0, n).repeat([2, 1]);
        let other = |t: &Tensor| t.narrow(0, n, 2 * n);
        let (range, inside) = ((other(&self.range.0), other(&self.range.1)), own(&self.inside));
        let [bins, other_bins] =
            [own(&self.intensities), other(&self.intensities)].map(|intensities| Bins::new(&intensities, &range));
        let (shares, area) = bins.histogram(&inside);
        let [other_inside, other_ring] = [&self.inside, &self.ring].map(|t| other_bins.histogram(&other(t)).0);
        let overlap = shares.minimum(&other_inside).sum_dim_intlist(1, true, Kind::Float);
        let likeness =
            (bins.look_up(&(other_inside / other_ring).log()) * inside).sum_dim_intlist(1, true, Kind::Float);
        [overlap, likeness / area.clamp_min(1.0)]
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
    fn the_features_of_a_target_that_ended_differ() {
        let inside = |r: usize, c: usize| (16..32).contains(&r) && (16..32).contains(&c);
        let mask = map(&|r, c| f32::from(inside(r, c)));
        let present = map(&|r, c| if inside(r, c) { 0.8 } else { 0.2 });
        let gone = map(&|_, _| 0.2);
        let at = |t: &Tensor, i: i64| t.double_value(&[0, i]);
        // Of 24 x 24 pixels at half resolution.
        let pixels = |n: f32| Tensor::from_slice(&[n / 576.0]).view([1, 1]);
        let carried = |annotated: f32, from_largest: f32| SliceContext {
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
            same_image: vec![0],
        };
        let context = carried(31.0, 1.5);
        let same = end_features(&present, &mask, &context);
        assert_eq!(same.size(), [1, END_FEATURES]);
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
        let [alone, as_large, long_gone] =
            [(31.0, 0.5), (127.0, 1.5), (0.0, 0.7)].map(|(a, d)| expected_remaining_area(&carried(a, d)));
        assert_eq!([at(&alone, 0), at(&as_large, 0), at(&long_gone, 0)], [1.0, 1.0, -1.0]);
        assert!(at(&same, 5) > 1.0 && (at(&same, 5) - at(&same, 6)).abs() < 1e-6);
        let ended = end_features(&gone, &mask, &context);
        assert!(at(&ended, 0) < 0.1 && at(&ended, 1) < -2.0 && at(&ended, 5).abs() < 0.01 && at(&ended, 7) < -0.8);
        // Half as large in every direction: a quarter of the area, 17 and 65 pixels with one more each.
        let small = map(&|r, c| f32::from((20..28).contains(&r) && (20..28).contains(&c)));
        let shrunk = end_features(&present, &small, &context);
        assert!((at(&shrunk, 2) - (17.0f64 / 65.0).ln()).abs() < 1e-5);
        let empty = end_features(&present, &mask.zeros_like(), &context);
        assert!(Vec::<f32>::try_from(empty.view([-1])).unwrap().iter().all(|v| v.is_finite()));
    }
}
