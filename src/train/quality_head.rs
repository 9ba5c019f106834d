//! The quality stage (Mem3D §2.3, eq. 8): everything but the head is frozen; the head learns the presence of the target and the IoU
//! of masks of every quality.
//!
//! A clip starts at an annotated slice; its next slices follow it, or lie together anywhere from there to just beyond the end of the
//! target, and the first of these has a mask that was carried there. Bad masks come about as they do in use: the mask drifts on its
//! own, and in two thirds of the clips some masks are replaced by damaged ones, missed and leaked ones included. Beyond the end the
//! mask before stays the last one of the target in half of the clips, as when the engine calls the slices empty.

use super::batch::{Batch, array};
use super::damage;
use super::losses::{iou, quality_loss};
use super::memory_net::{Start, carried_masks, expect, of_slice, read_from};
use super::networks::Trainee;
use super::random::{Random, chance, uniform};
use super::resample::blur;
use crate::nn::{Expected, ImageFeatures};
use tch::{Kind, Tensor};

/// Share of clips with damaged masks, and of the masks in these that are.
const DAMAGED: [f64; 2] = [0.67, 0.35];

/// Loss of a batch of at least three slices, with the head's graph; qualities and true IoUs `[B, T - 2]`.
pub fn loss(trainee: &dyn Trainee, batch: &Batch, random: &Random) -> (Tensor, Tensor, Tensor) {
    let (b, t) = (batch.clips(), batch.length());
    let seen = tch::no_grad(|| walk(trainee, batch, random));
    let mut logits = vec![];
    let mut truths = vec![];
    let mut present = vec![];
    for (i, Seen { features, readout, probability, expected }) in seen.iter().enumerate() {
        logits.push(trainee.quality(features, readout, probability, expected));
        let truth = batch.mask(i as i64 + 2);
        truths.push(iou(probability, &truth));
        present.push(truth.amax([1i64, 2, 3].as_slice(), false).gt(0.5).to_kind(Kind::Float));
    }
    let [logits, truths, present] = [logits, truths, present].map(|parts| Tensor::stack(&parts, 1));
    assert_eq!(logits.size()[..2], [b, t - 2]);
    let (loss, quality) = quality_loss(&logits, &truths, &present);
    (loss, quality.detach(), truths)
}

/// What the head sees of the same slice of every clip.
struct Seen {
    features: ImageFeatures,
    readout: Tensor,
    probability: Tensor,
    expected: Expected,
}

/// All slices but the first two.
fn walk(trainee: &dyn Trainee, batch: &Batch, random: &Random) -> Vec<Seen> {
    let (b, t) = (batch.clips(), batch.length());
    let all = trainee.encode_image(&batch.images.flatten(0, 1));
    let first = batch.mask(0);
    let start = of_slice(&all, 0, b, t);
    let whole: Vec<bool> = (0..b).map(|_| !chance(random, DAMAGED[0])).collect();
    let mut before = carried_masks(batch, random);
    let mut before_slices = of_slice(&all, 1, b, t);
    let mut memories =
        vec![trainee.memorize(&of_slice(&all, 0, b, t), &first), trainee.memorize(&before_slices, &before)];
    let recognised: Vec<bool> = (0..b).map(|_| chance(random, 0.5)).collect();
    let mut seen = vec![];
    for i in 2..t {
        let features = of_slice(&all, i, b, t);
        let start = Start { slices: &start, masks: &first, steps: &batch.steps_to(i) };
        let expected = expect(&start, &before, &before_slices, &|_| None);
        let (logits, readout) = trainee.segment(&features, &read_from(&memories, b, true, random), &expected);
        let own = logits.sigmoid();
        let masks: Vec<Tensor> = (0..b)
            .map(|n| {
                let own = own.narrow(0, n, 1);
                if whole[n as usize] || !chance(random, DAMAGED[1]) {
                    return own;
                }
                // As soft at its border as the networks' own masks, or softness would give it away.
                let softness = uniform(random, 0.6, 2.0);
                let base = if chance(random, 0.5) { batch.mask(i).narrow(0, n, 1) } else { own };
                damaged(random, &base, softness)
            })
            .collect();
        let probability = Tensor::cat(&masks, 0);
        // What the engine makes of it: an empty slice, where it sees that the target is gone.
        let truth = batch.mask(i);
        let empty = |n: i64| recognised[n as usize] && truth.get(n).max().double_value(&[]) < 0.5;
        let choose = |kept: &Tensor, new: &Tensor| {
            let parts: Vec<Tensor> = (0..b).map(|n| if empty(n) { kept } else { new }.narrow(0, n, 1)).collect();
            Tensor::cat(&parts, 0)
        };
        memories.push(trainee.memorize(&features, &choose(&probability.zeros_like(), &probability)));
        before = choose(&before, &probability);
        before_slices.slices = choose(&before_slices.slices, &features.slices);
        seen.push(Seen { features, readout, probability, expected });
    }
    seen
}

fn damaged(random: &Random, mask: &Tensor, softness: f32) -> Tensor {
    let side = mask.size()[2];
    let hard: Vec<f32> = array(mask).into_iter().map(|v| f32::from(v > 0.5)).collect();
    let mut damaged = damage::any(random, &hard, side as usize);
    blur(&mut damaged, side as usize, softness);
    Tensor::from_slice(&damaged).view([1, 1, side, side]).to_device(mask.device())
}
