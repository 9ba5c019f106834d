//! Preset `compact`: small networks with mask-free keys.
//!
//! Features of the image alone are computed once for each slice and cached; a round costs the memory read, the decoder,
//! the quality head and the memory encoder. Trunks are residual networks with group normalisation, which does not
//! depend on the batch.
//!
//! | network | input | output |
//! |---|---|---|
//! | [`Backbone`] (optional) | slices `[N, CI, H, W]` | pretrained features at strides 2, 4, 8 and 16 |
//! | [`ImageEncoder`] | slices `[N, CI, H, W]` | `f2`, `f4`, `f8` (24, 48, 96 channels), key `[N, CK, H/8, W/8]` |
//! | [`MemoryEncoder`] | slices, `f8`, masks `[N, 1, H, W]` | value `[N, CV, H/8, W/8]` |
//! | `memory_read` | key, memory | readout `[N, CV, H/8, W/8]`, labels `[N, 2, H/8, W/8]` |
//! | `guide` | query slice, labels, [`SliceContext`] | [`crate::nn::Guide`] |
//! | [`Decoder`] | readout, guide, `f8`, `f4`, `f2`, slices | mask logits `[N, 1, H, W]` |
//! | [`QualityHead`] | `f8`, readout, guide, probability, [`SliceContext`] | logits of presence and IoU `[N, 2]` |
//! | [`InteractionNet`] | slices, previous mask, guidance maps | mask logits `[N, 1, H, W]` |

mod backbone;
mod blocks;
mod config;
mod cues;
mod decoder;
mod guide;
mod image_encoder;
mod image_groups;
mod interaction_net;
mod mask_decoder;
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
    Guide, ImageFeatures, InteractionInput, InteractionKind, Judgement, Memory, ModelInfo, Networks, Segmented,
    SliceContext,
};
use super::params::{Params, Weights};
use crate::error::Result;
use cues::matched::Displacements;
use image_groups::ImageGroups;
use memory_read::{Read, read_memory};
use tch::{Device, Tensor};

/// The networks, for training and as parts of [`Compact`].
#[derive(Debug)]
pub struct CompactNets {
    /// Slices to pretrained features; none where the configuration names no backbone.
    pub backbone: Option<Backbone>,
    /// Slices to features and keys.
    pub image_encoder: ImageEncoder,
    /// Masks to values.
    pub memory_encoder: MemoryEncoder,
    /// Readout and guide to mask logits.
    pub decoder: Decoder,
    /// Mask to presence and IoU.
    pub quality_head: QualityHead,
    /// Drawing to mask logits.
    pub interaction: InteractionNet,
    displacements: Displacements,
    familiarity: bool,
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
            displacements: Displacements::on(params.target().device),
            familiarity: config.familiarity,
        }
    }

    /// Mask logits of slices with interactions.
    ///
    /// # Shapes
    /// `input`: see [`InteractionNet::forward`] / `[N, 1, H, W]`, f32.
    pub fn interact(&self, input: &Tensor) -> Tensor {
        // 1. Pretrained features of the slices.
        let learnt = self.backbone.as_ref().map(|backbone| backbone.forward(&self.interaction.slices(input)));
        // 2. Cues, trunk and decoder.
        self.interaction.forward(input, learnt.as_ref())
    }

    /// Features and keys of slices.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / see [`ImageEncoder::forward`].
    pub fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        let learnt = self.backbone.as_ref().map(|backbone| backbone.forward(slices));
        self.image_encoder.forward(slices, learnt.as_ref())
    }

    /// Keys and values of slices with masks.
    ///
    /// # Shapes
    /// `features`: of N slices; `masks`: `[N, 1, H, W]`, 0..1 / N memories `[P, CK]`, `[P, CV]`.
    pub fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        let values = self.memory_encoder.forward(&features.slices, &features.skips[2], masks);
        let rows = |t: &Tensor, n: i64| t.get(n).flatten(1, 2).transpose(0, 1).contiguous();
        (0..values.size()[0]).map(|n| Memory::new(rows(&features.key, n), rows(&values, n))).collect()
    }

    /// Reads the memory and decodes: mask logits, f32, and the result with their probabilities.
    ///
    /// # Shapes
    /// `features`, `context`: of N slices; `memory`: N entries / logits `[N, 1, H, W]`, readout `[N, CV, H/8, W/8]`.
    pub fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> (Tensor, Segmented) {
        let groups = ImageGroups::new(&context.same_image);
        // 1. Memory read.
        let Read { readout, labels, familiarity } = read_memory(&features.key, memory, &groups, self.familiarity);
        // 2. Guide.
        let guide = Guide::new(&features.query_slice(), labels, context, &groups, &self.displacements);
        let guide = Guide { familiarity, ..guide };
        // 3. Decoder.
        let logits = self.decoder.forward(&readout, &guide, features);
        let probability = logits.sigmoid();
        (logits, Segmented { probability, readout, guide: Some(guide) })
    }
}

/// The preset behind [`Networks`].
pub struct Compact {
    nets: CompactNets,
    weights: Weights,
    config: CompactConfig,
    info: ModelInfo,
}

impl Compact {
    /// The networks at `params`, whose construction ends here.
    ///
    /// # Errors
    /// [`crate::Error::BadModel`] for a configuration that is out of range, or weights that do not fit it.
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
        self.nets.segment(features, memory, context).1
    }

    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Judgement {
        let logits = self.nets.quality_head.forward(features, segmented, context);
        let probabilities = f32(&logits).sigmoid();
        let [presence, iou] = [0, 1].map(|i| probabilities.select(1, i));
        Judgement { quality: &presence * iou, presence }
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
            familiarity: false,
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
            expected_shape: noise(shape, 9) * 2.0 - 1.0,
            previous_mask: noise(shape, 10).ge(0.5).to_kind(Kind::Float),
            previous_slice: noise(shape, 11),
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
            expected_shape: one(&all.expected_shape),
            previous_mask: one(&all.previous_mask),
            previous_slice: one(&all.previous_slice),
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
            assert_eq!((s.probability.size(), s.readout.size()), (vec![2, 1, 64, 48], vec![2, 96, 8, 6]));
            let guide = s.guide.as_ref().unwrap();
            assert_eq!((guide.labels.size(), guide.novelty.size()), (vec![2, 2, 8, 6], vec![2, 1, 32, 24]));
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
    fn masks_on_one_image_give_the_same_alone_and_together() {
        let c = compact(small());
        crate::torch::run(|| {
            // The first and the third have one image, one previous slice and the same keys in memory.
            let rows = Tensor::from_slice(&[0i64, 1, 0]);
            let image = noise(&[2, 1, 32, 32], 3).index_select(0, &rows);
            let f = c.encode_image(&image);
            let memory = c.memorize(&f, &noise(&[3, 1, 32, 32], 4));
            let all = context(&[3, 1, 32, 32]);
            let previous_slice = all.previous_slice.index_select(0, &rows);
            let alone = c.segment(&f, &memory, &SliceContext { previous_slice: previous_slice.shallow_clone(), ..all });
            let all = context(&[3, 1, 32, 32]);
            let together = c.segment(&f, &memory, &SliceContext { previous_slice, same_image: vec![0, 1, 0], ..all });
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
            // The first layers of silent blocks have no gradient before training.
            if name.contains("refine") && name.ends_with("norm.weight") {
                let _ = tch::no_grad(|| t.shallow_clone().fill_(1.0));
            }
            let _ = t.set_requires_grad(true);
        }
        let x = noise(&[1, 1, 32, 32], 6);
        let f = nets.encode_image(&x);
        let context = context(&[1, 1, 32, 32]);
        let (logits, segmented) = nets.segment(&f, &nets.memorize(&f, &noise(&[1, 1, 32, 32], 7)), &context);
        let quality = nets.quality_head.forward(&f, &segmented, &context);
        let drawn = nets.interact(&noise(&[1, 5, 32, 32], 8));
        (logits.mean(Kind::Float) + quality.mean(Kind::Float) + drawn.mean(Kind::Float)).backward();
        for (name, t) in weights.trainable() {
            let g = t.grad();
            assert!(g.defined(), "{name} has no gradient");
            // With one memorized slice that is the query, the gradient of the keys is small but not 0.
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
