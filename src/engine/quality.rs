//! Quality per slice, and the slice to correct next (paper §2.3, made to weigh what a correction gains).

/// Share of a slice's error that a correction `d` slices away is expected to mend is `REACH` to the power `d`.
const REACH: f64 = 0.8;
/// Slices farther away than this are not counted: `REACH` to this power is under 2 %.
const FARTHEST: usize = 18;

/// Expected gain of a correction of each slice, voxels: its own expected error, and a share of its neighbours' that
/// falls with distance, up to the annotated slices on both sides (a correction changes nothing beyond them).
///
/// The expected error of a slice is (1 - quality) times the area that the target should have there: the larger of its
/// own mask and the mean of its neighbours', and on an empty slice that of the nearest mask, so that missed slices count too,
/// a whole run of them beyond an end that was called too early as well.
///
/// # Shapes
/// `quality`, `areas` and `fixed` (annotated or being drawn): one entry a slice / gain: one entry a slice, 0 where fixed.
pub(crate) fn expected_gain(quality: &[f32], areas: &[usize], fixed: &[bool]) -> Vec<f64> {
    let n = quality.len();
    let nearest = nearest_area(areas);
    let error: Vec<f64> = (0..n)
        .map(|k| {
            if fixed[k] {
                return 0.0;
            }
            let neighbours = [k.checked_sub(1), Some(k + 1)].into_iter().flatten().filter(|&j| j < n);
            let (sum, count) = neighbours.fold((0, 0), |(s, c), j| (s + areas[j], c + 1));
            let own = if areas[k] == 0 { nearest[k] } else { areas[k] };
            let area = (own as f64).max(sum as f64 / f64::from(count.max(1)));
            (1.0 - f64::from(quality[k])).max(0.0) * area
        })
        .collect();
    gain_of_errors(&error, fixed)
}

/// Area of the nearest mask that is not empty; of two as near the larger, 0 where there is none.
fn nearest_area(areas: &[usize]) -> Vec<usize> {
    let n = areas.len();
    // Distance to, and area of, the last mask on the way up and down.
    let mut nearest = vec![(usize::MAX, 0); n];
    let mut pass = |order: &mut dyn Iterator<Item = usize>| {
        let mut last: Option<usize> = None;
        for k in order {
            last = if areas[k] > 0 { Some(k) } else { last };
            if let Some(j) = last {
                let (distance, area) = nearest[k];
                let (new, own) = (j.abs_diff(k), areas[j]);
                if new < distance || new == distance && own > area {
                    nearest[k] = (new, own);
                }
            }
        }
    };
    pass(&mut (0..n));
    pass(&mut (0..n).rev());
    nearest.into_iter().map(|(_, area)| area).collect()
}

/// Gain of a correction of each slice, in the unit of `error`: its own error, and the share of its neighbours' that it is
/// expected to mend.
///
/// # Shapes
/// As [`expected_gain`].
pub(crate) fn gain_of_errors(error: &[f64], fixed: &[bool]) -> Vec<f64> {
    let n = error.len();
    (0..n)
        .map(|k| {
            if fixed[k] {
                return 0.0;
            }
            let up = (k + 1..n).take(FARTHEST).take_while(|&j| !fixed[j]);
            let down = (0..k).rev().take(FARTHEST).take_while(|&j| !fixed[j]);
            error[k] + up.chain(down).map(|j| error[j] * REACH.powi(j.abs_diff(k) as i32)).sum::<f64>()
        })
        .collect()
}

/// Quality of a slice `steps` beyond the last one looked at, whose quality was `last`: the target ended before, and the
/// doubt about it halves with every slice.
pub(crate) fn beyond_the_end(last: f32, steps: usize) -> f32 {
    1.0 - (1.0 - last) * 0.5f32.powi(steps.min(60) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_mediocre_slice_outweighs_a_bad_small_one() {
        let quality = [0.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7];
        let areas = [10, 0, 0, 0, 0, 0, 0, 0, 0, 10_000];
        let gain = expected_gain(&quality, &areas, &[false; 10]);
        assert!(gain[9] > gain[0]);
        // Slice 8 has quality 1, and gains 80 % of what its neighbour does.
        assert!((gain[9] - 3000.0 - 9.0 * 0.8f64.powi(9)).abs() < 1e-2);
        assert!((gain[8] - 2400.0 - 9.0 * 0.8f64.powi(8)).abs() < 1e-2);
    }

    #[test]
    fn a_missed_slice_counts_with_its_neighbours_area() {
        let gain = expected_gain(&[0.9, 0.2, 0.9], &[100, 0, 100], &[false; 3]);
        // Own error 0.8 * 100, and 80 % of 0.1 * 100 on both sides.
        assert!((gain[1] - 96.0).abs() < 1e-4, "{gain:?}");
        assert!(gain[1] > gain[0]);
    }

    #[test]
    fn slices_missed_beyond_an_end_count_with_the_last_area() {
        assert_eq!(nearest_area(&[0, 0, 0, 30, 0, 50, 0, 0]), [30, 30, 30, 30, 50, 50, 50, 50]);
        assert_eq!(nearest_area(&[0, 0]), [0, 0]);
        // Slices 2 to 4 may have been missed: 0.5 * 100 each; slice 3 mends its own error and 80 % of both others'.
        let gain = expected_gain(&[1.0, 1.0, 0.5, 0.5, 0.5], &[100, 100, 0, 0, 0], &[true, false, false, false, false]);
        assert!((gain[3] - 130.0).abs() < 1e-6, "{gain:?}");
    }

    #[test]
    fn nothing_is_gained_at_or_beyond_an_annotated_slice() {
        let gain = expected_gain(&[0.5, 0.5, 0.5], &[10, 10, 100], &[false, true, false]);
        assert_eq!(gain[1], 0.0);
        // Slice 0 gains its own 0.5 * 10 only.
        assert!((gain[0] - 5.0).abs() < 1e-9);
    }

    #[test]
    fn doubt_halves_beyond_the_end() {
        assert!((beyond_the_end(0.6, 1) - 0.8).abs() < 1e-6);
        assert!((beyond_the_end(0.6, 2) - 0.9).abs() < 1e-6);
    }
}
