//! The memory stage (Mem3D §2.2): the first slice is memorized with its mask, then every slice is segmented from memory
//! and memorized with the predicted soft mask; gradients pass through the memory.
//!
//! The first slice is memorized with its true mask (50 %), a predicted one (30 %) or a damaged one (20 %): in use it
//! comes from the interaction network and has errors. In some clips the last slice is annotated too, as in a later
//! round: its mask is in memory, and the expected shape lies between the two; so it is in two fifths of the clips whose
//! slices lie far from the first. The memory holds the first slice, the previous one and a random choice of those
//! between, as in the engine's bank. In half of the clips the other slices lie far from the first, and the second has a
//! propagated mask, often damaged: only the memory has the annotated target.
//!
//! Networks that read labels from memory have a loss for these as well.

use super::data::batch::{Batch, array};
use super::data::damage;
use super::data::random::{Random, chance, uniform, weighted};
use super::data::resample::blur;
use super::losses::{cross_entropy, dice, label_loss, mask_loss};
use super::networks::Trainee;
use crate::engine::SessionOptions;
use crate::nn::{ImageFeatures, Memory, SliceContext};
use crate::slice::shape::{Position, expected_shape};
use tch::{Device, Kind, Tensor};

/// How the stage is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryOptions {
    /// Shares of true, predicted and damaged masks of the first slice.
    pub first_mask: [f32; 3],
    /// Loss: cross-entropy and Dice (true), or cross-entropy alone as in the paper (false).
    pub dice: bool,
    /// Whether slices between the first and the previous one stay in memory at random; the paper keeps them all.
    pub random_memory: bool,
    /// Whether slices are taken for empty as in the engine: they are not memorized, and the previous slice stays.
    pub empty_slices: bool,
}

/// Share of clips whose last slice is annotated too. Chosen.
const AHEAD: f64 = 0.35;
/// Weight of the labels from memory in the loss. Chosen.
const LABEL_WEIGHT: f64 = 0.5;
/// Share of slices with target that are taken for empty. Chosen.
pub(super) const WRONG: f64 = 0.08;
/// Softness of the borders of damaged masks, pixels of the networks: of the first slice's as after resampling, and of
/// propagated ones as networks predict them. Chosen.
const ANNOTATED_SOFTNESS: (f32, f32) = (0.3, 1.0);
const PROPAGATED_SOFTNESS: (f32, f32) = (0.6, 2.0);

/// Loss of a batch, with its graph.
pub fn loss(trainee: &dyn Trainee, batch: &Batch, options: &MemoryOptions, random: &Random) -> Tensor {
    let (b, t) = (batch.clips(), batch.length());
    let all = trainee.encode_image(&batch.images.flatten(0, 1));
    let features: Vec<ImageFeatures> = (0..t).map(|i| of_slice(&all, i, b, t)).collect();
    let first = first_masks(trainee, batch, &features, options, random);
    let mut memories = by_clip(trainee.memorize(&features[0], &first));
    let last = batch.length() - 1;
    let ahead = Ahead::choose(trainee, batch, &features[last as usize], AHEAD, random);
    // The engine takes a drawn mask for the target's.
    let annotated = first.ge(0.5).to_kind(Kind::Float);
    let recognised: Vec<bool> = (0..b).map(|_| options.empty_slices && chance(random, 0.5)).collect();
    let wrong = if options.empty_slices { WRONG } else { 0.0 };
    let mut before = first;
    let mut previous = of_slice(&all, 0, b, t);
    let mut losses = vec![];
    for i in 1..t {
        let memory = ahead.join(read_from(&memories, &vec![1; b as usize], options.random_memory, random), i);
        let start = Start::alone(&features[0], &annotated, batch.steps_to(i));
        let slice_context = ahead.slice_context(&start, &before, &previous, i);
        let (logits, segmented) = trainee.segment(&features[i as usize], &memory, &slice_context);
        let truth = batch.mask(i);
        let labels = segmented.guide.map(|guide| label_loss(&guide.labels, &truth) * LABEL_WEIGHT);
        let counts: Vec<i64> = (0..b)
            .filter(|&n| (i > 1 || !batch.carried[n as usize]) && !(i == last && batch.ahead[n as usize]))
            .collect();
        if !counts.is_empty() {
            let rows = Tensor::from_slice(&counts).to_device(truth.device());
            let [logits, truth] = [&logits, &truth].map(|t| t.index_select(0, &rows));
            let loss = match options.dice {
                true => mask_loss(&logits, &truth),
                false => cross_entropy(&logits, &truth),
            };
            losses.push(loss * counts.len() as f64 / b as f64);
        }
        losses.extend(labels);
        if i + 1 < t {
            let mut mask = logits.sigmoid();
            let mut empty = taken_for_empty(batch, i, &recognised, wrong, &ahead, random);
            if i == 1 {
                let carried = carried_masks(batch, &vec![false; b as usize], random);
                let given = Tensor::from_slice(&batch.carried).view([-1, 1, 1, 1]).to_device(truth.device());
                mask = carried.where_self(&given, &mask);
                empty.iter_mut().zip(&batch.carried).for_each(|(empty, given)| *empty &= !given);
            }
            let lost = if options.empty_slices { lost(&mask, &before) } else { vec![false; b as usize] };
            empty.iter_mut().zip(&lost).for_each(|(empty, lost)| *empty &= !lost);
            let new = trainee.memorize(&features[i as usize], &unless(&lost, &mask.zeros_like(), &mask));
            memorize(&mut memories, new, &empty);
            let passed = either(&empty, &lost);
            before = unless(&passed, &before, &mask);
            previous.slices = unless(&passed, &previous.slices, &features[i as usize].slices);
        }
    }
    Tensor::stack(&losses, 0).sum(Kind::Float) / (t - 1) as f64
}

/// Clips whose mask `[B, 1, H, W]` is none for the engine, after those `before`: it is lost, or tiny beside the last
/// one. Such a slice is memorized as empty, and the last mask stays the previous one.
pub(super) fn lost(mask: &Tensor, before: &Tensor) -> Vec<bool> {
    let options = SessionOptions::default();
    let areas = [mask, before].map(|t| t.gt(0.5).flatten(1, -1).sum_dim_intlist(1, false, Kind::Double));
    let least = &areas[1] * options.presence_area_fraction;
    let lost = areas[0].lt_tensor(&least).logical_or(&areas[0].lt(options.min_area as i64));
    Vec::try_from(lost.to_device(Device::Cpu)).expect("one value a clip")
}

/// Whether a clip is in one of two lists.
pub(super) fn either(one: &[bool], other: &[bool]) -> Vec<bool> {
    one.iter().zip(other).map(|(a, b)| a | b).collect()
}

/// Clips whose slice `i` is empty for the engine: where it recognises that the target has ended, and in a share `wrong`
/// of the slices with target, but not on the way to an annotated slice.
pub(super) fn taken_for_empty(
    batch: &Batch,
    i: i64,
    recognised: &[bool],
    wrong: f64,
    ahead: &Ahead,
    random: &Random,
) -> Vec<bool> {
    let truth = batch.mask(i);
    let empty = |(n, &recognised): (usize, &bool)| match truth.get(n as i64).max().double_value(&[]) < 0.5 {
        true => recognised,
        false => chance(random, wrong) && !ahead.leads(n, i),
    };
    recognised.iter().enumerate().map(empty).collect()
}

/// Adds a slice to the memories of the clips in which it is not `empty`.
pub(super) fn memorize(memories: &mut [Vec<Memory>], new: Vec<Memory>, empty: &[bool]) {
    for ((memories, new), _) in memories.iter_mut().zip(new).zip(empty).filter(|(_, empty)| !**empty) {
        memories.push(new);
    }
}

/// Rows of `new`, and of `kept` for the clips whose slice is `empty`: such a slice is not the last one with the target.
pub(super) fn unless(empty: &[bool], kept: &Tensor, new: &Tensor) -> Tensor {
    let mut shape = vec![1; kept.dim()];
    shape[0] = -1;
    new.where_self(&Tensor::from_slice(empty).view(shape.as_slice()).logical_not().to_device(new.device()), kept)
}

/// Masks `[B, 1, H, W]` of the second slices, in half of the clips the truth; otherwise slightly damaged where the
/// slice is annotated, and like masks after many slices where it is not.
pub(super) fn carried_masks(batch: &Batch, annotated: &[bool], random: &Random) -> Tensor {
    let carry = |(n, &annotated): (usize, &bool)| {
        let truth = batch.mask(1).narrow(0, n as i64, 1);
        match chance(random, 0.5) {
            true if annotated => damaged(random, &truth, damage::slight, ANNOTATED_SOFTNESS),
            true => damaged(random, &truth, damage::drifted, PROPAGATED_SOFTNESS),
            false => truth,
        }
    };
    Tensor::cat(&annotated.iter().enumerate().map(carry).collect::<Vec<_>>(), 0)
}

/// A damaged mask `[1, 1, H, W]` with a soft border.
fn damaged(
    random: &Random,
    mask: &Tensor,
    how: fn(&Random, &[f32], usize) -> Vec<f32>,
    (least, most): (f32, f32),
) -> Tensor {
    let side = mask.size()[2];
    let mut damaged = how(random, &array(mask), side as usize);
    blur(&mut damaged, side as usize, uniform(random, least, most));
    Tensor::from_slice(&damaged).view([1, 1, side, side]).to_device(mask.device())
}

/// Annotated last slices of the clips of a batch.
pub(super) struct Ahead {
    /// Number of the last slice.
    last: i64,
    /// Slices from the first to each `[B, T]`.
    steps: Tensor,
    /// True masks `[B, 1, H, W]` of the last slices.
    masks: Tensor,
    /// Memory of the last slice of each clip where it is annotated.
    memories: Vec<Option<Memory>>,
}

impl Ahead {
    /// Draws a `share` of the clips and takes all with an annotated last slice; none whose last slice lacks the target.
    pub fn choose(
        trainee: &dyn Trainee,
        batch: &Batch,
        features: &ImageFeatures,
        share: f64,
        random: &Random,
    ) -> Ahead {
        let last = batch.length() - 1;
        let masks = batch.mask(last);
        let chosen: Vec<bool> = (0..batch.clips())
            .map(|n| {
                let drawn = chance(random, share) || batch.ahead[n as usize];
                drawn && last > 1 && masks.get(n).max().double_value(&[]) > 0.5
            })
            .collect();
        let memories = match chosen.contains(&true) {
            true => trainee.memorize(features, &masks),
            false => vec![],
        };
        let mut memories = memories.into_iter();
        let memories = chosen.into_iter().map(|chosen| memories.next().filter(|_| chosen)).collect();
        Ahead { last, steps: batch.steps.shallow_clone(), masks, memories }
    }

    /// The memory read for slice `i`: `memory`, joined with the annotated slice ahead.
    pub fn join(&self, memory: Vec<Memory>, i: i64) -> Vec<Memory> {
        let join = |(memory, ahead): (Memory, &Option<Memory>)| match ahead {
            Some(ahead) if i < self.last => {
                Memory { annotated: memory.annotated + ahead.annotated, ..Memory::join(&[ahead], &[&memory]) }
            }
            _ => memory,
        };
        memory.into_iter().zip(&self.memories).map(join).collect()
    }

    /// Context of slice `i` after the masks `[B, 1, H, W]` of the slices `before`.
    pub fn slice_context(&self, start: &Start, masks: &Tensor, before: &ImageFeatures, i: i64) -> SliceContext {
        let position = |n: i64| {
            let left = (self.steps.double_value(&[n, self.last]) - self.steps.double_value(&[n, i])).abs();
            Position { walked: start.steps[0].double_value(&[n, 0]) as usize, left: left as usize }
        };
        slice_context(start, masks, before, &|n| {
            self.leads(n, i).then(|| (array(&self.masks.get(n as i64)), position(n as i64)))
        })
    }

    /// `start` of slice `i` with the largest area of the annotated slices, the one ahead included.
    pub fn largest(&self, start: Start, batch: &Batch, i: i64) -> Start {
        let steps = self.steps.narrow(1, self.last, 1) - self.steps.narrow(1, i, 1);
        let distance: Tensor = steps.abs() * &batch.step;
        let leads: Vec<bool> = (0..self.memories.len()).map(|n| self.leads(n, i)).collect();
        let area = share(&self.masks);
        let leads = Tensor::from_slice(&leads).view([-1, 1]).to_device(area.device());
        let larger = leads.logical_and(&area.gt_tensor(&start.largest[0]));
        let largest = [
            area.where_self(&larger, &start.largest[0]),
            distance.maximum(&start.steps[1]).where_self(&larger, &start.largest[1]),
        ];
        Start { largest, ..start }
    }

    /// Whether slice `i` of clip `n` lies before the annotated one.
    pub fn leads(&self, n: usize, i: i64) -> bool {
        i < self.last && self.memories[n].is_some()
    }
}

/// The annotated slices where the chains start.
pub(super) struct Start {
    /// The slices themselves `[B, 1, H, W]`.
    pub slices: Tensor,
    /// Their masks `[B, 1, H, W]`.
    pub masks: Tensor,
    /// Slices from there to the query, and their distance divided by the side of the region, each `[B, 1]`.
    pub steps: [Tensor; 2],
    /// Area of the largest annotated mask as a share of the region, and the distance from there, each `[B, 1]`.
    pub largest: [Tensor; 2],
}

impl Start {
    /// Starts of clips in which no other slice is annotated.
    pub fn alone(slices: &ImageFeatures, masks: &Tensor, steps: [Tensor; 2]) -> Start {
        let largest = [share(masks), steps[1].shallow_clone()];
        Start { slices: middle(slices), masks: masks.shallow_clone(), steps, largest }
    }
}

/// Share of the region that each mask takes, `[B, 1]`.
pub(super) fn share(masks: &Tensor) -> Tensor {
    masks.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
}

/// The slices without their neighbours, `[B, 1, H, W]`.
pub(super) fn middle(features: &ImageFeatures) -> Tensor {
    features.slices.narrow(1, features.slices.size()[1] / 2, 1)
}

/// Context of slices after the masks `[B, 1, H, W]` of the slices `before`, and before the mask that `after` gives for
/// a clip.
pub(super) fn slice_context(
    start: &Start,
    masks: &Tensor,
    before: &ImageFeatures,
    after: &dyn Fn(usize) -> Option<(Vec<f32>, Position)>,
) -> SliceContext {
    let masks = masks.detach();
    let same_image = (0..masks.size()[0] as usize).collect();
    let side = masks.size()[2];
    let shapes: Vec<Tensor> = (0..masks.size()[0])
        .map(|n| {
            let after = after(n as usize);
            let after = after.as_ref().map(|(mask, position)| (mask.as_slice(), *position));
            let shape = expected_shape(&array(&masks.get(n)), after, side as usize);
            Tensor::from_slice(&shape).view([1, 1, side, side])
        })
        .collect();
    SliceContext {
        expected_shape: Tensor::cat(&shapes, 0).to_device(masks.device()),
        previous_mask: masks,
        previous_slice: middle(before),
        largest_area: start.largest[0].shallow_clone(),
        annotated_area: share(&start.masks),
        annotated_mask: start.masks.shallow_clone(),
        annotated_slice: start.slices.shallow_clone(),
        steps: start.steps[0].shallow_clone(),
        distance: start.steps[1].shallow_clone(),
        distance_from_largest: start.largest[1].shallow_clone(),
        same_image,
    }
}

/// Features of slice `i` of every clip, from those of all slices `[B * T]`.
pub(super) fn of_slice(all: &ImageFeatures, i: i64, b: i64, t: i64) -> ImageFeatures {
    let part = |x: &Tensor| {
        let mut shape = x.size();
        shape.splice(0..1, [b, t]);
        x.view(shape.as_slice()).select(1, i)
    };
    ImageFeatures {
        slices: part(&all.slices),
        key: part(&all.key),
        value: all.value.as_ref().map(part),
        skips: all.skips.iter().map(part).collect(),
    }
}

/// Lists that begin with the memory of each clip's first slice.
pub(super) fn by_clip(first: Vec<Memory>) -> Vec<Vec<Memory>> {
    first.into_iter().map(|memory| vec![memory]).collect()
}

/// The memories that each clip reads: the first ones, which are annotated (their number by clip), the last, and all or
/// some of those between.
pub(super) fn read_from(memories: &[Vec<Memory>], annotated: &[usize], some: bool, random: &Random) -> Vec<Memory> {
    let of_clip = |(memories, &annotated): (&Vec<Memory>, &usize)| {
        let last = memories.len() - 1;
        let wanted = (0..=last).filter(|&k| k < annotated || k == last || !some || chance(random, 0.5));
        let kept: Vec<&Memory> = wanted.map(|k| &memories[k]).collect();
        Memory::join(&kept[..annotated], &kept[annotated..])
    };
    memories.iter().zip(annotated).map(of_clip).collect()
}

/// Masks `[B, 1, H, W]` to memorize with the first slice.
fn first_masks(
    trainee: &dyn Trainee,
    batch: &Batch,
    features: &[ImageFeatures],
    options: &MemoryOptions,
    random: &Random,
) -> Tensor {
    let truth = batch.mask(0);
    let kinds: Vec<usize> = (0..batch.clips()).map(|_| weighted(random, &options.first_mask)).collect();
    let own = (kinds.contains(&1) && batch.length() > 1).then(|| {
        // The first slice predicted from the last one: a mask with the errors of the network.
        tch::no_grad(|| {
            let last = batch.length() - 1;
            let memory = trainee.memorize(&features[last as usize], &batch.mask(last));
            let mask = batch.mask(last);
            let start = Start::alone(&features[last as usize], &mask, batch.steps_to(last));
            let slice_context = slice_context(&start, &mask, &features[last as usize], &|_| None);
            trainee.segment(&features[0], &memory, &slice_context).0.sigmoid()
        })
    });
    let masks: Vec<Tensor> = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| {
            let truth = truth.narrow(0, n as i64, 1);
            match (kind, &own) {
                (1, Some(own)) => {
                    let own = own.narrow(0, n as i64, 1);
                    // A predicted mask that misses the target is useless.
                    if dice(&own, &truth).double_value(&[0]) > 0.4 { own } else { truth }
                }
                // Like a slice that a user accepts. Not worse: only the first slice defines the target.
                (2, _) => damaged(random, &truth, damage::slight, ANNOTATED_SOFTNESS),
                _ => truth,
            }
        })
        .collect();
    Tensor::cat(&masks, 0)
}

/// Scores of clips segmented from the true mask of their first slice.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ClipScore {
    /// Mean Dice over the slices that hold the target.
    pub dice: f64,
    /// Share of the slices without target that have a mask.
    pub false_slices: f64,
}

/// Scores `batches`: as in the engine, from the first slice and the previous one. Call without gradients.
pub fn score(trainee: &dyn Trainee, batches: &[Batch]) -> ClipScore {
    let (mut sum, mut n, mut wrong, mut absent) = (0.0, 0.0f64, 0.0, 0.0f64);
    for batch in batches {
        let (b, t) = (batch.clips(), batch.length());
        let all = trainee.encode_image(&batch.images.flatten(0, 1));
        let mut memories = vec![trainee.memorize(&of_slice(&all, 0, b, t), &batch.mask(0))];
        let mut before = batch.mask(0);
        for i in 1..t {
            let features = of_slice(&all, i, b, t);
            let memory: Vec<Memory> = (0..b as usize)
                .map(|k| match memories.as_slice() {
                    [first, .., last] => Memory::join(&[&first[k]], &[&last[k]]),
                    _ => Memory::join(&[&memories[0][k]], &[]),
                })
                .collect();
            let start = Start::alone(&of_slice(&all, 0, b, t), &batch.mask(0), batch.steps_to(i));
            let slice_context = slice_context(&start, &before, &of_slice(&all, i - 1, b, t), &|_| None);
            let probability = trainee.segment(&features, &memory, &slice_context).0.sigmoid();
            let truth = batch.mask(i);
            let dice = dice(&probability, &truth);
            let area =
                |t: &Tensor| t.gt(0.5).flatten(1, -1).to_kind(Kind::Float).sum_dim_intlist(1, false, Kind::Float);
            let (predicted, true_area) = (area(&probability), area(&truth));
            for k in 0..b {
                if true_area.double_value(&[k]) > 0.0 {
                    sum += dice.double_value(&[k]);
                    n += 1.0;
                } else {
                    wrong += f64::from(predicted.double_value(&[k]) >= 4.0);
                    absent += 1.0;
                }
            }
            memories.push(trainee.memorize(&features, &probability));
            before = probability;
        }
    }
    ClipScore { dice: sum / n.max(1.0), false_slices: wrong / absent.max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_lost_where_it_is_tiny() {
        // 20 pixels a side: 4 and 3 pixels after 100, then 4 after 201, of which 2 % are 4.02.
        let mask = |area: i64| Tensor::arange(400, (Kind::Float, Device::Cpu)).lt(area).to_kind(Kind::Float);
        let masks = |areas: [i64; 3]| Tensor::stack(&areas.map(mask), 0).view([3, 1, 20, 20]);
        assert_eq!(lost(&masks([4, 3, 4]), &masks([100, 100, 201])), [false, true, true]);
    }

    #[test]
    fn the_slice_ahead_counts_on_the_way_there() {
        // Two clips of slices 0, 4, 9, a quarter of the region's side apart; the second's last slice is annotated.
        let rows = |v: &[f32]| Tensor::from_slice(v).view([2, 1]);
        let maps = |v: [f32; 8]| Tensor::from_slice(&v).view([2, 1, 2, 2]);
        let masks = maps([1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        let first = maps([1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        let steps = Tensor::from_slice(&[0f32, 4.0, 9.0]).repeat([2, 1]);
        let memory = Memory::new(
            Tensor::zeros([1, 3], (Kind::Float, tch::Device::Cpu)),
            Tensor::zeros([1, 2], (Kind::Float, tch::Device::Cpu)),
        );
        let ahead = Ahead {
            last: 2,
            steps: steps.shallow_clone(),
            masks: masks.shallow_clone(),
            memories: vec![None, Some(memory)],
        };
        let batch = Batch {
            images: Tensor::zeros([2, 3, 1, 2, 2], (Kind::Float, tch::Device::Cpu)),
            masks: Tensor::stack(&[&first, &first, &masks], 1),
            steps,
            step: rows(&[0.25, 0.25]),
            carried: vec![true, true],
            ahead: vec![false, true],
        };
        let values = |t: &Tensor| Vec::<f32>::try_from(t.contiguous().view([-1])).unwrap();
        let start = |i: i64| Start {
            slices: first.shallow_clone(),
            masks: first.shallow_clone(),
            steps: batch.steps_to(i),
            largest: [share(&first), batch.steps_to(i)[1].shallow_clone()],
        };
        // Half of the region at the start, four slices and so 1 away; ahead three quarters, five slices and so 1.25
        // away.
        let Start { largest: [area, distance], .. } = ahead.largest(start(1), &batch, 1);
        assert_eq!((values(&area), values(&distance)), (vec![0.5, 0.75], vec![1.0, 1.25]));
        // There the annotated slice lies behind.
        let Start { largest: [area, distance], .. } = ahead.largest(start(2), &batch, 2);
        assert_eq!((values(&area), values(&distance)), (vec![0.5, 0.5], vec![2.25, 2.25]));

        let before =
            ImageFeatures { slices: first.shallow_clone(), key: first.shallow_clone(), value: None, skips: vec![] };
        let context = ahead.slice_context(&start(1), &first, &before, 1);
        let alone = expected_shape(&[1.0, 1.0, 0.0, 0.0], None, 2);
        let between =
            expected_shape(&[1.0, 1.0, 0.0, 0.0], Some((&[1.0, 1.0, 1.0, 0.0], Position { walked: 4, left: 5 })), 2);
        assert_eq!(values(&context.expected_shape), [alone.as_slice(), between.as_slice()].concat());
        assert_ne!(alone, between);
    }

    #[test]
    fn an_empty_slice_leaves_memory_and_previous_mask() {
        let row = |v: [f32; 2]| Tensor::from_slice(&v).view([2, 1, 1, 1]);
        let chosen = unless(&[true, false], &row([0.25, 0.5]), &row([0.75, 1.0]));
        assert_eq!(Vec::<f32>::try_from(chosen.view([-1])).unwrap(), [0.25, 1.0]);
        let memory = || {
            let zeros = |n: i64| Tensor::zeros([1, n], (Kind::Float, tch::Device::Cpu));
            Memory::new(zeros(3), zeros(2))
        };
        let mut memories = vec![vec![memory()], vec![memory()]];
        memorize(&mut memories, vec![memory(), memory()], &[true, false]);
        assert_eq!([memories[0].len(), memories[1].len()], [1, 2]);
    }
}
