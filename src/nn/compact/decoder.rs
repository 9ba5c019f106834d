//! Decoder: from the memory's readout to a mask at full resolution, with skips from every level.
//!
//! The memory network's decoder is also told at every level where the target is expected (the mask of the slice before, drawn
//! towards the next annotated one), how each intensity compares with what is expected inside and outside and with the annotated
//! slice, what label matching patches had on the slice before, and what label the memory gives: all of it, and the annotated slices
//! alone. Its answer is a change of these, so that a network that has learnt nothing yet carries the mask on.

use super::blocks::{Block, ConvNorm};
use super::config::CompactConfig;
use super::cues::appearance::appearance_and_likeness;
use super::cues::matched::{Displacements, Matches};
use super::cues::pooling::on_cpu;
use super::image_encoder::{MEAN, SPREAD};
use super::image_groups::ImageGroups;
use crate::nn::layers::{Conv, ConvOptions, f32, resize, size2};
use crate::nn::networks::{ImageFeatures, SliceContext};
use crate::nn::params::{Init, Params, channels_last};
use tch::{Kind, Tensor};

/// Channels at full resolution.
const FINE: i64 = 16;
/// Slices decoded together at full resolution on the CPU.
const FINE_BATCH: i64 = 2;
/// Labels that are read from the memory: from all of it, from the annotated slices alone.
pub(super) const LABELS: i64 = 2;
/// Channels of the guide: the labels from memory, expected shape, appearance, likeness to the annotated slice, matched label.
const GUIDE: i64 = LABELS + 4;
/// Channels that the quality head is told: the guide, labels first, and newness.
pub(super) const GUIDE_AND_NOVELTY: i64 = GUIDE + 1;
/// Logit of the expected shape at the reach of its signed distance, and of matched labels, before training: sure enough to be
/// kept, not so sure that the decoder cannot say no.
const EXPECTED_LOGIT: f64 = 1.5;
/// Logit of each label from memory before training.
const LABEL_LOGIT: f64 = 0.5;
/// Spread of the last layer's weights before training: what it adds to the expected shape is small at first.
const LAST: f64 = 0.02;
/// Slope of the weights of inside and outside: full at a quarter of the signed distance's reach.
const WEIGHT: f64 = 4.0;

/// One level up: the coarser result, narrowed and enlarged, joins the skip.
#[derive(Debug)]
struct Up {
    narrow: Conv,
    skip: Conv,
    mix: ConvNorm,
    /// Reaches farther than the border may have been missed by.
    refine: Option<Block>,
}

impl Up {
    fn new(params: &Params, coarse: i64, skip: i64, outputs: i64, groups: i64, refine: bool) -> Self {
        let one = |i: i64| ConvOptions::new(i, outputs, 1).init(Init::Lecun);
        Up {
            narrow: Conv::new(&params.sub("narrow"), one(coarse)),
            skip: Conv::new(&params.sub("skip"), one(skip)),
            mix: ConvNorm::new(&params.sub("mix"), ConvOptions::new(outputs, outputs, 3), groups),
            refine: refine.then(|| Block::silent(&params.sub("refine"), outputs, groups)),
        }
    }

    fn forward(&self, coarse: &Tensor, skip: &Tensor) -> Tensor {
        let mut x = resize(&self.narrow.forward(coarse), size2(skip));
        x += self.skip.forward(skip);
        refined(self.mix.forward(&x.relu_()), &self.refine)
    }
}

fn refined(x: Tensor, refine: &Option<Block>) -> Tensor {
    refine.as_ref().map_or_else(|| x.shallow_clone(), |block| block.forward(&x))
}

/// Readout and features to mask logits.
#[derive(Debug)]
pub struct Decoder {
    fuse: ConvNorm,
    f8: Block,
    refine: Option<Block>,
    f4: Up,
    f2: Up,
    f1: Up,
    logits: Conv,
    displacements: Displacements,
    /// Weights of expected shape and matched label in the logits, and those of the labels from memory; none without these.
    gains: Option<[Tensor; 2]>,
}

impl Decoder {
    /// The decoder at `params`, for a memory network.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let expected = params.get_f32("expected", &[2], Init::Constant(EXPECTED_LOGIT));
        let labels = params.get_f32("labels", &[LABELS], Init::Constant(LABEL_LOGIT));
        let coarse = config.value_channels + GUIDE;
        let decoder = Decoder::with(params, config, coarse, GUIDE, config.context_slices + GUIDE, true);
        Decoder { gains: Some([expected, labels]), ..decoder }
    }

    /// A decoder of `coarse` further channels at stride 8, `guide` further ones at strides 4 and 2, and a full-resolution
    /// input of `fine` channels; with `refine`, two more convolutions at each of the strides 8, 4 and 2.
    pub(super) fn with(
        params: &Params,
        config: &CompactConfig,
        coarse: i64,
        guide: i64,
        fine: i64,
        refine: bool,
    ) -> Self {
        let [c2, c4, c8, _] = config.channels;
        let g = config.groups;
        Decoder {
            fuse: ConvNorm::new(&params.sub("fuse"), ConvOptions::new(coarse + c8, c8, 3), g),
            f8: Block::new(&params.sub("f8"), c8, c8, 1, g),
            refine: refine.then(|| Block::silent(&params.sub("refine"), c8, g)),
            f4: Up::new(&params.sub("f4"), c8, c4 + guide, c4, g, refine),
            f2: Up::new(&params.sub("f2"), c4, c2 + guide, c2, g, refine),
            f1: Up::new(&params.sub("f1"), c2, fine, FINE, g, false),
            logits: Conv::new(&params.sub("logits"), ConvOptions::new(FINE, 1, 3).init(Init::Normal(LAST))),
            displacements: Displacements::on(params.target().device),
            gains: None,
        }
    }

    /// # Shapes
    /// `readout`: `[N, CV, H/8, W/8]`; `labels` from memory, -1 to 1: `[N, 2, H/8, W/8]`, f32 / logits `[N, 1, H, W]`, f32, and
    /// what the quality head is told besides (labels, expected shape, appearance, likeness, matched label, newness)
    /// `[N, 7, H/8, W/8]`.
    pub fn forward(
        &self,
        readout: &Tensor,
        labels: &Tensor,
        features: &ImageFeatures,
        context: &SliceContext,
    ) -> (Tensor, Tensor) {
        let slice = features.slices.narrow(1, features.slices.size()[1] / 2, 1);
        let groups = ImageGroups::new(&context.same_image);
        let matches = Matches::new(&self.displacements, &groups.once(&slice), &groups.once(&context.before_slice));
        let matched = matches.label(&context.before_mask, &groups);
        let new = groups.spread(&matches.new);
        let annotated = [&context.annotated_slice, &context.annotated_mask];
        let shape = &context.shape;
        let inside = (shape * WEIGHT).clamp(0.0, 1.0);
        // A ring about the target: what lies beyond the distance's reach is not its surroundings.
        let outside = (shape * -WEIGHT).clamp(0.0, 1.0) * shape.gt(-0.999).to_kind(shape.kind());
        let [appearance, like] = appearance_and_likeness(&slice, [&inside, &outside], annotated);
        let kind = features.slices.kind();
        let pooled = |t: &Tensor, n: i64| t.avg_pool2d([n, n], [n, n], [0, 0], false, true, None::<i64>);
        // At stride 2 and coarser.
        let guide = |stride: i64| {
            let half = |t: &Tensor| if stride == 2 { t.shallow_clone() } else { pooled(t, stride / 2) };
            let [appearance, like, matched] = [&appearance, &like, &matched].map(half);
            let labels = resize(labels, size2(&matched));
            Tensor::cat(&[labels, pooled(shape, stride), appearance, like, matched], 1).to_kind(kind)
        };
        let guides = [2, 4, 8].map(guide);
        // As the features are laid out: what is joined of both kinds has to be laid out anew later.
        let [f2, f4, f8] = [0, 1, 2].map(|i| Tensor::cat(&[&features.skips[i], &channels_last(&guides[i])], 1));
        let slices = (&features.slices - MEAN) / SPREAD;
        let full = |t: &Tensor| resize(t, size2(shape));
        let coarse = full(&Tensor::cat(&[&appearance, &like, &matched], 1));
        let labels = full(labels);
        let guide = [&labels, shape, &coarse].map(|t| t.to_kind(kind));
        let fine = channels_last(&Tensor::cat(&[&slices, &guide[0], &guide[1], &guide[2]], 1));
        let change = self.decode(Some(readout), [&f2, &f4, &f8], &fine);
        let [gain, label_gain] = self.gains.as_ref().expect("a memory network's decoder");
        let [_, _, guide] = guides;
        let guide = Tensor::cat(&[guide, pooled(&new, 4).to_kind(kind)], 1);
        let kept = f32(shape) * gain.narrow(0, 0, 1) + coarse.narrow(1, 2, 1) * gain.narrow(0, 1, 1);
        let remembered = (labels * label_gain.view([1, LABELS, 1, 1])).sum_dim_intlist(1, true, Kind::Float);
        (change + kept + remembered, guide)
    }

    /// # Shapes
    /// Skips with their guide, `fine`: `[N, fine, H, W]` / logits `[N, 1, H, W]`, f32.
    pub(super) fn decode(&self, readout: Option<&Tensor>, [f2, f4, f8]: [&Tensor; 3], fine: &Tensor) -> Tensor {
        let joined = readout.map_or_else(|| f8.shallow_clone(), |readout| Tensor::cat(&[readout, f8], 1));
        let x = refined(self.f8.forward(&self.fuse.forward(&joined)), &self.refine);
        let x = self.f4.forward(&x, f4);
        let x = self.f2.forward(&x, f2);
        // A few slices at a time at full resolution, so that what is computed stays in the processor's cache.
        let at_once = if on_cpu(&x) { FINE_BATCH } else { x.size()[0] };
        let finest = |(x, fine): (&Tensor, &Tensor)| f32(&self.logits.forward(&self.f1.forward(x, fine)));
        let parts: Vec<Tensor> = x.split(at_once, 0).iter().zip(&fine.split(at_once, 0)).map(finest).collect();
        Tensor::cat(&parts, 0)
    }
}
