//! Probabilities whose threshold of one half gives the largest expected Dice.
//!
//! Where a network doubts, the mask with the largest expected Dice holds pixels below one half, too: its threshold is
//! half of the Dice that it reaches (Lipton et al., 2014). The logits are raised until that threshold is one half;
//! certain probabilities hardly change.

/// Most that logits are raised. Chosen.
const MOST: f64 = 1.0;
/// The threshold is kept this far from 0 and 1. Chosen.
const LEAST: f64 = 0.02;

/// Raises the logits of `probabilities`, 1/255. Those of 0 stay 0.
pub(super) fn centre(probabilities: &mut [u8]) {
    let logit = |p: f64| (p / (1.0 - p)).ln();
    let threshold = threshold(probabilities).clamp(LEAST, 1.0 - LEAST);
    let by = (-logit(threshold)).min(MOST);
    let moved = |v: u8| {
        let p = (f64::from(v) / 255.0).clamp(1e-4, 1.0 - 1e-4);
        (255.0 / (1.0 + (-(logit(p) + by)).exp())).round() as u8
    };
    let table: Vec<u8> = (0..=u8::MAX).map(|v| if v == 0 { 0 } else { moved(v) }).collect();
    probabilities.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
}

/// Half of the largest expected Dice, 2 Σ p / (n + Σ p): above the fraction, of the n pixels of the mask; below it, of
/// all pixels. One half where there is no mask.
fn threshold(probabilities: &[u8]) -> f64 {
    let mut counts = [0f64; 256];
    probabilities.iter().for_each(|&v| counts[usize::from(v)] += 1.0);
    let weight = |v: usize| counts[v] * v as f64 / 255.0;
    let all: f64 = (0..256).map(weight).sum();
    let (mut inside, mut n, mut best) = (0.0, 0.0, 0f64);
    for v in (1..256).rev() {
        inside += weight(v);
        n += counts[v];
        best = best.max(2.0 * inside / (n + all).max(f64::MIN_POSITIVE));
    }
    if best > 0.0 { best / 2.0 } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_pixels_belong_to_the_mask_of_the_largest_expected_dice() {
        // One pixel of 1 alone: Dice 2 / (1 + 1.8); with two of 0.4: 3.6 / (3 + 1.8).
        let mut doubt = [255, 102, 102, 0];
        assert!((threshold(&doubt) - 0.375).abs() < 1e-9);
        centre(&mut doubt);
        assert!(doubt[0] == 255 && doubt[1] >= 128 && doubt[3] == 0, "{doubt:?}");
        // With two of 0.1: 2 / 2.2 alone, 2.4 / 4.2 with them; they stay outside.
        let mut certain = [255, 26, 26, 0];
        centre(&mut certain);
        assert!(certain[1] < 128, "{certain:?}");
    }

    #[test]
    fn logits_rise_by_one_at_most_and_nothing_stays_nothing() {
        let mut faint = [20; 9];
        centre(&mut faint);
        // sigmoid(logit(20 / 255) + 1) = 0.188.
        assert_eq!(faint, [48; 9]);
        let mut nothing = [0; 4];
        centre(&mut nothing);
        assert_eq!((nothing, threshold(&nothing)), ([0; 4], 0.5));
    }
}
