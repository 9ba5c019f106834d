//! Expected gain of a correction of each slice. The paper (§2.3) suggests the slice with the lowest quality instead.

/// Slices from an annotated one at which [`DEFAULT_QUALITY`] is given.
const DEFAULT_DISTANCE: [f64; 2] = [1.0, 20.0];
/// Quality at these distances where no slice has a mask. Chosen.
const DEFAULT_QUALITY: [f64; 2] = [0.8, 0.3];
/// Least loss of the logarithm of the quality a slice: masks never get better with the distance. Chosen.
const LEAST_LOSS: f64 = 0.002;
/// Least quality whose logarithm is fitted. Chosen.
const LEAST_QUALITY: f64 = 0.02;
/// Least variance of distances to which a slope is fitted, slices². Chosen.
const LEAST_VARIANCE: f64 = 1e-6;

/// Expected gain of a correction of each slice, voxels: the error of its own mask, and the improvement of the masks
/// that are propagated from it anew, up to the annotated slices on both sides (a correction changes nothing beyond
/// them).
///
/// The quality of propagated masks by distance is fitted to the estimates themselves ([`Profile`]). So a slice that is
/// as good as expected at its distance gains nothing from its neighbour, however low all estimates are, and a target
/// whose quality falls fast is annotated in smaller steps. An empty slice is correct, or the target is missed there,
/// with the area of the nearest mask: its gain is the quality of a propagated mask times the probability that it is
/// wrong. So all empty slices beyond an end that may be too early count. A slice without an estimate (quality 0), which
/// no propagation has reached, gains nothing: a correction elsewhere need not reach it either.
///
/// # Shapes
/// `quality`, `areas` and `fixed` (annotated or being drawn): one entry a slice / gain: one entry a slice, 0 where
/// fixed or without an estimate.
pub(crate) fn expected_gain(quality: &[f32], areas: &[usize], fixed: &[bool]) -> Vec<f64> {
    let n = quality.len();
    let profile = Profile::of(quality, areas, fixed);
    let propagated: Vec<f64> = (0..n).map(|distance| profile.at(distance)).collect();
    let nearest = nearest_area(areas);
    let area = |k: usize| if areas[k] == 0 { nearest[k] } else { areas[k] } as f64;
    let better = |j: usize, then: f64| {
        let now = f64::from(quality[j]);
        if now == 0.0 {
            return 0.0;
        }
        area(j) * if areas[j] == 0 { (1.0 - now) * then } else { (then - now).max(0.0) }
    };
    (0..n)
        .map(|k| {
            if fixed[k] || quality[k] == 0.0 {
                return 0.0;
            }
            let up = (k + 1..n).take_while(|&j| !fixed[j]);
            let down = (0..k).rev().take_while(|&j| !fixed[j]);
            better(k, 1.0) + up.chain(down).map(|j| better(j, propagated[j.abs_diff(k)])).sum::<f64>()
        })
        .collect()
}

/// Quality of propagated masks by distance from the nearest annotated slice: it falls by the same factor with every
/// slice.
struct Profile {
    /// Logarithm of the quality extrapolated to distance 0.
    start: f64,
    /// Logarithm of the factor a slice.
    slope: f64,
}

impl Profile {
    /// Fitted to the slices that have a mask, each with the weight of its area (least squares of the logarithms).
    fn of(quality: &[f32], areas: &[usize], fixed: &[bool]) -> Profile {
        let distances = distances(fixed);
        let [near, far] = DEFAULT_QUALITY.map(f64::ln);
        let default_slope = (far - near) / (DEFAULT_DISTANCE[1] - DEFAULT_DISTANCE[0]);
        let (mut weight, mut mean) = (0.0, [0.0; 2]);
        let points: Vec<(f64, [f64; 2])> = (0..quality.len())
            .filter(|&k| !fixed[k] && areas[k] > 0 && quality[k] > 0.0)
            .filter_map(|k| {
                Some((areas[k] as f64, [distances[k]? as f64, f64::from(quality[k]).max(LEAST_QUALITY).ln()]))
            })
            .collect();
        for (w, point) in &points {
            weight += w;
            (0..2).for_each(|i| mean[i] += w * (point[i] - mean[i]) / weight);
        }
        if points.is_empty() {
            return Profile { start: near - DEFAULT_DISTANCE[0] * default_slope, slope: default_slope };
        }
        let sum = |i: usize, j: usize| points.iter().map(|(w, p)| w * (p[i] - mean[i]) * (p[j] - mean[j])).sum::<f64>();
        let spread = sum(0, 0);
        let slope = if spread > LEAST_VARIANCE * weight { sum(0, 1) / spread } else { default_slope }.min(-LEAST_LOSS);
        Profile { start: (mean[1] - slope * mean[0]).min(0.0), slope }
    }

    fn at(&self, distance: usize) -> f64 {
        (self.start + self.slope * distance as f64).exp()
    }
}

/// For each slice the nearest marked one at or below it, and at or above it.
pub(super) fn around(marked: &[bool]) -> Vec<[Option<usize>; 2]> {
    let mut around = vec![[None; 2]; marked.len()];
    let mut pass = |side: usize, order: &mut dyn Iterator<Item = usize>| {
        let mut last = None;
        for k in order {
            last = if marked[k] { Some(k) } else { last };
            around[k][side] = last;
        }
    };
    pass(0, &mut (0..marked.len()));
    pass(1, &mut (0..marked.len()).rev());
    around
}

/// Slices from each to the nearest fixed one; none if none is fixed.
fn distances(fixed: &[bool]) -> Vec<Option<usize>> {
    let nearest = |(k, found): (usize, [Option<usize>; 2])| found.into_iter().flatten().map(|j| j.abs_diff(k)).min();
    around(fixed).into_iter().enumerate().map(nearest).collect()
}

/// Area of the nearest mask that is not empty; of two at the same distance the larger, 0 if there is none.
fn nearest_area(areas: &[usize]) -> Vec<usize> {
    let nearest = |(k, found): (usize, [Option<usize>; 2])| {
        let nearest = found.into_iter().flatten().min_by_key(|&j| (j.abs_diff(k), std::cmp::Reverse(areas[j])));
        nearest.map_or(0, |j| areas[j])
    };
    around(&areas.iter().map(|&a| a > 0).collect::<Vec<_>>()).into_iter().enumerate().map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0)), "{a:?}");
    }

    #[test]
    fn the_profile_is_that_of_the_masks() {
        // 0.8 beside the annotated slice, 10 % less with every further one, on both sides; the empty slice does not
        // count.
        let quality = [0.3, 0.648, 0.72, 0.8, 1.0, 0.8, 0.72];
        let fixed = [false, false, false, false, true, false, false];
        let profile = Profile::of(&quality, &[0, 10, 10, 10, 10, 20, 10], &fixed);
        close(&[profile.at(1), profile.at(4)], &[0.8, 0.8 * 0.729]);
        // Masks that get better with the distance: nearly the same quality everywhere.
        let rising = Profile::of(&[1.0, 0.5, 0.9], &[10; 3], &[true, false, false]);
        assert!(rising.at(1) > rising.at(2) && rising.at(2) > rising.at(1) * 0.997);
        // One distance, or none: the default slope.
        let one = Profile::of(&[1.0, 0.6], &[10; 2], &[true, false]);
        close(&[one.at(1), one.at(20)], &[0.6, 0.6 * 0.3 / 0.8]);
        let nothing = Profile::of(&[1.0, 1.0], &[0; 2], &[false; 2]);
        close(&[nothing.at(1), nothing.at(20)], &DEFAULT_QUALITY);
    }

    #[test]
    fn slices_as_good_as_expected_gain_their_own_error_alone() {
        // On the profile exactly, 0.8 and 0.72 (10 % a slice). Slice 2 gains its own 0.28; slice 1 is as good as
        // before.
        let gain = expected_gain(&[1.0, 0.8, 0.72], &[100; 3], &[true, false, false]);
        close(&gain, &[0.0, 100.0 * (0.2 + 0.08), 100.0 * 0.28]);
    }

    #[test]
    fn a_large_mediocre_slice_outweighs_a_bad_small_one() {
        let quality = [0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7];
        let areas = [10, 0, 0, 0, 0, 0, 0, 0, 0, 10_000];
        let gain = expected_gain(&quality, &areas, &[false; 10]);
        assert!(gain[9] > 100.0 * gain[0]);
    }

    #[test]
    fn missed_slices_count_with_the_nearest_area() {
        assert_eq!(nearest_area(&[0, 0, 0, 30, 0, 50, 0, 0]), [30, 30, 30, 30, 50, 50, 50, 50]);
        assert_eq!(nearest_area(&[0, 0]), [0, 0]);
        assert_eq!(distances(&[false, false, true, false, true]), [2, 1, 0, 1, 0].map(Some));
        // 0.8 beside slice 0, and the default slope; slices 2 to 4 may be missed. The middle one is nearest to both
        // others.
        let gain = expected_gain(&[1.0, 0.8, 0.2, 0.2, 0.2], &[100, 100, 0, 0, 0], &[true, false, false, false, false]);
        let fall = (0.3f64 / 0.8).powf(1.0 / 19.0);
        close(&gain[3..4], &[80.0 + 2.0 * 64.0]);
        close(&gain[4..], &[80.0 + 64.0 + 64.0 * fall]);
    }

    #[test]
    fn slices_that_no_propagation_reached_gain_nothing() {
        // As in slices_as_good_as_expected_gain_their_own_error_alone, with a leftover and an empty slice beyond.
        let fixed = [true, false, false, false, false];
        let gain = expected_gain(&[1.0, 0.8, 0.72, 0.0, 0.0], &[100, 100, 100, 500, 0], &fixed);
        close(&gain, &[0.0, 100.0 * (0.2 + 0.08), 100.0 * 0.28, 0.0, 0.0]);
    }

    #[test]
    fn nothing_is_gained_at_or_beyond_an_annotated_slice() {
        let gain = expected_gain(&[0.5, 0.5, 0.5], &[10, 10, 100], &[false, true, false]);
        // Slice 0 gains its own 0.5 * 10 only.
        close(&gain, &[5.0, 0.0, 50.0]);
    }
}
