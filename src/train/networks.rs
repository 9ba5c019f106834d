//! The networks of both presets for training: logits instead of probabilities, and every parameter by name.

use super::stage::Stage;
use crate::error::{Error, Result};
use crate::nn::compact::{CompactConfig, CompactNets};
use crate::nn::layers::f32;
use crate::nn::paper::query_encoder::normalise;
use crate::nn::paper::{PaperConfig, PaperModules};
use crate::nn::params::{Params, Target, TensorMap, Weights, network};
use crate::nn::weights::Header;
use crate::nn::{ImageFeatures, InteractionInput, InteractionKind, Memory, Preset, Segmented, SliceContext};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Preset and hyper-parameters of the networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "preset", content = "config", rename_all = "snake_case")]
pub enum Design {
    /// Small networks with mask-free keys.
    Compact(CompactConfig),
    /// The paper's networks.
    Paper(PaperConfig),
}

impl Design {
    /// The hyper-parameters of a preset, changed by `config`, a JSON object.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a key that the preset does not have, [`Error::BadModel`] for impossible values.
    pub fn new(preset: Preset, config: Option<&str>) -> Result<Design> {
        let text = config.unwrap_or("{}");
        let wrong = |e| Error::argument(format!("the network configuration cannot be used: {e}"));
        match preset {
            Preset::Compact => {
                let config: CompactConfig = serde_json::from_str(text).map_err(wrong)?;
                config.check()?;
                Ok(Design::Compact(config))
            }
            Preset::Paper => Ok(Design::Paper(serde_json::from_str(text).map_err(wrong)?)),
        }
    }

    /// The design of a model file.
    ///
    /// # Errors
    /// [`Error::BadModel`] when its configuration does not fit its preset.
    pub fn of_model(header: &Header) -> Result<Design> {
        Ok(match header.info.preset {
            Preset::Compact => Design::Compact(header.config()?),
            Preset::Paper => Design::Paper(header.config()?),
        })
    }

    /// CI.
    pub fn context_slices(&self) -> i64 {
        match self {
            Design::Compact(config) => config.context_slices,
            Design::Paper(_) => 1,
        }
    }

    /// Kinds of interaction to train.
    pub fn kinds(&self) -> Vec<InteractionKind> {
        match self {
            Design::Compact(config) => config.info("", "", "").interactions,
            Design::Paper(config) => config.interactions.keys().copied().collect(),
        }
    }

    /// Header of a model file of this design.
    ///
    /// # Errors
    /// [`Error::Internal`] when the configuration has no JSON form.
    pub fn header(&self, name: &str, provenance: &str, licence: &str) -> Result<Header> {
        match self {
            Design::Compact(config) => Header::new(config.info(name, provenance, licence), config),
            Design::Paper(config) => Header::new(config.info(name, provenance, licence), config),
        }
    }

    /// Whether the parameter `name` is trained in `stage`.
    pub fn belongs(&self, name: &str, stage: Stage) -> bool {
        match self {
            Design::Compact(_) => compact_stage(name) == stage,
            Design::Paper(_) => paper_stage(name) == stage,
        }
    }

    /// The networks, with random parameters (`tensors` none) or given ones. Networks without given tensors are random.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the tensors do not fit.
    pub fn build(&self, seed: i64, tensors: Option<TensorMap>, target: Target) -> Result<Box<dyn Trainee>> {
        let params = match tensors {
            Some(tensors) => Params::load_some(tensors, seed, target),
            None => Params::init(seed, target),
        };
        Ok(match self {
            Design::Compact(config) => {
                let nets = CompactNets::new(&params, config);
                Box::new(CompactTrainee { nets, weights: params.finish()? })
            }
            Design::Paper(config) => {
                let modules = PaperModules::new(&params, config);
                Box::new(PaperTrainee { modules, weights: params.finish()?, config: config.clone() })
            }
        })
    }
}

/// Factor of the learning rate of a backbone trained on photographs. Chosen; `docs/experiments.md` has the losses with
/// other factors.
const BACKBONE_RATE: f64 = 0.1;
/// The same of the maps that add its features to the image encoder's trunk, which is trained with it. Chosen: from 0
/// on, they disturb the trunk at the full rate. Those of the interaction network, whose backbone is fixed, learn at the
/// full rate.
const JOIN_RATE: f64 = 0.4;

fn compact_stage(name: &str) -> Stage {
    match network(name) {
        "interaction" => Stage::Interaction,
        "quality_head" => Stage::Quality,
        _ => Stage::Memory,
    }
}

fn paper_stage(name: &str) -> Stage {
    match network(name) {
        "interaction" => Stage::Interaction,
        "quality" => Stage::Quality,
        _ => Stage::Memory,
    }
}

/// Networks in training. Shapes are those of [`crate::nn::Networks`].
pub trait Trainee {
    /// Every tensor.
    fn weights(&self) -> &Weights;

    /// Whether the parameter `name` is trained in `stage`.
    fn belongs(&self, name: &str, stage: Stage) -> bool;

    /// Factor of the learning rate of the parameter `name`.
    fn rate(&self, name: &str) -> f64;

    /// Features of slices.
    fn encode_image(&self, slices: &Tensor) -> ImageFeatures;

    /// Keys and values of slices with masks.
    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory>;

    /// Mask logits `[N, 1, H, W]`, f32, and the result with their probabilities.
    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> (Tensor, Segmented);

    /// Logits `[N, 2]`, f32, of presence and of IoU where the target is present; one column, IoU, for networks without
    /// the former.
    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Tensor;

    /// Mask logits `[N, 1, H, W]`, f32: full resolution first, then coarser levels, if any.
    fn interact(&self, kind: InteractionKind, input: &InteractionInput) -> Vec<Tensor>;

    /// Name of the interaction network for `kind`: kinds of one network may share a batch.
    fn interaction_network(&self, kind: InteractionKind) -> String;
}

struct CompactTrainee {
    nets: CompactNets,
    weights: Weights,
}

impl CompactTrainee {
    fn input(&self, t: &Tensor) -> Tensor {
        t.to_kind(self.weights.target().kind)
    }
}

impl Trainee for CompactTrainee {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn belongs(&self, name: &str, stage: Stage) -> bool {
        compact_stage(name) == stage
    }

    fn rate(&self, name: &str) -> f64 {
        match compact_stage(name) {
            Stage::Memory if network(name) == "backbone" => BACKBONE_RATE,
            Stage::Memory if name.contains(".join.") => JOIN_RATE,
            _ => 1.0,
        }
    }

    fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        self.nets.encode_image(&self.input(slices))
    }

    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        self.nets.memorize(features, &self.input(masks))
    }

    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> (Tensor, Segmented) {
        self.nets.segment(features, memory, context)
    }

    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Tensor {
        f32(&self.nets.quality_head.forward(features, segmented, context))
    }

    fn interact(&self, _: InteractionKind, input: &InteractionInput) -> Vec<Tensor> {
        let parts = [&input.slices, &input.previous, &input.positive, &input.negative, &input.boxes];
        vec![f32(&self.nets.interact(&self.input(&Tensor::cat(&parts, 1))))]
    }

    fn interaction_network(&self, _: InteractionKind) -> String {
        "interaction".into()
    }
}

struct PaperTrainee {
    modules: PaperModules,
    weights: Weights,
    config: PaperConfig,
}

impl PaperTrainee {
    fn input(&self, t: &Tensor) -> Tensor {
        t.to_kind(self.weights.target().kind)
    }

    fn normalised(&self, slices: &Tensor) -> Tensor {
        self.input(&normalise(&crate::nn::paper::interaction_net::three_channels(slices)))
    }
}

impl Trainee for PaperTrainee {
    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn belongs(&self, name: &str, stage: Stage) -> bool {
        paper_stage(name) == stage
    }

    fn rate(&self, _: &str) -> f64 {
        1.0
    }

    fn encode_image(&self, slices: &Tensor) -> ImageFeatures {
        self.modules.encode_image(slices, &self.normalised(slices))
    }

    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory> {
        self.modules.memory.memorize(&self.normalised(&features.slices), &self.input(masks))
    }

    fn segment(&self, features: &ImageFeatures, memory: &[Memory], _: &SliceContext) -> (Tensor, Segmented) {
        let query = PaperModules::query(features);
        let readout = self.modules.memory.read(query.key, query.value, memory);
        let logits = f32(&self.modules.memory.decode(&readout, query.f8, query.f4));
        // Softmax over background and foreground is the sigmoid of their difference; sharpening doubles it.
        let logit = logits.narrow(1, 1, 1) - logits.narrow(1, 0, 1);
        let logit = if self.config.memory.soft_aggregation { logit * 2.0 } else { logit };
        let probability = logit.sigmoid();
        (logit, Segmented { probability, readout, guide: None })
    }

    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, _: &SliceContext) -> Tensor {
        let probability = &segmented.probability;
        let input = self.modules.quality_input(features, segmented);
        let head = &self.modules.quality;
        // A head without parameters has no logit; nothing is trained then.
        head.logit(input, probability)
            .unwrap_or_else(|| head.forward(input, probability).clamp(1e-4, 1.0 - 1e-4).logit(None::<f64>))
            .unsqueeze(1)
    }

    fn interact(&self, kind: InteractionKind, input: &InteractionInput) -> Vec<Tensor> {
        let network = &self.modules.interaction[&self.interaction_network(kind)];
        let (features, context) = network.encode(&self.input(&network.layout().join(input)));
        let levels = network.coarse(&context, &features);
        let mut logits = vec![network.fine_logits(&levels)];
        logits.extend(network.coarse_logits(&levels));
        logits
    }

    fn interaction_network(&self, kind: InteractionKind) -> String {
        self.config.interactions[&kind].clone()
    }
}
