//! The interaction stage (Mem3D §2.1, eq. 1): single slices, a simulated user who draws and then corrects, the previous
//! prediction among the inputs.
//!
//! A sample starts with a drawing of a random kind, sometimes with a second one or with something negative, or with the
//! correction of a mask like those of a propagation. After each prediction the user corrects the largest error. The
//! loss is the mean over the rounds.

use super::data::batch::{Batch, array};
use super::data::damage;
use super::data::random::{Random, chance, integer, pick, uniform, weighted};
use super::data::resample::blur;
use super::losses::{cross_entropy, dice, mask_loss};
use super::networks::Trainee;
use crate::engine::interact::guidance::guidance;
use crate::engine::{Interaction, Stroke};
use crate::eval::{Place, RobotUser};
use crate::nn::{InteractionInput, InteractionKind};
use crate::slice::grid::SliceGrid;
use crate::slice::region::Roi;
use crate::volume::{SliceAxis, SliceMask};
use tch::{Device, Kind, Tensor};

/// How the stage is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InteractionOptions {
    /// Predictions of a sample: the first and those after corrections.
    pub rounds: usize,
    /// Loss: cross-entropy and Dice (true), or cross-entropy alone (false).
    pub dice: bool,
    /// Share of samples that start with the correction of a mask.
    pub from_mask: f64,
    /// Share of predictions that become the previous mask without a correction.
    pub feed_back: f64,
}

/// Share of samples with a second drawing from the start, and of those with something negative. Chosen.
const SECOND: f64 = 0.1;

/// Segment and slice of simulated drawings; without effect.
const PLACE: Place = Place { segment: 1, axis: SliceAxis::Depth, slice: 0 };

/// One slice on which a simulated user draws.
struct Sample {
    grid: SliceGrid,
    roi: Roi,
    /// In native pixels.
    truth: SliceMask,
    user: RobotUser,
    drawn: Vec<Interaction>,
    /// Network input: the previous prediction.
    previous: Tensor,
}

/// Loss of the first slices of a batch, with its graph, and the mean Dice of each round. `pixels`: native pixels a
/// side.
pub fn loss(
    trainee: &dyn Trainee,
    batch: &Batch,
    pixels: &[usize],
    kinds: &[InteractionKind],
    options: &InteractionOptions,
    random: &Random,
) -> (Tensor, Vec<f64>) {
    let images = batch.images.select(1, 0);
    let truth = batch.mask(0);
    let (size, device) = (truth.size()[2], truth.device());
    // All samples of a batch use one network.
    let leading = *pick(random, kinds);
    let network = trainee.interaction_network(leading);
    let kinds: Vec<InteractionKind> =
        kinds.iter().copied().filter(|&k| trainee.interaction_network(k) == network).collect();
    let on_cpu = truth.to_device(Device::Cpu);
    let mut samples: Vec<Sample> = (0..batch.clips())
        .map(|n| {
            let n_pixels = pixels[n as usize].clamp(16, 2 * size as usize);
            Sample::new(&on_cpu.narrow(0, n, 1), n_pixels, &kinds, options.from_mask, random)
        })
        .collect();
    let (mut losses, mut scores) = (vec![], vec![]);
    for round in 0..options.rounds {
        let input = join(&images, &samples, size, device);
        let logits = trainee.interact(leading, &input);
        let terms: Vec<Tensor> = logits
            .iter()
            .map(|logits| match options.dice {
                true => mask_loss(logits, &truth),
                false => cross_entropy(logits, &truth),
            })
            .collect();
        losses.push(Tensor::stack(&terms, 0).mean(Kind::Float));
        let probability = logits[0].detach().sigmoid();
        scores.push(dice(&probability, &truth).mean(Kind::Double).double_value(&[]));
        if round + 1 < options.rounds {
            for (n, sample) in samples.iter_mut().enumerate() {
                let probability = probability.narrow(0, n as i64, 1);
                match chance(random, options.feed_back) {
                    true => sample.take(&probability),
                    false => sample.correct(&probability, random),
                }
            }
        }
    }
    (Tensor::stack(&losses, 0).mean(Kind::Float), scores)
}

/// The network's input for all samples.
fn join(images: &Tensor, samples: &[Sample], size: i64, device: Device) -> InteractionInput {
    let maps: Vec<_> = samples.iter().map(|s| guidance(&s.drawn, &s.grid, s.roi, size)).collect();
    let cat = |of: &dyn Fn(usize) -> Tensor| {
        Tensor::cat(&(0..samples.len()).map(of).collect::<Vec<_>>(), 0).to_device(device)
    };
    InteractionInput {
        slices: images.shallow_clone(),
        previous: cat(&|n| samples[n].previous.shallow_clone()),
        positive: cat(&|n| maps[n].positive.shallow_clone()),
        negative: cat(&|n| maps[n].negative.shallow_clone()),
        boxes: cat(&|n| maps[n].boxes.shallow_clone()),
    }
}

impl Sample {
    /// `truth`: `[1, 1, H, W]`, on the CPU.
    fn new(truth: &Tensor, pixels: usize, kinds: &[InteractionKind], from_mask: f64, random: &Random) -> Sample {
        let grid = SliceGrid { rows: pixels, cols: pixels, row_mm: 1.0, col_mm: 1.0 };
        let side = pixels as i32;
        let roi = Roi { top: 0, left: 0, rows: side, cols: side };
        let native = |t: &Tensor| -> SliceMask {
            let data = roi.paste(t, pixels, pixels).into_iter().map(|v| u8::from(v >= 128)).collect();
            SliceMask { rows: pixels, cols: pixels, data }
        };
        let size = truth.size()[2];
        let mut sample = Sample {
            grid,
            roi,
            truth: native(truth),
            user: RobotUser::new(random.seed(), true),
            drawn: vec![],
            previous: Tensor::full([1, 1, size, size], 0.5, (Kind::Float, Device::Cpu)),
        };
        if chance(random, from_mask) {
            let damaged = damaged(random, &array(truth), size as usize);
            // An empty slice has no previous mask.
            if damaged.iter().any(|&v| v > 0.5) {
                sample.correct(&Tensor::from_slice(&damaged).view([1, 1, size, size]), random);
            }
            if !sample.drawn.is_empty() {
                return sample;
            }
        }
        let first = sample.user.first(kind(random, kinds), &sample.truth, &grid, PLACE);
        sample.drawn.extend(first);
        if chance(random, SECOND) {
            let second = sample.user.first(kind(random, kinds), &sample.truth, &grid, PLACE);
            sample.drawn.extend(second);
        }
        if chance(random, SECOND) {
            // A negative interaction beside the target from the start.
            let wide = damage::any(random, &array(truth), size as usize);
            let wide = native(&Tensor::from_slice(&wide).view([1, 1, size, size]).maximum(truth));
            let outside = sample.user.correct(correction(random), &wide, &sample.truth, &grid, PLACE);
            sample.drawn.extend(outside.filter(|i| !i.positive));
        }
        sample
    }

    /// The user corrects `probability` `[1, 1, H, W]`, which becomes the previous prediction.
    fn correct(&mut self, probability: &Tensor, random: &Random) {
        let dense = self.roi.paste(probability, self.grid.rows, self.grid.cols);
        let data = dense.iter().map(|&v| u8::from(v >= 128)).collect();
        let mask = SliceMask { rows: self.grid.rows, cols: self.grid.cols, data };
        let correction = self.user.correct(correction(random), &mask, &self.truth, &self.grid, PLACE);
        self.take(probability);
        self.drawn.extend(correction);
    }

    /// `probability` `[1, 1, H, W]` becomes the previous prediction, with what is drawn so far.
    fn take(&mut self, probability: &Tensor) {
        self.previous = probability.to_device(Device::Cpu).to_kind(Kind::Float);
        self.fix();
    }

    /// Pixels under strokes are as drawn, as in the engine.
    fn fix(&mut self) {
        let (rows, size) = (self.grid.rows, self.previous.size()[2]);
        let n = size as usize;
        let mut previous = array(&self.previous);
        for drawn in &self.drawn {
            if let Stroke::Raster(mask) = &drawn.stroke {
                for (i, v) in previous.iter_mut().enumerate() {
                    let (r, c) = ((2 * (i / n) + 1) * rows / (2 * n), (2 * (i % n) + 1) * rows / (2 * n));
                    if mask.data[r * mask.cols + c] != 0 {
                        *v = f32::from(drawn.positive);
                    }
                }
            }
        }
        self.previous = Tensor::from_slice(&previous).view([1, 1, size, size]);
    }
}

/// A mask like those of a propagation: any damage, a little, or a moved border; half of them soft.
fn damaged(random: &Random, truth: &[f32], side: usize) -> Vec<f32> {
    let how = *pick(random, &[damage::any, damage::slight, damage::drifted]);
    let mut mask = how(random, truth, side);
    if chance(random, 0.5) {
        blur(&mut mask, side, uniform(random, 0.6, 2.0));
    }
    mask
}

/// The kind of a first drawing. A click tells so little that it is rarer than the others.
fn kind(random: &Random, kinds: &[InteractionKind]) -> InteractionKind {
    let weights: Vec<f32> = kinds.iter().map(|kind| if *kind == InteractionKind::Click { 0.3 } else { 1.0 }).collect();
    kinds[weighted(random, &weights)]
}

fn correction(random: &Random) -> InteractionKind {
    [InteractionKind::Click, InteractionKind::Scribble][integer(random, 0, 1)]
}
