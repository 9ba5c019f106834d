//! Losses: of masks, of qualities.

use tch::{Kind, Tensor};

/// Labels from memory are limited to this probability and one minus it. Chosen.
const SURE: f64 = 1e-3;

/// Cross-entropy, plus soft Dice of the slices that hold the target.
///
/// # Shapes
/// `logits`, `truth`: `[N, 1, H, W]`, f32 / scalar.
pub fn mask_loss(logits: &Tensor, truth: &Tensor) -> Tensor {
    cross_entropy(logits, truth) + dice_loss(logits, truth)
}

/// # Shapes
/// As [`mask_loss`].
pub fn cross_entropy(logits: &Tensor, truth: &Tensor) -> Tensor {
    let none = None::<Tensor>;
    logits.binary_cross_entropy_with_logits(truth, none.as_ref(), none.as_ref(), tch::Reduction::Mean)
}

/// 1 - soft Dice, averaged over all slices; 0 for slices without target.
///
/// # Shapes
/// As [`mask_loss`].
pub fn dice_loss(logits: &Tensor, truth: &Tensor) -> Tensor {
    let sum = |t: Tensor| t.flatten(1, -1).sum_dim_intlist(1, false, Kind::Float);
    let p = logits.sigmoid();
    let area = sum(truth.shallow_clone());
    let dice: Tensor = (sum(&p * truth) * 2.0 + 1.0) / (sum(p) + &area + 1.0);
    let present = area.gt(0.5).to_kind(Kind::Float);
    let missing: Tensor = 1.0 - dice;
    (missing * present).mean(Kind::Float)
}

/// Mean [`mask_loss`] of the labels read from memory.
///
/// # Shapes
/// `labels`: `[N, L, h, w]`, -1..1; `truth`: `[N, 1, H, W]` / scalar.
pub fn label_loss(labels: &Tensor, truth: &Tensor) -> Tensor {
    let size = labels.size();
    let truth = truth.adaptive_avg_pool2d([size[2], size[3]]).expand(size.as_slice(), false).flatten(0, 1).unsqueeze(1);
    let probability = (labels * 0.5 + 0.5).clamp(SURE, 1.0 - SURE).flatten(0, 1).unsqueeze(1);
    mask_loss(&probability.logit(None::<f64>), &truth)
}

/// IoU of thresholded probabilities; 1 for an empty mask of an empty target.
///
/// # Shapes
/// `probability`, `truth`: `[N, 1, H, W]` / `[N]`.
pub fn iou(probability: &Tensor, truth: &Tensor) -> Tensor {
    let sum = |t: &Tensor| t.flatten(1, -1).to_kind(Kind::Float).sum_dim_intlist(1, false, Kind::Float);
    let (p, t) = (probability.gt(0.5), truth.gt(0.5));
    let union = sum(&p.logical_or(&t));
    sum(&p.logical_and(&t)) / union.clamp_min(1.0) + union.eq(0.0).to_kind(Kind::Float)
}

/// Dice of thresholded probabilities.
///
/// # Shapes
/// As [`iou`].
pub fn dice(probability: &Tensor, truth: &Tensor) -> Tensor {
    let iou = iou(probability, truth);
    &iou * 2.0 / (&iou + 1.0)
}

/// Cross-entropy of estimated presence with the truth, and of estimated with true IoUs where the target is present,
/// plus a ranking loss: of two masks of one clip, the better one should have the higher quality; where there is no
/// target, it should be 0. Without estimates of presence (one output instead of two) the quality is the IoU. Also
/// returns the qualities.
///
/// # Shapes
/// `logits`: `[clips, T, 2]` or `[clips, T, 1]`; `iou`, `present` (0 or 1), `judged` (weight of a slice): `[clips, T]`
/// / scalar, `[clips, T]`.
///
/// # Panics
/// When the shapes differ: broadcasting would pull every estimate towards the batch's mean.
pub fn quality_loss(logits: &Tensor, iou: &Tensor, present: &Tensor, judged: &Tensor) -> (Tensor, Tensor) {
    assert_eq!(iou.dim(), 2, "one row a clip");
    assert_eq!(logits.size()[..2], iou.size()[..], "estimates and true IoUs must have one shape");
    assert_eq!(iou.size(), present.size(), "true IoUs and presence must have one shape");
    let none = None::<Tensor>;
    let entropy = |logits: &Tensor, truth: &Tensor, weight: &Tensor| {
        let sum = logits.binary_cross_entropy_with_logits(truth, Some(weight), none.as_ref(), tch::Reduction::Sum);
        sum / weight.sum(Kind::Float).clamp_min(1.0)
    };
    let (fit, quality, truth) = match logits.size()[2] {
        1 => {
            let logits = logits.select(2, 0);
            (entropy(&logits, iou, judged), logits.sigmoid(), iou.shallow_clone())
        }
        _ => {
            let (presence, overlap) = (logits.select(2, 0), logits.select(2, 1));
            let fit = entropy(&presence, present, judged) + entropy(&overlap, iou, &(present * judged));
            (fit, presence.sigmoid() * overlap.sigmoid(), iou * present)
        }
    };
    let gap = |t: &Tensor| t.unsqueeze(2) - t.unsqueeze(1);
    let (estimated, true_gap) = (gap(&quality), gap(&truth));
    // Pairs with clearly different qualities; their qualities must differ by half of the true difference.
    let clear = true_gap.gt(0.05).to_kind(Kind::Float) * judged.unsqueeze(2) * judged.unsqueeze(1);
    let violation = (&true_gap * 0.5 - estimated).clamp_min(0.0) * &clear;
    let rank = violation.sum(Kind::Float) / clear.sum(Kind::Float).clamp_min(1.0);
    (fit + rank, quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).reshape([1, 1, 1, values.len() as i64])
    }

    #[test]
    fn cross_entropy_by_hand() {
        // Losses ln 2 (logit 0), ln(1 + e^2) (logit 2 where the truth is 0), and two near 0.
        let loss = cross_entropy(&map(&[0.0, 2.0, -20.0, 20.0]), &map(&[1.0, 0.0, 0.0, 1.0])).double_value(&[]);
        assert!((loss - (2f64.ln() + (1.0 + 2f64.exp()).ln()) / 4.0).abs() < 1e-5);
    }

    #[test]
    fn labels_are_held_against_the_share_of_the_target() {
        // One position for 2 x 2 pixels, half of them inside; its label 0 stands for probability 1/2: cross-entropy ln
        // 2, Dice (2 * 0.5 * 0.5 + 1) / (0.5 + 0.5 + 1) where it counts as present.
        let truth = Tensor::from_slice(&[1.0f32, 1.0, 0.0, 0.0]).view([1, 1, 2, 2]);
        let label = Tensor::zeros([1, 1, 1, 1], (Kind::Float, tch::Device::Cpu));
        assert!((label_loss(&label, &truth).double_value(&[]) - 2f64.ln()).abs() < 1e-5);
        // Two labels of which one is sure and right.
        let truth = truth.ones_like();
        let labels = Tensor::from_slice(&[1.0f32, 0.0]).view([1, 2, 1, 1]);
        let expected = (0.001 + 2f64.ln() + 1.0 - 2.0 / 2.5 + 1.0 - 2.998 / 2.999) / 2.0;
        assert!((label_loss(&labels, &truth).double_value(&[]) - expected).abs() < 1e-4);
    }

    #[test]
    fn dice_by_hand_and_nothing_without_target() {
        // p = 1/2 on two pixels, truth on one: (2 * 0.5 + 1) / (1 + 1 + 1).
        let loss = dice_loss(&map(&[0.0, 0.0]), &map(&[1.0, 0.0])).double_value(&[]);
        assert!((loss - (1.0 - 2.0 / 3.0)).abs() < 1e-6);
        assert_eq!(dice_loss(&map(&[3.0, 3.0]), &map(&[0.0, 0.0])).double_value(&[]), 0.0);
    }

    #[test]
    fn iou_by_hand() {
        let value = |p: &[f32], t: &[f32]| iou(&map(p), &map(t)).double_value(&[0]);
        assert!((value(&[0.9, 0.8, 0.1], &[1.0, 0.0, 1.0]) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(value(&[0.1, 0.2], &[0.0, 0.0]), 1.0);
        assert_eq!(value(&[0.9, 0.2], &[0.0, 0.0]), 0.0);
        assert_eq!(value(&[0.1, 0.2], &[0.0, 1.0]), 0.0);
        assert_eq!(dice(&map(&[0.9, 0.8, 0.1]), &map(&[1.0, 0.0, 1.0])).double_value(&[0]), 0.5);
    }

    #[test]
    fn the_order_within_a_clip_counts() {
        let row = |v: &[f32]| Tensor::from_slice(v).reshape([1, -1]);
        let truth = row(&[0.9, 0.1]);
        let fit = |logits: &Tensor| {
            let none = None::<Tensor>;
            logits.binary_cross_entropy_with_logits(&truth, none.as_ref(), none.as_ref(), tch::Reduction::Mean)
        };
        let loss = |logits: &Tensor| quality_loss(&logits.unsqueeze(2), &truth, &row(&[1.0, 1.0]), &row(&[1.0, 1.0])).0;
        // Both at 1/2: apart by 0 instead of 0.4.
        let equal = row(&[0.0, 0.0]);
        assert!(((loss(&equal) - fit(&equal)).double_value(&[]) - 0.4).abs() < 1e-6);
        let ordered = row(&[3.0, -3.0]);
        assert!((loss(&ordered) - fit(&ordered)).double_value(&[]).abs() < 1e-6);
    }

    #[test]
    fn presence_and_overlap_by_hand() {
        let row = |v: &[f32]| Tensor::from_slice(v).reshape([1, -1]);
        // A slice with target and one without, presence 3/4 and 1/4, IoU 1/2 for both; the second's IoU does not count.
        let logits = Tensor::from_slice(&[3f32.ln(), 0.0, -(3f32.ln()), 0.0]).reshape([1, 2, 2]);
        let both = row(&[1.0, 1.0]);
        // An empty mask without target has the IoU 1, and no quality.
        let (loss, quality) = quality_loss(&logits, &row(&[0.5, 1.0]), &row(&[1.0, 0.0]), &both);
        let expected = (4f64 / 3.0).ln() + 2f64.ln();
        // Qualities 3/8 and 1/8 differ by the required half of the true difference.
        assert!((loss.double_value(&[]) - expected).abs() < 1e-6);
        assert!((quality.double_value(&[0, 0]) - 0.375).abs() < 1e-6);
        assert!((quality.double_value(&[0, 1]) - 0.125).abs() < 1e-6);
        // A mask that is not judged has no loss, neither of its estimates nor of its rank: the mean is that of one
        // slice.
        let wrong = Tensor::from_slice(&[3f32.ln(), 0.0, 9.0, 9.0]).reshape([1, 2, 2]);
        let (loss, _) = quality_loss(&wrong, &row(&[0.5, 0.0]), &row(&[1.0, 0.0]), &row(&[1.0, 0.0]));
        assert!((loss.double_value(&[]) - expected).abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "one shape")]
    fn shapes_that_would_broadcast_are_refused() {
        let column = Tensor::from_slice(&[0.0f32, 1.0]).reshape([2, 1]);
        let row = Tensor::from_slice(&[0.5f32, 0.5]).reshape([1, 2]);
        let _ = quality_loss(&column.unsqueeze(2), &row, &row, &row);
    }
}
