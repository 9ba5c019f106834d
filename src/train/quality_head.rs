//! The quality stage (Mem3D §2.3, eq. 8): everything but the head is frozen; the head learns the presence of the target
//! and the IoU of masks of every quality.
//!
//! A clip starts at an annotated slice. Its next slices follow it, or lie together anywhere from there to just beyond
//! the end of the target; the first of these has a propagated mask or, in half of the clips, is annotated too. In some
//! clips the last slice is a further annotated one; it has no loss. Masks are wrong as they are in use: they drift
//! during propagation, and in two fifths of the clips some are replaced by damaged ones, missing and leaking ones
//! included. Slices that the engine would take for empty are not memorized, and the last mask of the target remains the
//! previous one: in half of the clips those that the head itself takes for empty, in the others a few at random and, in
//! half of these clips, all beyond the end. Slices that a chain would not reach count little.

use super::data::batch::{Batch, array};
use super::data::damage;
use super::data::random::{Random, chance, uniform};
use super::data::resample::blur;
use super::losses::{iou, quality_loss};
use super::memory_net::{
    Ahead, Start, WRONG, by_clip, carried_masks, either, lost, memorize, middle, of_slice, read_from, share,
    taken_for_empty, unless,
};
use super::networks::Trainee;
use crate::engine::SessionOptions;
use crate::nn::{ImageFeatures, Memory, Segmented, SliceContext};
use tch::{Kind, Tensor};

/// Share of clips with damaged masks. Chosen; with more, qualities are too low for masks in use.
const DAMAGED_CLIPS: f64 = 0.4;
/// Share of the masks in these clips that are damaged. Chosen.
const DAMAGED_MASKS: f64 = 0.35;
/// Share of the clips that are annotated twice, of those whose second slice is not the first once more. Chosen.
const TWICE: f64 = 0.25;
/// Weight of slices after those that end a chain. Chosen.
const UNREACHED: f32 = 0.25;

/// Loss of a batch of at least three slices, with the head's graph; qualities, and true IoUs (0 where there is no
/// target) `[B, T - 2]`.
pub fn loss(trainee: &dyn Trainee, batch: &Batch, random: &Random) -> (Tensor, Tensor, Tensor) {
    let (b, t) = (batch.clips(), batch.length());
    let propagated = tch::no_grad(|| propagate(trainee, batch, random));
    let mut logits = vec![];
    let mut truths = vec![];
    let mut present = vec![];
    let mut judged = vec![];
    for (i, Propagated { features, segmented, context, weights }) in propagated.iter().enumerate() {
        logits.push(trainee.quality(features, segmented, context));
        let truth = batch.mask(i as i64 + 2);
        truths.push(iou(&segmented.probability, &truth));
        present.push(truth.amax([1i64, 2, 3].as_slice(), false).gt(0.5).to_kind(Kind::Float));
        let annotated = |ahead: bool| ahead && i as i64 + 3 == t;
        let weight = |(&ahead, &weight): (&bool, &f32)| if annotated(ahead) { 0.0 } else { weight };
        let slice: Vec<f32> = batch.ahead.iter().zip(weights).map(weight).collect();
        judged.push(Tensor::from_slice(&slice).to_device(truth.device()));
    }
    let [logits, truths, present, judged] = [logits, truths, present, judged].map(|parts| Tensor::stack(&parts, 1));
    assert_eq!(logits.size()[..2], [b, t - 2]);
    let (loss, quality) = quality_loss(&logits, &truths, &present, &judged);
    (loss, quality.detach(), truths * present)
}

/// Inputs of the head for the same slice of every clip.
struct Propagated {
    features: ImageFeatures,
    segmented: Segmented,
    context: SliceContext,
    /// Of each clip's slice in the loss.
    weights: Vec<f32>,
}

/// All slices but the first two, in order.
fn propagate(trainee: &dyn Trainee, batch: &Batch, random: &Random) -> Vec<Propagated> {
    let mut chains = Chains::start(trainee, batch, random);
    (2..batch.length()).map(|i| chains.step(i, random)).collect()
}

/// Propagation through the clips of a batch.
struct Chains<'a> {
    trainee: &'a dyn Trainee,
    batch: &'a Batch,
    /// Features of all slices of all clips.
    features: ImageFeatures,
    ahead: Ahead,
    starts: Starts,
    /// Memories of each clip, and how many of these are of annotated slices.
    memories: Vec<Vec<Memory>>,
    annotated: Vec<usize>,
    /// Masks `[B, 1, H, W]` of the last slices that hold the target, and the slices.
    before: Tensor,
    previous_slices: ImageFeatures,
    /// Whether no mask of a clip is damaged.
    whole: Vec<bool>,
    /// Whether the head decides which slices of a clip are empty.
    by_head: Vec<bool>,
    /// Whether the end of the target is recognised in another clip.
    recognised: Vec<bool>,
    /// Slices of each clip taken for empty since the last one with the target.
    empty: Vec<usize>,
}

impl<'a> Chains<'a> {
    /// Memorizes the first two slices.
    fn start(trainee: &'a dyn Trainee, batch: &'a Batch, random: &Random) -> Chains<'a> {
        let (b, t) = (batch.clips(), batch.length());
        let features = trainee.encode_image(&batch.images.flatten(0, 1));
        let first = batch.mask(0);
        let start = of_slice(&features, 0, b, t);
        let twice = twice_annotated(batch, random);
        let before = carried_masks(batch, &twice, random);
        let whole: Vec<bool> = (0..b).map(|_| !chance(random, DAMAGED_CLIPS)).collect();
        let previous_slices = of_slice(&features, 1, b, t);
        let mut memories = by_clip(trainee.memorize(&start, &first));
        let ahead = Ahead::choose(trainee, batch, &of_slice(&features, t - 1, b, t), 0.0, random);
        let carried = trainee.memorize(&previous_slices, &before);
        memories.iter_mut().zip(carried).for_each(|(memories, carried)| memories.push(carried));
        let starts = Starts {
            slices: [middle(&start), middle(&previous_slices)],
            masks: [first, before.shallow_clone()],
            twice: Tensor::from_slice(&twice).view([-1, 1]).to_device(before.device()),
        };
        let annotated = twice.iter().map(|&twice| 1 + usize::from(twice)).collect();
        let half = || -> Vec<bool> { (0..b).map(|_| chance(random, 0.5)).collect() };
        let (by_head, recognised) = (half(), half());
        Chains {
            trainee,
            batch,
            features,
            ahead,
            starts,
            memories,
            annotated,
            before,
            previous_slices,
            whole,
            by_head,
            recognised,
            empty: vec![0; b as usize],
        }
    }

    /// Predicts slice `i`, and memorizes it where the engine would.
    fn step(&mut self, i: i64, random: &Random) -> Propagated {
        let features = of_slice(&self.features, i, self.batch.clips(), self.batch.length());
        let start = self.ahead.largest(self.starts.of(self.batch, i), self.batch, i);
        let context = self.ahead.slice_context(&start, &self.before, &self.previous_slices, i);
        let memory = self.ahead.join(read_from(&self.memories, &self.annotated, true, random), i);
        let (_, segmented) = self.trainee.segment(&features, &memory, &context);
        let probability = self.some_damaged(&segmented.probability, i, random);
        let segmented = Segmented { probability, ..segmented };
        let ended = SessionOptions::default().stop_after_empty;
        let weights = self.empty.iter().map(|&empty| if empty >= ended { UNREACHED } else { 1.0 }).collect();
        let estimates = self.trainee.quality(&features, &segmented, &context);
        let lost = lost(&segmented.probability, &self.before);
        let mut beyond = self.taken_for_empty(&estimates, i, random);
        beyond.iter_mut().zip(&lost).for_each(|(beyond, lost)| *beyond &= !lost);
        let mask = unless(&lost, &segmented.probability.zeros_like(), &segmented.probability);
        memorize(&mut self.memories, self.trainee.memorize(&features, &mask), &beyond);
        let passed = either(&beyond, &lost);
        self.before = unless(&passed, &self.before, &mask);
        self.previous_slices.slices = unless(&passed, &self.previous_slices.slices, &features.slices);
        self.empty.iter_mut().zip(passed).for_each(|(n, passed)| *n = if passed { *n + 1 } else { 0 });
        Propagated { features, segmented, context, weights }
    }

    /// Clips whose slice `i`, with the head's estimates `[B, outputs]`, lies beyond the end for the engine.
    fn taken_for_empty(&self, estimates: &Tensor, i: i64, random: &Random) -> Vec<bool> {
        let mut empty = taken_for_empty(self.batch, i, &self.recognised, WRONG, &self.ahead, random);
        if estimates.size()[1] > 1 {
            let presence = estimates.select(1, 0).sigmoid();
            for n in (0..empty.len()).filter(|&n| self.by_head[n]) {
                let is_absent = presence.double_value(&[n as i64]) < SessionOptions::default().least_presence;
                empty[n] = is_absent && !self.ahead.leads(n, i);
            }
        }
        empty
    }

    /// The predicted masks `[B, 1, H, W]` of slice `i`, some of them damaged.
    fn some_damaged(&self, predicted: &Tensor, i: i64, random: &Random) -> Tensor {
        let mask = |(n, &whole): (usize, &bool)| {
            let own = predicted.narrow(0, n as i64, 1);
            if whole || !chance(random, DAMAGED_MASKS) {
                return own;
            }
            // As soft at its border as predicted masks, or softness would give it away.
            let softness = uniform(random, 0.6, 2.0);
            let base = if chance(random, 0.5) { self.batch.mask(i).narrow(0, n as i64, 1) } else { own };
            damaged(random, &base, softness)
        };
        Tensor::cat(&self.whole.iter().enumerate().map(mask).collect::<Vec<_>>(), 0)
    }
}

/// Clips whose second slice is annotated too and not the first once more.
fn twice_annotated(batch: &Batch, random: &Random) -> Vec<bool> {
    let elsewhere = |n: i64| batch.steps.double_value(&[n, 1]) > 0.0;
    (0..batch.clips()).map(|n| chance(random, TWICE) && elsewhere(n)).collect()
}

/// The first two slices of clips, and in which of them both are annotated.
struct Starts {
    /// Each `[B, 1, H, W]`.
    slices: [Tensor; 2],
    /// Each `[B, 1, H, W]`.
    masks: [Tensor; 2],
    /// `[B, 1]`, bool.
    twice: Tensor,
}

impl Starts {
    /// Where the chain of slice `i` starts: the nearer annotated slice.
    fn of(&self, batch: &Batch, i: i64) -> Start {
        let second = |second: &Tensor, first: &Tensor| {
            let twice = if first.dim() == 4 { self.twice.view([-1, 1, 1, 1]) } else { self.twice.shallow_clone() };
            second.where_self(&twice, first)
        };
        let from_first = batch.steps_to(i);
        let from_second = [&from_first[0] - batch.steps.narrow(1, 1, 1), &from_first[1] - &batch.steps_to(1)[1]];
        let areas = self.masks.each_ref().map(share);
        let larger = self.twice.logical_and(&areas[1].gt_tensor(&areas[0]));
        Start {
            slices: second(&self.slices[1], &self.slices[0]),
            masks: second(&self.masks[1], &self.masks[0]),
            steps: [0, 1].map(|k: usize| second(&from_second[k], &from_first[k])),
            largest: [areas[1].where_self(&larger, &areas[0]), from_second[1].where_self(&larger, &from_first[1])],
        }
    }
}

fn damaged(random: &Random, mask: &Tensor, softness: f32) -> Tensor {
    let side = mask.size()[2];
    let hard: Vec<f32> = array(mask).into_iter().map(|v| f32::from(v > 0.5)).collect();
    let mut damaged = damage::any(random, &hard, side as usize);
    blur(&mut damaged, side as usize, softness);
    Tensor::from_slice(&damaged).view([1, 1, side, side]).to_device(mask.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn masks_come_from_the_nearer_annotated_slice() {
        // Two clips of slices 0, 4, 5, a quarter of the region apart; 1 pixel of 4 on the first slice, 2 on the second.
        let slice = |n: f32| Tensor::from_slice(&[n, n, n, n]).view([1, 1, 1, 2, 2]);
        let images = Tensor::cat(&[slice(0.1), slice(0.2), slice(0.3)], 1);
        let mask = |v: [f32; 4]| Tensor::from_slice(&v).view([1, 1, 1, 2, 2]);
        let masks =
            Tensor::cat(&[mask([1.0, 0.0, 0.0, 0.0]), mask([1.0, 1.0, 0.0, 0.0]), mask([1.0, 0.0, 0.0, 0.0])], 1);
        let twice = |t: &Tensor| Tensor::cat(&[t, t], 0);
        let batch = Batch {
            images: twice(&images.unsqueeze(2)),
            masks: twice(&masks),
            steps: twice(&Tensor::from_slice(&[0f32, 4.0, 5.0]).view([1, 3])),
            step: Tensor::from_slice(&[0.25f32, 0.25]).view([2, 1]),
            carried: vec![true, true],
            ahead: vec![false, false],
        };
        let starts = Starts {
            slices: [0, 1].map(|t| batch.images.select(1, t).select(1, 0)),
            masks: [0, 1].map(|t| batch.mask(t)),
            twice: Tensor::from_slice(&[false, true]).view([2, 1]).to_device(Device::Cpu),
        };
        let Start { slices, masks, steps: [steps, distance], largest: [area, from_largest] } = starts.of(&batch, 2);
        let values = |t: &Tensor| Vec::<f32>::try_from(t.contiguous().view([-1])).unwrap();
        assert_eq!(values(&steps), [5.0, 1.0]);
        assert_eq!(values(&distance), [1.25, 0.25]);
        assert_eq!(values(&share(&masks)), [0.25, 0.5]);
        assert_eq!(values(&slices)[3..5], [0.1, 0.2]);
        // The second is the larger one where it is annotated.
        assert_eq!((values(&area), values(&from_largest)), (vec![0.25, 0.5], vec![1.25, 0.25]));
        let turned = Starts { masks: [batch.mask(1), batch.mask(0)], ..starts };
        let Start { steps: [_, distance], largest: [area, from_largest], .. } = turned.of(&batch, 2);
        assert_eq!(values(&distance), [1.25, 0.25]);
        assert_eq!((values(&area), values(&from_largest)), (vec![0.5, 0.5], vec![1.25, 1.25]));
    }
}
