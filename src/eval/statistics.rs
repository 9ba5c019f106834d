//! Statistics: intervals of means, and agreement of an estimate with the truth.

use super::metrics::percentile;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Number of resampled sets for an interval. Chosen.
const RESAMPLES: usize = 2000;
/// A slice is bad when its IoU is less. Chosen.
pub const BAD_IOU: f64 = 0.5;

/// Mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Median (mean of the middle two); `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| percentile(&sorted, 0.5))
}

/// A mean and the interval that holds 95 % of the means of resampled sets (percentile bootstrap).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Mean of the values.
    pub mean: f64,
    /// 2.5 % of the resampled means are below.
    pub low: f64,
    /// 2.5 % of them are above.
    pub high: f64,
    /// Number of values.
    pub n: usize,
}

impl Mean {
    /// Mean of `values` and its interval; seeded, so that the same values give the same interval. `None` without
    /// values.
    pub fn of(values: &[f64]) -> Option<Mean> {
        let n = values.len();
        let mean = mean(values)?;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut means: Vec<f64> =
            (0..RESAMPLES).map(|_| (0..n).map(|_| values[rng.gen_range(0..n)]).sum::<f64>() / n as f64).collect();
        means.sort_by(f64::total_cmp);
        Some(Mean { mean, low: percentile(&means, 0.025), high: percentile(&means, 0.975), n })
    }
}

/// Area under a curve of equally spaced points, divided by its width: the mean height by trapezoids.
pub fn area_under(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [one] => *one,
        _ => values.windows(2).map(|w| (w[0] + w[1]) / 2.0).sum::<f64>() / (values.len() - 1) as f64,
    }
}

/// Mean of the absolute differences; `None` of nothing.
pub fn mean_absolute_error(estimate: &[f64], truth: &[f64]) -> Option<f64> {
    mean(&estimate.iter().zip(truth).map(|(e, t)| (e - t).abs()).collect::<Vec<_>>())
}

/// Spearman's rank correlation, -1..1: Pearson's of the ranks, equal values sharing their mean rank. `None` for fewer
/// than three pairs, or when one side is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() < 3 {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let spread = (product(&a, &a) * product(&b, &b)).sqrt();
    (spread > 0.0).then(|| product(&a, &b) / spread)
}

/// Ranks from 1; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let end = (at..order.len()).find(|&k| values[order[k]] != values[order[at]]).unwrap_or(order.len());
        let rank = (at + 1 + end) as f64 / 2.0;
        order[at..end].iter().for_each(|&i| ranks[i] = rank);
        at = end;
    }
    ranks
}

/// Of the slices whose true IoU is under [`BAD_IOU`], the share that is among the fifth (rounded up) of all slices with
/// the lowest estimated quality. `None` when no slice is bad. When more slices are bad than a fifth holds, the fifth
/// can at best be full: the share is of those that fit.
pub fn bad_among_worst_fifth(quality: &[f64], iou: &[f64]) -> Option<f64> {
    let fifth = quality.len().div_ceil(5);
    let bad = iou.iter().filter(|&&v| v < BAD_IOU).count();
    if bad == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..quality.len()).collect();
    order.sort_by(|&i, &j| quality[i].total_cmp(&quality[j]));
    let found = order[..fifth].iter().filter(|&&i| iou[i] < BAD_IOU).count();
    Some(found as f64 / bad.min(fifth) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_equal_values_are_shared() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0]), [2.5, 4.0, 2.5, 1.0]);
    }

    #[test]
    fn rank_correlation_of_known_orders() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24).
        let r = spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]).unwrap();
        assert!((r - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn the_interval_holds_the_mean_and_repeats() {
        let values = [0.2, 0.9, 0.8, 0.7, 0.95, 0.6];
        let m = Mean::of(&values).unwrap();
        assert!((m.mean - 4.15 / 6.0).abs() < 1e-12);
        assert!(m.low < m.mean && m.mean < m.high && m.low > 0.2 && m.high < 0.95);
        assert_eq!(Mean::of(&values), Some(m));
        let same = Mean::of(&[0.5; 4]).unwrap();
        assert_eq!((same.low, same.high), (0.5, 0.5));
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn small_figures_by_hand() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(area_under(&[0.5, 1.0, 1.0]), 0.875);
        assert_eq!(area_under(&[0.5]), 0.5);
        assert!((mean_absolute_error(&[0.5, 1.0], &[0.7, 0.9]).unwrap() - 0.15).abs() < 1e-12);
    }

    #[test]
    fn bad_slices_are_searched_in_the_worst_fifth() {
        // Ten slices: the worst-ranked two are 0 and 1.
        let quality = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
        let mut iou = [0.9; 10];
        assert_eq!(bad_among_worst_fifth(&quality, &iou), None);
        iou[1] = 0.3;
        iou[8] = 0.1;
        assert_eq!(bad_among_worst_fifth(&quality, &iou), Some(0.5));
        // All bad: no ranking could do better than to fill the fifth.
        assert_eq!(bad_among_worst_fifth(&quality, &[0.0; 10]), Some(1.0));
    }
}
