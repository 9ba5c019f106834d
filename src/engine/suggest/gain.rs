//! What a correction of each slice gains (paper §2.3, which takes the slice of the lowest quality).

/// Quality of the slice beside an annotated one, and of that 20 slices away, where nothing is known of it.
const USUAL: [f64; 2] = [0.8, 0.3];
/// Least logarithm of the quality lost a slice: masks never get better with the distance.
const LEAST_LOSS: f64 = 0.002;

/// Expected gain of a correction of each slice, voxels: what its own mask lacks, and what masks carried on from it would be
/// better by than those that are there, up to the annotated slices on both sides (a correction changes nothing beyond them).
///
/// How good carried masks are at a distance is learnt from the estimates themselves ([`Profile`]), so that a slice as good as can be
/// expected where it lies gains nothing from its neighbour, however pessimistic the estimates are, and a target that is hard to
/// follow is asked for in smaller steps. An empty slice is right or holds a target that is missed altogether, of the nearest mask's
/// area: what is gained is that of a carried mask, as likely as the slice is wrong. So a whole run of them beyond an end counts that
/// was called too early.
///
/// # Shapes
/// `quality`, `areas` and `fixed` (annotated or being drawn): one entry a slice / gain: one entry a slice, 0 where fixed.
pub(crate) fn expected_gain(quality: &[f32], areas: &[usize], fixed: &[bool]) -> Vec<f64> {
    let n = quality.len();
    let profile = Profile::of(quality, areas, fixed);
    let carried: Vec<f64> = (0..n).map(|distance| profile.at(distance)).collect();
    let nearest = nearest_area(areas);
    let area = |k: usize| if areas[k] == 0 { nearest[k] } else { areas[k] } as f64;
    let better = |j: usize, then: f64| {
        let now = f64::from(quality[j]);
        area(j) * if areas[j] == 0 { (1.0 - now) * then } else { (then - now).max(0.0) }
    };
    (0..n)
        .map(|k| {
            if fixed[k] {
                return 0.0;
            }
            let up = (k + 1..n).take_while(|&j| !fixed[j]);
            let down = (0..k).rev().take_while(|&j| !fixed[j]);
            better(k, 1.0) + up.chain(down).map(|j| better(j, carried[j.abs_diff(k)])).sum::<f64>()
        })
        .collect()
}

/// Quality of carried masks over the distance from the nearest annotated slice: it falls by the same share with every slice.
struct Profile {
    /// Logarithm of the quality at distance 0, going back from farther away.
    start: f64,
    /// Logarithm of what is left of it after each slice.
    slope: f64,
}

impl Profile {
    /// Fitted to the slices that have a mask, each with the weight of its area (least squares of the logarithms).
    fn of(quality: &[f32], areas: &[usize], fixed: &[bool]) -> Profile {
        let distances = distances(fixed);
        let [near, far] = USUAL.map(f64::ln);
        let usual = (far - near) / 19.0;
        let (mut weight, mut mean) = (0.0, [0.0; 2]);
        let points: Vec<(f64, [f64; 2])> = (0..quality.len())
            .filter(|&k| !fixed[k] && areas[k] > 0)
            .filter_map(|k| Some((areas[k] as f64, [distances[k]? as f64, f64::from(quality[k]).max(0.02).ln()])))
            .collect();
        for (w, point) in &points {
            weight += w;
            (0..2).for_each(|i| mean[i] += w * (point[i] - mean[i]) / weight);
        }
        if points.is_empty() {
            return Profile { start: near - usual, slope: usual };
        }
        let sum = |i: usize, j: usize| points.iter().map(|(w, p)| w * (p[i] - mean[i]) * (p[j] - mean[j])).sum::<f64>();
        let spread = sum(0, 0);
        let slope = if spread > 1e-6 * weight { sum(0, 1) / spread } else { usual }.min(-LEAST_LOSS);
        Profile { start: (mean[1] - slope * mean[0]).min(0.0), slope }
    }

    fn at(&self, distance: usize) -> f64 {
        (self.start + self.slope * distance as f64).exp()
    }
}

/// For each slice the nearest that is marked at or below it, and at or above it.
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

/// Slices from each to the nearest that is fixed; none where none is.
fn distances(fixed: &[bool]) -> Vec<Option<usize>> {
    let nearest = |(k, found): (usize, [Option<usize>; 2])| found.into_iter().flatten().map(|j| j.abs_diff(k)).min();
    around(fixed).into_iter().enumerate().map(nearest).collect()
}

/// Area of the nearest mask that is not empty; of two as near the larger, 0 where there is none.
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
        // 0.8 beside the annotated slice, 10 % less with every further one, on both sides; the empty slice says nothing.
        let quality = [0.3, 0.648, 0.72, 0.8, 1.0, 0.8, 0.72];
        let fixed = [false, false, false, false, true, false, false];
        let profile = Profile::of(&quality, &[0, 10, 10, 10, 10, 20, 10], &fixed);
        close(&[profile.at(1), profile.at(4)], &[0.8, 0.8 * 0.729]);
        // Masks that get better with the distance: as good everywhere, or nearly.
        let rising = Profile::of(&[1.0, 0.5, 0.9], &[10; 3], &[true, false, false]);
        assert!(rising.at(1) > rising.at(2) && rising.at(2) > rising.at(1) * 0.997);
        // One distance, or none: the usual fall, through what there is.
        let one = Profile::of(&[1.0, 0.6], &[10; 2], &[true, false]);
        close(&[one.at(1), one.at(20)], &[0.6, 0.6 * 0.3 / 0.8]);
        let nothing = Profile::of(&[1.0, 1.0], &[0; 2], &[false; 2]);
        close(&[nothing.at(1), nothing.at(20)], &USUAL);
    }

    #[test]
    fn as_good_as_can_be_expected_gains_its_own_alone() {
        // On the profile exactly, 0.8 and 0.72 (10 % a slice): slice 2 gains 0.28 of its own, and that slice 1 stays as near.
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
        // 0.8 beside slice 0, and the usual fall; slices 2 to 4 may have been missed. The middle one is nearest to both others.
        let gain = expected_gain(&[1.0, 0.8, 0.2, 0.2, 0.2], &[100, 100, 0, 0, 0], &[true, false, false, false, false]);
        let fall = (0.3f64 / 0.8).powf(1.0 / 19.0);
        close(&gain[3..4], &[80.0 + 2.0 * 64.0]);
        close(&gain[4..], &[80.0 + 64.0 + 64.0 * fall]);
    }

    #[test]
    fn nothing_is_gained_at_or_beyond_an_annotated_slice() {
        let gain = expected_gain(&[0.5, 0.5, 0.5], &[10, 10, 100], &[false, true, false]);
        // Slice 0 gains its own 0.5 * 10 only.
        close(&gain, &[5.0, 0.0, 50.0]);
    }
}
