//! Preset `compact`: small networks with mask-free keys.
//!
//! What depends on the image alone is computed once a slice and kept; a round costs the memory read, the decoder and the
//! value encoder. Trunks are residual networks with group normalisation, which does not depend on the batch.
//!
//! | network | input | output |
//! |---|---|---|
//! | [`ImageEncoder`] | slices `[N, CI, H, W]` | `f2` 24, `f4` 48, `f8` 96 channels (default), key `[N, CK, H/8, W/8]` |
//! | [`MemoryEncoder`] | slices, `f8`, masks | value `[N, CV, H/8, W/8]` |
//! | memory read | key, memory | readout `[N, CV, H/8, W/8]`: negative squared L2 (as STCN) |
//! | [`Decoder`] | readout, `f8`, `f4`, `f2`, slices, expected shape | mask logits `[N, 1, H, W]` |
//! | [`QualityHead`] | `f8`, readout, guide, probability, slice before | quality `[N]` |
//! | [`InteractionNet`] | slices, previous mask, guidance | mask logits `[N, 1, H, W]` |

mod backbone;
mod blocks;
mod config;
mod cues;
mod decoder;
mod image_encoder;
mod image_groups;
mod interaction_net;
mod memory_encoder;
mod memory_read;
mod quality_head;

pub use backbone::Backbone;
pub use config::{BackboneKind, CompactConfig, KEY_STRIDE};
pub use decoder::Decoder;
pub use image_encoder::{ImageEncoder, Trunk};
pub use interaction_net::InteractionNet;
pub use memory_encoder::MemoryEncoder;
pub use quality_head::QualityHead;

use super::layers::f32;
use super::networks::{
    ImageFeatures, InteractionInput, InteractionKind, Judgement, Memory, ModelInfo, Networks, Segmented, SliceContext,
};
use super::params::{Params, Weights};
use crate::error::Result;
use decoder::{GUIDE_AND_NOVELTY, LABELS};
use image_groups::ImageGroups;
use memory_read::read;
use tch::{Device, Tensor};

/// The networks themselves, also for training.
#[derive(Debug)]
pub struct CompactNets {
    /// Slices to features learnt on photographs; none where the configuration names no backbone.
    pub backbone: Option<Backbone>,
    /// Slices to features and keys.
    pub image_encoder: ImageEncoder,
    /// Masks to values.
    pub memory_encoder: MemoryEncoder,
    /// Readout to mask.
    pub decoder: Decoder,
    /// Quality of a mask.
    pub quality_head: QualityHead,
    /// Drawing to mask.
    pub interaction: InteractionNet,
}

impl CompactNets {
    /// The networks at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        CompactNets {
            backbone: (config.backbone != BackboneKind::None)
                .then(|| Backbone::new(&params.sub("backbone"), config.context_slices)),
            image_encoder: ImageEncoder::new(&params.sub("image_encoder"), config),
            memory_encoder: MemoryEncoder::new(&params.sub("memory_encoder"), config),
            decoder: Decoder::new(&params.sub("decoder"), config),
            quality_head: QualityHead::new(&params.sub("quality_head"), config),
            interaction: InteractionNet::new(&params.sub("interaction"), config),
        }
    }

    /// Features and keys of slices.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / see [`ImageEncoder::forward`].
    pub fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        let learnt = self.backbone.as_ref().map(|backbone| backbone.forward(slices));
        self.image_encoder.forward(slices, learnt.as_ref())
    }

    /// The interaction network's mask logits.
    ///
    /// # Shapes
    /// `input`: see [`InteractionNet::forward`] / `[N, 1, H, W]`.
    pub fn interact(&self, input: &Tensor) -> Tensor {
        let learnt = self.backbone.as_ref().map(|backbone| backbone.forward(&self.interaction.slices(input)));
        self.interaction.forward(input, learnt.as_ref())
    }

    /// Keys and values of slices with masks.
    ///
    /// # Shapes
    /// `masks`: `[N, 1, H, W]` / N memories `[P, CK]`, `[P, CV]`.
    pub fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        let values = self.memory_encoder.forward(&features.slices, &features.skips[2], masks);
        let rows = |t: &Tensor, n: i64| t.get(n).flatten(1, 2).transpose(0, 1).contiguous();
        (0..values.size()[0]).map(|n| Memory::new(rows(&features.key, n), rows(&values, n))).collect()
    }

    /// Reads the memory and decodes.
    ///
    /// # Shapes
    /// N slices, memories and expectations / mask logits `[N, 1, H, W]` f32, readout and guide
    /// `[N, CV + 7, H/8, W/8]`; the guide's first two channels are the labels from memory.
    pub fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> (Tensor, Tensor) {
        let groups = ImageGroups::new(&context.same_image);
        let group = |queries: &Vec<i64>| {
            let values: Vec<&Tensor> = queries.iter().map(|&n| &memory[n as usize].values).collect();
            let first = &memory[queries[0] as usize];
            read(&features.key.narrow(0, queries[0], 1), &first.keys, first.annotated, &values)
        };
        let (readouts, labels): (Vec<_>, Vec<_>) = groups.groups().iter().map(group).unzip();
        let [readout, labels] = [readouts, labels].map(|parts| groups.in_order(&parts));
        let (logits, guide) = self.decoder.forward(&readout, &labels, features, context);
        (logits, Tensor::cat(&[&readout, &guide], 1))
    }

    /// The labels from memory in what [`CompactNets::segment`] read.
    ///
    /// # Shapes
    /// `readout`: `[N, CV + 7, h, w]` / `[N, 2, h, w]`.
    pub fn labels(&self, readout: &Tensor) -> Tensor {
        readout.narrow(1, readout.size()[1] - GUIDE_AND_NOVELTY, LABELS)
    }
}

/// The preset as the engine sees it.
pub struct Compact {
    nets: CompactNets,
    weights: Weights,
    config: CompactConfig,
    info: ModelInfo,
}

impl Compact {
    /// The networks at `params`, which this ends.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] for a configuration that cannot be, or weights that do not fit it.
    pub fn new(params: Params, config: CompactConfig, info: ModelInfo) -> Result<Compact> {
        config.check()?;
        let nets = CompactNets::new(&params, &config);
        Ok(Compact { nets, weights: params.finish()?, config, info })
    }

    fn input(&self, t: &Tensor) -> Tensor {
        t.to_kind(self.weights.target().kind)
    }
}

impl Networks for Compact {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> Device {
        self.weights.target().device
    }

    fn share(&self) -> Box<dyn Networks> {
        let again = Compact::new(self.weights.params(), self.config.clone(), self.info.clone());
        Box::new(again.expect("these weights were complete before"))
    }

    fn interact(&self, _: InteractionKind, input: &InteractionInput) -> Tensor {
        let parts = [&input.slices, &input.previous, &input.positive, &input.negative, &input.boxes];
        f32(&self.nets.interact(&self.input(&Tensor::cat(&parts, 1)))).sigmoid()
    }

    fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        self.nets.encode_image(&self.input(slices))
    }

    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        self.nets.memorize(features, &self.input(masks))
    }

    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> Segmented {
        let (logits, readout) = self.nets.segment(features, memory, context);
        Segmented { probability: logits.sigmoid(), readout }
    }

    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Judgement {
        let head = &self.nets.quality_head;
        let logits = head.forward(features, &segmented.readout, &segmented.probability, context);
        let probabilities = f32(&logits).sigmoid();
        let [presence, overlap] = [0, 1].map(|i| probabilities.select(1, i));
        Judgement { quality: &presence * overlap, presence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::Kind;

    fn small() -> CompactConfig {
        CompactConfig {
            context_slices: 1,
            channels: [8, 8, 16, 16],
            key_channels: 4,
            value_channels: 8,
            groups: 4,
            network_size: 32,
            slice_size: 48,
            backbone: BackboneKind::None,
        }
    }

    fn compact(config: CompactConfig) -> Compact {
        let info = config.info("test", "", "");
        Compact::new(Params::init(1, Target::default()), config, info).unwrap()
    }

    fn noise(shape: &[i64], seed: i64) -> Tensor {
        let n: i64 = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0).collect();
        Tensor::from_slice(&values).reshape(shape)
    }

    fn context(shape: &[i64]) -> SliceContext {
        SliceContext {
            shape: noise(shape, 9) * 2.0 - 1.0,
            before_mask: noise(shape, 10).ge(0.5).to_kind(Kind::Float),
            before_slice: noise(shape, 11),
            largest_area: noise(&[shape[0], 1], 12),
            annotated_area: noise(&[shape[0], 1], 17),
            annotated_mask: noise(shape, 13).ge(0.5).to_kind(Kind::Float),
            annotated_slice: noise(shape, 14),
            steps: noise(&[shape[0], 1], 15) * 9.0 + 1.0,
            distance: noise(&[shape[0], 1], 16) + 0.1,
            distance_from_largest: noise(&[shape[0], 1], 16) + 0.1,
            same_image: (0..shape[0] as usize).collect(),
        }
    }

    fn one_of(all: &SliceContext, n: i64) -> SliceContext {
        let one = |t: &Tensor| t.narrow(0, n, 1);
        SliceContext {
            shape: one(&all.shape),
            before_mask: one(&all.before_mask),
            before_slice: one(&all.before_slice),
            largest_area: one(&all.largest_area),
            annotated_area: one(&all.annotated_area),
            annotated_mask: one(&all.annotated_mask),
            annotated_slice: one(&all.annotated_slice),
            steps: one(&all.steps),
            distance: one(&all.distance),
            distance_from_largest: one(&all.distance_from_largest),
            same_image: vec![0],
        }
    }

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.size() == b.size() && (a - b).abs().max().double_value(&[]) < 1e-5
    }

    #[test]
    fn an_untrained_join_leaves_masks_as_they_are() {
        let plain = compact(small());
        let joined = compact(CompactConfig { backbone: BackboneKind::EfficientnetLite0, ..small() });
        crate::torch::run(|| {
            let slices = noise(&[2, 1, 32, 32], 1);
            let [a, b] = [&plain, &joined].map(|c| c.encode_image(&slices));
            assert!(close(&a.key, &b.key) && a.skips.iter().zip(&b.skips).all(|(a, b)| close(a, b)));
            let input = InteractionInput {
                slices: slices.shallow_clone(),
                previous: noise(&[2, 1, 32, 32], 2),
                positive: noise(&[2, 1, 32, 32], 3).ge(0.9).to_kind(Kind::Float),
                negative: noise(&[2, 1, 32, 32], 4).ge(0.9).to_kind(Kind::Float),
                boxes: noise(&[2, 1, 32, 32], 5).zeros_like(),
            };
            let [a, b] = [&plain, &joined].map(|c| c.interact(InteractionKind::Scribble, &input));
            assert!(close(&a, &b));
        })
        .unwrap();
        let extra = joined.weights.tensors().len() - plain.weights.tensors().len();
        // 33 layers, batch norm folded: two tensors each; four joins for each of two trunks, two tensors each.
        assert_eq!(extra, 33 * 2 + 2 * 4 * 2);
    }

    #[test]
    fn shapes_are_as_documented() {
        let c = compact(CompactConfig::default());
        crate::torch::run(|| {
            let f = c.encode_image(&noise(&[2, 3, 64, 48], 1));
            assert_eq!(f.key.size(), [2, 48, 8, 6]);
            assert_eq!(
                f.skips.iter().map(|s| s.size()).collect::<Vec<_>>(),
                [vec![2, 24, 32, 24], vec![2, 48, 16, 12], vec![2, 96, 8, 6]]
            );
            let m = c.memorize(&f, &noise(&[2, 1, 64, 48], 2));
            assert_eq!((m.len(), m[0].keys.size(), m[1].values.size()), (2, vec![48, 48], vec![48, 96]));
            let s = c.segment(&f, &m, &context(&[2, 1, 64, 48]));
            assert_eq!((s.probability.size(), s.readout.size()), (vec![2, 1, 64, 48], vec![2, 103, 8, 6]));
            let q = c.quality(&f, &s, &context(&[2, 1, 64, 48]));
            assert_eq!((q.quality.size(), q.presence.size()), (vec![2], vec![2]));
            assert!(q.quality.min().double_value(&[]) >= 0.0 && q.presence.max().double_value(&[]) <= 1.0);
            assert!((q.presence - q.quality).min().double_value(&[]) >= 0.0);
        })
        .unwrap();
        let parameters: usize = c.weights.tensors().values().map(|t| t.numel()).sum();
        assert!((1_000_000..8_000_000).contains(&parameters), "{parameters}");
    }

    #[test]
    fn the_read_weighs_memory_by_distance() {
        // One query at 0; memory keys 0 and 1 (CK = 1): weights 1 and exp(-1), values 10 and 20.
        let t = |v: &[f32], shape: &[i64]| Tensor::from_slice(v).reshape(shape);
        let memory = Memory::new(t(&[0.0, 1.0], &[2, 1]), t(&[10.0, 20.0], &[2, 1]));
        let other = t(&[1.0, 3.0], &[2, 1]);
        let (out, labels) = read(&t(&[0.0], &[1, 1, 1, 1]), &memory.keys, 1, &[&memory.values, &other]);
        assert_eq!((out.size(), labels.size()), (vec![2, 1, 1, 1], vec![2, 2, 1, 1]));
        // Of the annotated slices, here the first row, alone.
        assert!((labels.double_value(&[0, 1, 0, 0]) - 10.0).abs() < 1e-5);
        assert!((labels.double_value(&[1, 1, 0, 0]) - 1.0).abs() < 1e-5);
        let e = (-1.0f64).exp();
        for (n, expected) in [(0, (10.0 + 20.0 * e) / (1.0 + e)), (1, (1.0 + 3.0 * e) / (1.0 + e))] {
            assert!((out.double_value(&[n, 0, 0, 0]) - expected).abs() < 1e-5);
            assert!((labels.double_value(&[n, 0, 0, 0]) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn keys_do_not_depend_on_masks_and_a_batch_equals_its_parts() {
        let c = compact(small());
        crate::torch::run(|| {
            let x = noise(&[2, 1, 32, 32], 3);
            let masks = noise(&[2, 1, 32, 32], 4);
            let f = c.encode_image(&x);
            let together = c.memorize(&f, &masks);
            assert!(close(&together[0].keys, &c.memorize(&f, &masks.flip([0]))[0].keys));
            let all = context(&[2, 1, 32, 32]);
            let s = c.segment(&f, &together, &all);
            let q = c.quality(&f, &s, &all).quality;
            for n in 0..2 {
                let one = c.encode_image(&x.narrow(0, n, 1));
                let memory = c.memorize(&one, &masks.narrow(0, n, 1));
                assert!(close(&memory[0].values, &together[n as usize].values));
                let alone = c.segment(&one, &memory, &one_of(&all, n));
                assert!(close(&alone.probability, &s.probability.narrow(0, n, 1)));
                assert!(close(&c.quality(&one, &alone, &one_of(&all, n)).quality, &q.narrow(0, n, 1)));
            }
            // The mask matters.
            let other = c.memorize(&f, &(1.0 - &masks));
            assert!(!close(&other[0].values, &together[0].values));
        })
        .unwrap();
    }

    #[test]
    fn masks_on_one_image_share_work_and_nothing_else() {
        let c = compact(small());
        crate::torch::run(|| {
            // The first and the third look at one image, with one slice before it and the same slices in memory.
            let rows = Tensor::from_slice(&[0i64, 1, 0]);
            let image = noise(&[2, 1, 32, 32], 3).index_select(0, &rows);
            let f = c.encode_image(&image);
            let memory = c.memorize(&f, &noise(&[3, 1, 32, 32], 4));
            let all = context(&[3, 1, 32, 32]);
            let before_slice = all.before_slice.index_select(0, &rows);
            let alone = c.segment(&f, &memory, &SliceContext { before_slice: before_slice.shallow_clone(), ..all });
            let all = context(&[3, 1, 32, 32]);
            let together = c.segment(&f, &memory, &SliceContext { before_slice, same_image: vec![0, 1, 0], ..all });
            assert!(close(&alone.probability, &together.probability) && close(&alone.readout, &together.readout));
            assert!(!close(&alone.probability.narrow(0, 0, 1), &alone.probability.narrow(0, 2, 1)));
        })
        .unwrap();
    }

    #[test]
    fn shared_networks_give_the_same_bytes() {
        let c = compact(small());
        let other = c.share();
        let x = noise(&[1, 1, 32, 32], 5);
        let key = |n: &dyn Networks| crate::torch::run(|| n.encode_image(&x).key).unwrap();
        assert!(key(&c).equal(&key(&*other)));
    }

    #[test]
    fn gradients_reach_every_parameter() {
        let target = Target { inference: false, ..Target::default() };
        let params = Params::init(2, target);
        let nets = CompactNets::new(&params, &small());
        let weights = params.finish().unwrap();
        for (name, t) in weights.trainable() {
            // Blocks that are silent at first let nothing through to their own beginning.
            if name.contains("refine") && name.ends_with("norm.weight") {
                let _ = tch::no_grad(|| t.shallow_clone().fill_(1.0));
            }
            let _ = t.set_requires_grad(true);
        }
        let x = noise(&[1, 1, 32, 32], 6);
        let f = nets.image_encoder.forward(&x);
        let context = context(&[1, 1, 32, 32]);
        let (logits, readout) = nets.segment(&f, &nets.memorize(&f, &noise(&[1, 1, 32, 32], 7)), &context);
        let quality = nets.quality_head.forward(&f, &readout, &logits.sigmoid(), &context);
        let drawn = nets.interaction.forward(&noise(&[1, 5, 32, 32], 8));
        (logits.mean(Kind::Float) + quality.mean(Kind::Float) + drawn.mean(Kind::Float)).backward();
        for (name, t) in weights.trainable() {
            let g = t.grad();
            assert!(g.defined(), "{name} has no gradient");
            // Keys alone: with one memorized slice that is the query, their gradient may be small but not absent.
            assert!(g.abs().max().double_value(&[]) > 0.0, "{name} has a zero gradient");
        }
    }

    #[test]
    fn impossible_configurations_are_named() {
        for (bad, word) in [
            (CompactConfig { context_slices: 2, ..small() }, "context_slices"),
            (CompactConfig { groups: 3, ..small() }, "3 groups"),
            (CompactConfig { network_size: 40, ..small() }, "input size"),
        ] {
            assert!(bad.check().unwrap_err().to_string().contains(word));
        }
    }
}
