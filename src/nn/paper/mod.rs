//! The `paper` preset: the networks of Mem3D §2.1-2.3 behind [`Networks`].
//!
//! | network | parameters at | module |
//! |---|---|---|
//! | interaction, one per kind or one for several | `interaction.<name>` | [`crate::nn::paper::interaction_net`] |
//! | memory | `memory` | [`crate::nn::paper::memory_net`] |
//! | quality | `quality` | [`crate::nn::paper::quality_head`] |
//!
//! Features of a slice: key and value at stride 16, then `f4`, `f8` and, if the quality head reads it, `f16`.

pub mod aspp;
pub mod decoder;
pub mod interaction_net;
pub mod memory_encoder;
pub mod memory_net;
pub mod memory_read;
pub mod quality_head;
pub mod query_encoder;
pub mod resnet;

use super::networks::{
    ImageFeatures, InteractionInput, InteractionKind, Judgement, Memory, ModelInfo, Networks, Preset, Segmented,
    SliceContext,
};
use super::params::{Params, Weights, channels_last};
use crate::error::{Error, Result};
use interaction_net::{InputLayout, InteractionNet, three_channels};
use memory_net::{MemoryNet, MemoryNetConfig, QueryView};
use quality_head::{QualityHead, QualityKind};
use query_encoder::normalise;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// Hyper-parameters of the preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperConfig {
    /// Hyper-parameters of the memory network.
    pub memory: MemoryNetConfig,
    /// Input channels of each interaction network, by its name.
    pub interaction_networks: BTreeMap<String, InputLayout>,
    /// Name of the interaction network of each kind. Kinds that are absent are not accepted.
    pub interactions: BTreeMap<InteractionKind, String>,
    /// Default: the paper's.
    pub quality: QualityKind,
}

impl Default for PaperConfig {
    /// One interaction network per kind, as the paper trains them.
    fn default() -> Self {
        let kinds = [
            (InteractionKind::Scribble, "scribble"),
            (InteractionKind::Box, "box"),
            (InteractionKind::ExtremePoints, "extreme_points"),
            (InteractionKind::Click, "click"),
        ];
        PaperConfig {
            memory: MemoryNetConfig::default(),
            interaction_networks: kinds.iter().map(|(_, name)| (name.to_string(), InputLayout::Paper)).collect(),
            interactions: kinds.iter().map(|(kind, name)| (*kind, name.to_string())).collect(),
            quality: QualityKind::Convolutional,
        }
    }
}

impl PaperConfig {
    /// One interaction network for all kinds: a quarter of the memory, the same speed.
    pub fn shared_interaction() -> Self {
        let kinds = PaperConfig::default().interactions.into_keys();
        PaperConfig {
            interaction_networks: [("all".to_string(), InputLayout::Paper)].into(),
            interactions: kinds.map(|kind| (kind, "all".to_string())).collect(),
            ..PaperConfig::default()
        }
    }

    /// Description of a model of these networks.
    pub fn info(&self, name: &str, provenance: &str, licence: &str) -> ModelInfo {
        ModelInfo {
            preset: Preset::Paper,
            name: name.into(),
            // slice_size is the paper's; a region of interest has three quarters of it, chosen.
            network_size: 384,
            slice_size: 512,
            context_slices: 1,
            key_channels: self.memory.key_channels,
            value_channels: self.memory.value_channels,
            key_stride: 16,
            interactions: self.interactions.keys().copied().collect(),
            provenance: provenance.into(),
            licence: licence.into(),
            quality_calibration: None,
            checksum: String::new(),
        }
    }
}

/// The networks, for training and as parts of [`PaperNetworks`].
#[derive(Debug)]
pub struct PaperModules {
    /// Mem3D §2.2.
    pub memory: MemoryNet,
    /// Mem3D §2.1, by name.
    pub interaction: BTreeMap<String, InteractionNet>,
    /// Mem3D §2.3.
    pub quality: QualityHead,
}

impl PaperModules {
    /// The modules at `params`.
    pub fn new(params: &Params, config: &PaperConfig) -> Self {
        let interaction = params.sub("interaction");
        PaperModules {
            memory: MemoryNet::new(&params.sub("memory"), &config.memory),
            interaction: config
                .interaction_networks
                .iter()
                .map(|(name, layout)| (name.clone(), InteractionNet::new(&interaction.sub(name), *layout)))
                .collect(),
            quality: QualityHead::new(&params.sub("quality"), config.quality, 2 * config.memory.value_channels),
        }
    }

    /// Features of `slices`, `[N, CI, H, W]`, whose normalised channels, `[N, 3, H, W]`, are given.
    pub fn encode_image(&self, slices: &Tensor, normalised: &Tensor) -> ImageFeatures {
        let query = self.memory.encode(normalised);
        let mut skips = vec![query.features.f4, query.features.f8];
        if self.quality.wants_f16() {
            skips.push(query.features.f16);
        }
        ImageFeatures { slices: slices.shallow_clone(), key: query.key, value: Some(query.value), skips }
    }

    /// The memory network's view of features that [`PaperModules::encode_image`] returned.
    pub fn query(features: &ImageFeatures) -> QueryView<'_> {
        QueryView {
            key: &features.key,
            value: features.value.as_ref().expect("encoded by this network"),
            f8: &features.skips[1],
            f4: &features.skips[0],
        }
    }

    /// What the quality head receives beside the probability: features at stride 16, or the readout.
    pub fn quality_input<'a>(&self, features: &'a ImageFeatures, segmented: &'a Segmented) -> &'a Tensor {
        if self.quality.wants_f16() { &features.skips[2] } else { &segmented.readout }
    }
}

/// The networks of a `paper` model.
#[derive(Debug)]
pub struct PaperNetworks {
    info: ModelInfo,
    config: PaperConfig,
    weights: Weights,
    modules: PaperModules,
}

impl PaperNetworks {
    /// The networks at `params`, whose construction ends here.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the weights do not fit, or a kind of interaction names a network that does not exist.
    pub fn new(params: Params, info: ModelInfo, config: PaperConfig) -> Result<Self> {
        if let Some((kind, name)) =
            config.interactions.iter().find(|(_, n)| !config.interaction_networks.contains_key(*n))
        {
            return Err(Error::BadModel(format!(
                "the model's configuration names the interaction network {name:?} for {kind:?}, which it does not have"
            )));
        }
        let modules = PaperModules::new(&params, &config);
        let weights = params.finish()?;
        Ok(PaperNetworks { info, config, weights, modules })
    }

    /// The modules.
    pub fn modules(&self) -> &PaperModules {
        &self.modules
    }

    /// Every tensor held.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Slices with three channels, normalised for the memory network's encoders.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / `[N, 3, H, W]`.
    fn normalised(&self, slices: &Tensor) -> Tensor {
        self.input(&normalise(&three_channels(slices)))
    }

    /// `x` in the number format and memory layout that the weights have.
    fn input(&self, x: &Tensor) -> Tensor {
        channels_last(&x.to_device(self.device()).to_kind(self.weights.target().kind))
    }
}

impl Networks for PaperNetworks {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> Device {
        self.weights.target().device
    }

    fn share(&self) -> Box<dyn Networks> {
        let networks = PaperNetworks::new(self.weights.params(), self.info.clone(), self.config.clone());
        Box::new(networks.expect("the same construction succeeded before"))
    }

    fn interact(&self, kind: InteractionKind, input: &InteractionInput) -> Tensor {
        let name = self.config.interactions.get(&kind).expect("a kind that the model accepts");
        let network = &self.modules.interaction[name];
        network.forward(&self.input(&network.layout().join(input))).sigmoid()
    }

    fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        self.modules.encode_image(slices, &self.normalised(slices))
    }

    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        self.modules.memory.memorize(&self.normalised(&features.slices), &self.input(masks))
    }

    fn segment(&self, features: &ImageFeatures, memory: &[Memory], _: &SliceContext) -> Segmented {
        self.modules.memory.segment(PaperModules::query(features), memory)
    }

    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, _: &SliceContext) -> Judgement {
        let input = self.modules.quality_input(features, segmented);
        let iou = self.modules.quality.forward(input, &segmented.probability).to_kind(Kind::Float);
        Judgement::from_iou(iou, &segmented.probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;

    fn networks(quality: QualityKind, kind: Kind) -> PaperNetworks {
        let memory = MemoryNetConfig { key_channels: 8, value_channels: 16, ..MemoryNetConfig::default() };
        let config = PaperConfig { memory, quality, ..PaperConfig::shared_interaction() };
        let info = config.info("test", "random", "none");
        PaperNetworks::new(Params::init(1, Target { kind, ..Target::default() }), info, config).unwrap()
    }

    #[test]
    fn a_round_through_the_trait() {
        for (quality, kind) in [(QualityKind::Convolutional, Kind::Float), (QualityKind::Published, Kind::BFloat16)] {
            let networks = networks(quality, kind);
            let map = |v: f64| Tensor::full([2, 1, 48, 32], v, (Kind::Float, Device::Cpu));
            let features = networks.encode_image(&map(0.3));
            assert_eq!((features.slices.size(), features.key.size()), (vec![2, 1, 48, 32], vec![2, 8, 3, 2]));
            let memory = networks.memorize(&features, &map(1.0));
            let context = SliceContext {
                expected_shape: map(0.0),
                previous_mask: map(0.0),
                previous_slice: map(0.0),
                largest_area: Tensor::full([2, 1], 0.1, (Kind::Float, Device::Cpu)),
                annotated_area: Tensor::full([2, 1], 0.1, (Kind::Float, Device::Cpu)),
                annotated_mask: map(0.0),
                annotated_slice: map(0.0),
                steps: Tensor::ones([2, 1], (Kind::Float, Device::Cpu)),
                distance: Tensor::ones([2, 1], (Kind::Float, Device::Cpu)),
                distance_from_largest: Tensor::ones([2, 1], (Kind::Float, Device::Cpu)),
                same_image: vec![0, 1],
            };
            let segmented = networks.segment(&features, &memory, &context);
            assert_eq!((segmented.probability.size(), segmented.probability.kind()), (vec![2, 1, 48, 32], Kind::Float));
            let q = networks.quality(&features, &segmented, &context).quality;
            assert_eq!((q.size(), q.kind()), (vec![2], Kind::Float));
            let input = InteractionInput {
                slices: map(0.3),
                previous: map(0.5),
                positive: map(0.0),
                negative: map(0.0),
                boxes: map(0.0),
            };
            let p = networks.interact(InteractionKind::Click, &input);
            assert_eq!((p.size(), p.kind()), (vec![2, 1, 48, 32], Kind::Float));
            assert!(p.isfinite().all().double_value(&[]) == 1.0);
        }
    }

    #[test]
    fn presence_from_iou_alone() {
        // Two masks and an empty slice.
        let probability = Tensor::from_slice(&[0.9f32, 0.1, 0.9, 0.1, 0.2, 0.3]).view([3, 1, 1, 2]);
        let judgement = Judgement::from_iou(Tensor::from_slice(&[0.35f32, 0.35 * 0.35, 0.8]), &probability);
        // IoU 0.35 maps to presence 0.8, and its square to the square of 0.8.
        let presence = Vec::<f32>::try_from(&judgement.presence).unwrap();
        for (a, b) in presence.iter().zip([0.8, 0.64, 0.2]) {
            assert!((a - b).abs() < 1e-6, "{presence:?}");
        }
    }

    #[test]
    fn sharing_copies_no_weight() {
        let networks = networks(QualityKind::Convolutional, Kind::Float);
        let map = Tensor::full([1, 1, 32, 32], 0.3, (Kind::Float, Device::Cpu));
        let shared = networks.share();
        assert!(networks.encode_image(&map).key.equal(&shared.encode_image(&map).key));
        let again = networks.weights.params();
        let _ = PaperModules::new(&again, &networks.config);
        for (name, tensor) in again.finish().unwrap().tensors() {
            assert_eq!(tensor.data_ptr(), networks.weights.tensors()[name].data_ptr(), "{name}");
        }
    }

    #[test]
    fn a_kind_without_network_is_refused() {
        let mut config = PaperConfig::shared_interaction();
        config.interactions.insert(InteractionKind::Box, "boxes".into());
        let info = config.info("test", "random", "none");
        let text = PaperNetworks::new(Params::init(1, Target::default()), info, config).unwrap_err().to_string();
        assert!(text.contains("\"boxes\"") && text.contains("Box"), "{text}");
    }
}
