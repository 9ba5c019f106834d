//! Features of the end of a target: 14 numbers that show the quality head whether a mask still holds the target. Beyond
//! the end a chain carries its mask on to something else, whose intensities, contrast, border or area differ.
//!
//! *Now* is the query slice with its predicted probability, *previous* the last slice that holds the target,
//! *annotated* the slice that the chain starts from, *largest* the annotated slice with the largest area A_max. All
//! maps are at half resolution.
//!
//! | number | field of [`EndFeatures`] | formula | range |
//! |---|---|---|---|
//! | 1 | `overlap_with_previous` | Σ over bins min(h_now, h_prev), histograms inside the masks | 0..1 |
//! | 2 | `likeness_to_previous` | mean over the mask now of log(h_in / h_ring), histograms of previous | real |
//! | 3 | `area_against_previous` | log((A_now + 1) / (A_prev + 1)), clamped | -4..4 |
//! | 4 | `area_against_annotated` | log((A_now + 1) / (A_ann + 1)), clamped | -4..4 |
//! | 5 | `area_against_largest` | log((A_now + 1) / (A_max + 1)), clamped | -4..4 |
//! | 6 | `contrast_now` | (mean inside - mean in the ring) / standard deviation of both | real |
//! | 7 | `contrast_of_previous` | the same on the previous slice | real |
//! | 8 | `change_of_edge` | (e_now - e_prev) / (e_now + e_prev + 0.05), e: sharpness of the border | -1..1 |
//! | 9 | `overlap_with_annotated` | as number 1, with the annotated slice | 0..1 |
//! | 10 | `likeness_to_annotated` | as number 2, with the annotated slice | real |
//! | 11 | `slices_from_annotated` | log(n), n slices from the annotated one | 0 or more |
//! | 12 | `distance_from_annotated` | log(d / D), at least log 0.001; D: diameter of a disc of A_max | -6.9 or more |
//! | 13 | `distance_from_largest` | log(z / D), at least log 0.001; z: distance from the largest slice | -6.9 or more |
//! | 14 | `expected_remaining_area` | 1 - (z / (z - d))² (1 - A_ann / A_max), clamped | -1..1, below 0 beyond the end |

use super::histogram::{Bins, range};
use super::pooling::{half, largest, smallest};
use crate::nn::networks::SliceContext;
use tch::{Kind, Tensor};

/// Number of features.
pub(crate) const END_FEATURES: i64 = 14;
/// Largest logarithm of a ratio of areas. Chosen.
const LARGEST: f64 = 4.0;
/// Side of the dilation that makes the ring around a mask, pixels at half resolution: the ring is 3 wide. Chosen.
const RING: i64 = 7;
/// Side of dilation and erosion that make the border of a mask, pixels at half resolution.
const BORDER: i64 = 3;
/// Least sum of sharpnesses, so that flat slices have no change of the edge. Chosen.
const LEAST_SHARPNESS: f64 = 0.05;
/// Least distance over the target's diameter. Chosen.
const LEAST_DISTANCE: f64 = 1e-3;
/// Distances from the annotated and the largest slice that differ by less are equal: it is the largest itself.
const SAME_SLICE: f64 = 2e-3;

/// The features by name, each `[N, 1]`, f32; the table above has their formulas.
#[derive(Debug)]
pub(crate) struct EndFeatures {
    pub overlap_with_previous: Tensor,
    pub likeness_to_previous: Tensor,
    pub area_against_previous: Tensor,
    pub area_against_annotated: Tensor,
    pub area_against_largest: Tensor,
    pub contrast_now: Tensor,
    pub contrast_of_previous: Tensor,
    pub change_of_edge: Tensor,
    pub overlap_with_annotated: Tensor,
    pub likeness_to_annotated: Tensor,
    pub slices_from_annotated: Tensor,
    pub distance_from_annotated: Tensor,
    pub distance_from_largest: Tensor,
    pub expected_remaining_area: Tensor,
}

impl EndFeatures {
    /// Computes the features of query slices.
    ///
    /// # Shapes
    /// `slice`, `probability`: `[N, 1, H, W]`, 0..1; `context`: of N slices.
    pub fn new(slice: &Tensor, probability: &Tensor, context: &SliceContext) -> EndFeatures {
        // 1. Statistics of the masks now, previous and annotated, stacked along N.
        let slices = [slice, &context.previous_slice, &context.annotated_slice].map(half);
        let masks = [probability, &context.previous_mask, &context.annotated_mask].map(half);
        let statistics = MaskStatistics::new(&Tensor::cat(&slices, 0), &Tensor::cat(&masks, 0));
        let n = slice.size()[0];
        let parts = |t: &Tensor| [0, 1].map(|i| t.narrow(0, i * n, n));
        // 2. Histograms of now against those of previous and of annotated.
        let [overlaps, likenesses] = statistics.compare();
        let [overlap_with_previous, overlap_with_annotated] = parts(&overlaps);
        let [likeness_to_previous, likeness_to_annotated] = parts(&likenesses);
        // 3. Areas in pixels.
        let [area, previous_area] = parts(&statistics.area);
        let pixels = statistics.inside.size()[1] as f64;
        let areas = [&previous_area, &(&context.annotated_area * pixels), &(&context.largest_area * pixels)];
        let ratios = ((area + 1.0) / (Tensor::cat(&areas, 1) + 1.0)).log().clamp(-LARGEST, LARGEST);
        // 4. Contrast and edge.
        let [contrast_now, contrast_of_previous] = parts(&statistics.contrast);
        let [edge, previous_edge] = parts(&statistics.edge);
        let change_of_edge = (&edge - &previous_edge) / (&edge + &previous_edge + LEAST_SHARPNESS);
        // 5. Distances over the diameter of the target.
        let diameter = (&context.largest_area * (4.0 / std::f64::consts::PI)).sqrt() + 1e-3;
        let distances = Tensor::cat(&[&context.distance, &context.distance_from_largest], 1);
        let distances = (distances / diameter).clamp_min(LEAST_DISTANCE).log();
        EndFeatures {
            overlap_with_previous,
            likeness_to_previous,
            area_against_previous: ratios.narrow(1, 0, 1),
            area_against_annotated: ratios.narrow(1, 1, 1),
            area_against_largest: ratios.narrow(1, 2, 1),
            contrast_now,
            contrast_of_previous,
            change_of_edge,
            overlap_with_annotated,
            likeness_to_annotated,
            slices_from_annotated: context.steps.clamp_min(1.0).log(),
            distance_from_annotated: distances.narrow(1, 0, 1),
            distance_from_largest: distances.narrow(1, 1, 1),
            expected_remaining_area: expected_remaining_area(context),
        }
    }

    /// The features in the order of the table, which trained weights depend on.
    ///
    /// # Shapes
    /// `[N, 14]`, f32.
    pub fn stacked(&self) -> Tensor {
        let columns: [&Tensor; END_FEATURES as usize] = [
            &self.overlap_with_previous,
            &self.likeness_to_previous,
            &self.area_against_previous,
            &self.area_against_annotated,
            &self.area_against_largest,
            &self.contrast_now,
            &self.contrast_of_previous,
            &self.change_of_edge,
            &self.overlap_with_annotated,
            &self.likeness_to_annotated,
            &self.slices_from_annotated,
            &self.distance_from_annotated,
            &self.distance_from_largest,
            &self.expected_remaining_area,
        ];
        Tensor::cat(&columns, 1)
    }
}

/// Number 14. The slices of an ellipsoid have areas A (1 - z² / h²). The areas of the largest slice (z = 0) and of the
/// annotated one determine h; the result is the area at the query over A_max, 1 if the annotated slice is the largest.
fn expected_remaining_area(context: &SliceContext) -> Tensor {
    let from_largest = &context.distance_from_largest;
    let between = from_largest - &context.distance;
    let shrunk = 1.0 - (&context.annotated_area / &context.largest_area.clamp_min(1e-6)).clamp(0.0, 1.0);
    let lost: Tensor = (from_largest / between.clamp_min(1e-3)).square() * shrunk;
    let known = between.gt(SAME_SLICE).to_kind(Kind::Float);
    let remaining: Tensor = 1.0 - lost * known;
    remaining.clamp(-1.0, 1.0)
}

/// Statistics of masks on their slices, N rows.
struct MaskStatistics {
    /// Area, pixels at half resolution: `[N, 1]`.
    area: Tensor,
    /// Mean inside minus mean in the ring, over the standard deviation of both: `[N, 1]`.
    contrast: Tensor,
    /// Sharpness of the border: mean 3 x 3 range of intensities along it, over the same standard deviation: `[N, 1]`.
    edge: Tensor,
    /// Slices, `[N, P]`.
    intensities: Tensor,
    /// Masks, `[N, P]`.
    inside: Tensor,
    /// Rings around the masks, `[N, P]`.
    ring: Tensor,
    /// Mean and standard deviation in mask and ring, each `[N, 1]`.
    range: (Tensor, Tensor),
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

    /// Overlap and likeness of the masks now, the first N of 3 N rows, with those of the other 2 N rows. The bins are
    /// those of the others, whose masks are more reliable.
    ///
    /// # Shapes
    /// 3 N rows / each `[2 N, 1]`.
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

    fn number(value: f32) -> Tensor {
        Tensor::from_slice(&[value]).view([1, 1])
    }

    fn value(feature: &Tensor) -> f64 {
        assert_eq!(feature.size(), [1, 1]);
        feature.double_value(&[0, 0])
    }

    fn assert_near(feature: &Tensor, expected: f64, tolerance: f64) {
        let value = value(feature);
        assert!((value - expected).abs() < tolerance, "{value} is not {expected}");
    }

    /// A square of 16 x 16 pixels, 64 at half resolution of 24 x 24.
    fn square(r: usize, c: usize) -> bool {
        (16..32).contains(&r) && (16..32).contains(&c)
    }

    fn mask() -> Tensor {
        map(&|r, c| f32::from(square(r, c)))
    }

    /// The slice with the target, brighter than its surroundings.
    fn present() -> Tensor {
        map(&|r, c| if square(r, c) { 0.8 } else { 0.2 })
    }

    /// The slice without it.
    fn gone() -> Tensor {
        map(&|_, _| 0.2)
    }

    /// Previous slice with the target; annotated slice without it, four slices and half a side away, with this area in
    /// pixels; the largest slice with 127 pixels at this distance.
    fn context(annotated_area: f32, distance_from_largest: f32) -> SliceContext {
        SliceContext {
            expected_shape: mask(),
            previous_mask: mask(),
            previous_slice: present(),
            largest_area: number(127.0 / 576.0),
            annotated_area: number(annotated_area / 576.0),
            annotated_mask: mask(),
            annotated_slice: gone(),
            steps: number(4.0),
            distance: number(0.5),
            distance_from_largest: number(distance_from_largest),
            same_image: vec![0],
        }
    }

    #[test]
    fn a_slice_like_the_previous_one() {
        let f = EndFeatures::new(&present(), &mask(), &context(31.0, 1.5));
        assert_near(&f.overlap_with_previous, 1.0, 1e-5);
        assert!(value(&f.likeness_to_previous) > 2.0);
        assert!(value(&f.contrast_now) > 1.0);
        assert_near(&f.contrast_of_previous, value(&f.contrast_now), 1e-6);
        assert_near(&f.change_of_edge, 0.0, 1e-6);
    }

    #[test]
    fn a_slice_without_the_target() {
        let f = EndFeatures::new(&gone(), &mask(), &context(31.0, 1.5));
        assert!(value(&f.overlap_with_previous) < 0.1 && value(&f.likeness_to_previous) < -2.0);
        assert_near(&f.contrast_now, 0.0, 0.01);
        assert!(value(&f.contrast_of_previous) > 1.0 && value(&f.change_of_edge) < -0.8);
    }

    #[test]
    fn histograms_of_the_annotated_slice() {
        // It is uniform and dark: 64 pixels inside and 132 in the ring, none as bright as the target now.
        let f = EndFeatures::new(&present(), &mask(), &context(31.0, 1.5));
        assert!(value(&f.overlap_with_annotated) < 0.1);
        assert_near(&f.likeness_to_annotated, (132.96f64 / 64.96).ln(), 1e-2);
    }

    #[test]
    fn areas_are_compared_with_one_pixel_more_each() {
        let f = EndFeatures::new(&present(), &mask(), &context(31.0, 1.5));
        assert_near(&f.area_against_previous, 0.0, 1e-6);
        assert_near(&f.area_against_annotated, (65.0f64 / 32.0).ln(), 1e-5);
        assert_near(&f.area_against_largest, (65.0f64 / 128.0).ln(), 1e-5);
        // Half as large in both directions: 16 pixels.
        let small = map(&|r, c| f32::from((20..28).contains(&r) && (20..28).contains(&c)));
        let f = EndFeatures::new(&present(), &small, &context(31.0, 1.5));
        assert_near(&f.area_against_previous, (17.0f64 / 65.0).ln(), 1e-5);
    }

    #[test]
    fn distances_are_in_diameters_of_the_largest_area() {
        // A disc of 127 / 576 of the area has a diameter of 0.530 sides.
        let f = EndFeatures::new(&present(), &mask(), &context(31.0, 1.5));
        assert_near(&f.slices_from_annotated, 4f64.ln(), 1e-6);
        assert_near(&f.distance_from_annotated, (0.5f64 / 0.531).ln(), 1e-3);
        assert_near(&f.distance_from_largest, value(&f.distance_from_annotated) + 3f64.ln(), 1e-5);
    }

    #[test]
    fn the_remaining_area_follows_an_ellipsoid() {
        // 31 / 127 of the area after 1 of 1.5: 1 - 96 / 127 * 2.25.
        assert_near(&expected_remaining_area(&context(31.0, 1.5)), -89.0 / 127.0, 1e-5);
        // Annotated and largest slice are the same; they have equal areas; the end lies far behind.
        for (area, distance, expected) in [(31.0, 0.5, 1.0), (127.0, 1.5, 1.0), (0.0, 0.7, -1.0)] {
            assert_eq!(value(&expected_remaining_area(&context(area, distance))), expected);
        }
    }

    #[test]
    fn features_of_an_empty_mask_are_finite() {
        let f = EndFeatures::new(&present(), &mask().zeros_like(), &context(31.0, 1.5)).stacked();
        assert!(Vec::<f32>::try_from(f.view([-1])).unwrap().iter().all(|v| v.is_finite()), "{f:?}");
    }

    #[test]
    fn columns_are_in_the_order_of_the_table() {
        let f = EndFeatures {
            overlap_with_previous: number(1.0),
            likeness_to_previous: number(2.0),
            area_against_previous: number(3.0),
            area_against_annotated: number(4.0),
            area_against_largest: number(5.0),
            contrast_now: number(6.0),
            contrast_of_previous: number(7.0),
            change_of_edge: number(8.0),
            overlap_with_annotated: number(9.0),
            likeness_to_annotated: number(10.0),
            slices_from_annotated: number(11.0),
            distance_from_annotated: number(12.0),
            distance_from_largest: number(13.0),
            expected_remaining_area: number(14.0),
        };
        let numbers: Vec<f32> = (1..=END_FEATURES).map(|i| i as f32).collect();
        assert_eq!(Vec::<f32>::try_from(f.stacked().view([-1])).unwrap(), numbers);
    }
}
