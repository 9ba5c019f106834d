//! Import of the published checkpoints: the space-time-memory network (with or without the authors' quality head) and
//! the coarse-to-fine interaction network, as PyTorch state dicts. [`NAMES`] maps their names to those of preset
//! `paper`; a prefix `module.` (from `DataParallel`) is ignored.

use crate::error::{Error, Result};
use crate::nn::networks::{InteractionKind, ModelInfo};
use crate::nn::paper::interaction_net::InputLayout;
use crate::nn::paper::memory_net::MemoryNetConfig;
use crate::nn::paper::quality_head::QualityKind;
use crate::nn::paper::{PaperConfig, PaperModules};
use crate::nn::params::{Params, Target, TensorMap};
use std::collections::{BTreeMap, BTreeSet};
use tch::Tensor;

/// Prefixes of published names and their replacements; the first match is taken. `*` matches a number, which is kept.
/// Names of the interaction network are relative to `interaction.<name>.`.
pub const NAMES: &[(&str, &str)] = &[
    // space-time-memory network
    ("Encoder_M.conv1.", "memory.memory_encoder.trunk.conv1."),
    ("Encoder_M.bn1.", "memory.memory_encoder.trunk.bn1."),
    ("Encoder_M.res2.", "memory.memory_encoder.trunk.layer1."),
    ("Encoder_M.res3.", "memory.memory_encoder.trunk.layer2."),
    ("Encoder_M.res4.", "memory.memory_encoder.trunk.layer3."),
    ("Encoder_Q.conv1.", "memory.query_encoder.trunk.conv1."),
    ("Encoder_Q.bn1.", "memory.query_encoder.trunk.bn1."),
    ("Encoder_Q.res2.", "memory.query_encoder.trunk.layer1."),
    ("Encoder_Q.res3.", "memory.query_encoder.trunk.layer2."),
    ("Encoder_Q.res4.", "memory.query_encoder.trunk.layer3."),
    ("KV_M_r4.Key.", "memory.memory_encoder.key."),
    ("KV_M_r4.Value.", "memory.memory_encoder.value."),
    ("KV_Q_r4.Key.", "memory.query_encoder.key."),
    ("KV_Q_r4.Value.", "memory.query_encoder.value."),
    ("Decoder.layer5.conv.", "memory.decoder.pyramid.pool.conv."),
    ("Decoder.layer5.bn_x.", "memory.decoder.pyramid.pool.norm."),
    ("Decoder.layer5.conv2d_0.", "memory.decoder.pyramid.point.conv."),
    ("Decoder.layer5.bn_0.", "memory.decoder.pyramid.point.norm."),
    ("Decoder.layer5.conv2d_1.", "memory.decoder.pyramid.dilated2.conv."),
    ("Decoder.layer5.bn_1.", "memory.decoder.pyramid.dilated2.norm."),
    ("Decoder.layer5.conv2d_2.", "memory.decoder.pyramid.dilated4.conv."),
    ("Decoder.layer5.bn_2.", "memory.decoder.pyramid.dilated4.norm."),
    ("Decoder.layer5.conv2d_3.", "memory.decoder.pyramid.dilated8.conv."),
    ("Decoder.layer5.bn_3.", "memory.decoder.pyramid.dilated8.norm."),
    ("Decoder.layer5.bottleneck.", "memory.decoder.pyramid.join."),
    ("Decoder.ResMM.", "memory.decoder.block."),
    ("Decoder.RF3.convFS.", "memory.decoder.refine8.skip."),
    ("Decoder.RF3.ResFS.", "memory.decoder.refine8.skip_block."),
    ("Decoder.RF3.ResMM.", "memory.decoder.refine8.joined_block."),
    ("Decoder.RF2.convFS.", "memory.decoder.refine4.skip."),
    ("Decoder.RF2.ResFS.", "memory.decoder.refine4.skip_block."),
    ("Decoder.RF2.ResMM.", "memory.decoder.refine4.joined_block."),
    ("Decoder.pred2.", "memory.decoder.predict."),
    ("conv1.", "quality.conv1."),
    ("res5.", "quality.layer4."),
    ("fc.", "quality.linear1."),
    ("fc2.", "quality.linear2."),
    // coarse-to-fine interaction network
    ("backbone.", "trunk."),
    ("psp4.stages.0.1.", "context.cells1.conv."),
    ("psp4.stages.0.2.", "context.cells1.norm."),
    ("psp4.stages.1.1.", "context.cells2.conv."),
    ("psp4.stages.1.2.", "context.cells2.norm."),
    ("psp4.stages.2.1.", "context.cells3.conv."),
    ("psp4.stages.2.2.", "context.cells3.norm."),
    ("psp4.stages.3.1.", "context.cells6.conv."),
    ("psp4.stages.3.2.", "context.cells6.norm."),
    ("psp4.bottleneck.0.", "context.join.conv."),
    ("psp4.bottleneck.1.", "context.join.norm."),
    ("Coarse_net.laterals.*.0.", "coarse.lateral*.conv."),
    ("Coarse_net.laterals.*.1.", "coarse.lateral*.norm."),
    ("Coarse_net.upsamples.*.1.", "coarse.up*.conv."),
    ("Coarse_net.upsamples.*.2.", "coarse.up*.norm."),
    ("Coarse_net.predict.*.0.", "coarse.logits*.conv."),
    ("Coarse_net.predict.*.1.", "coarse.logits*.norm."),
    ("Coarse_net.predict.*.3.", "coarse.logits*.predict."),
    ("Coarse_net.predict.*.5.", "coarse.logits*.scale."),
    ("Fine_net.cascade.*.", "fine.cascade*."),
    ("Fine_net.final_predict.0.", "fine.join."),
    ("Fine_net.final_predict.1.", "fine.predict."),
    ("Fine_net.final_predict.2.", "fine.scale."),
];

/// Separate kernels of the memory encoder's first layer in the published code: slice, mask, background. Here they are
/// the channels of one kernel, in this order.
const STEM_PARTS: [(&str, i64); 3] =
    [("Encoder_M.conv1.weight", 3), ("Encoder_M.conv1_m.weight", 1), ("Encoder_M.conv1_bg.weight", 1)];

/// Last parts of names that are not imported: constants of the code, and a counter of training.
const CONSTANTS: [&str; 3] = ["mean", "std", "num_batches_tracked"];

/// Prefixes of parameters that the published networks hold but do not use: the two levels of stride 16 are joined
/// without a convolution.
const UNUSED: [&str; 1] = ["Coarse_net.upsamples.0."];

/// Destination of a tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The tensor of this name.
    Tensor(String),
    /// Part of the memory encoder's first kernel; an index into the parts slice, mask, background.
    StemPart(usize),
    /// A constant or counter, not imported.
    Constant,
    /// A parameter that the published network holds but does not use.
    Unused,
    /// No tensor of preset `paper` has a matching name.
    Unknown,
}

/// Destination of the published tensor `name`.
pub fn place(name: &str) -> Place {
    if CONSTANTS.contains(&name.rsplit('.').next().unwrap_or(name)) {
        return Place::Constant;
    }
    if UNUSED.iter().any(|unused| name.starts_with(unused)) {
        return Place::Unused;
    }
    if let Some(part) = STEM_PARTS.iter().position(|(part, _)| *part == name) {
        return Place::StemPart(part);
    }
    NAMES.iter().find_map(|(from, to)| substitute(name, from, to)).map_or(Place::Unknown, Place::Tensor)
}

/// The tensors of a checkpoint that map to one tensor each, renamed.
pub fn rename(checkpoint: TensorMap) -> TensorMap {
    let rename = |(name, tensor): (String, Tensor)| match place(&name) {
        Place::Tensor(ours) => Some((ours, tensor)),
        _ => None,
    };
    checkpoint.into_iter().filter_map(rename).collect()
}

fn substitute(name: &str, from: &str, to: &str) -> Option<String> {
    let Some((before, after)) = from.split_once('*') else {
        return name.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    };
    let rest = name.strip_prefix(before)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = rest.split_at(digits);
    Some(format!("{}{}", to.replacen('*', number, 1), rest.strip_prefix(after)?))
}

/// Network of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Space-time-memory network.
    Memory,
    /// Coarse-to-fine interaction network.
    Interaction,
}

/// Result of importing one checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointReport {
    /// Name of the checkpoint, given by the caller.
    pub source: String,
    /// Its network.
    pub network: Network,
    /// Number of tensors loaded.
    pub n_loaded: usize,
    /// Number of values in them.
    pub n_values: usize,
    /// Names of tensors that are not loaded, with the reason.
    pub not_loaded: Vec<(String, String)>,
}

/// Result of importing all checkpoints.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConvertReport {
    /// One report for each checkpoint.
    pub checkpoints: Vec<CheckpointReport>,
    /// Tensors of the model that are in no checkpoint and are filled with random numbers.
    pub filled: Vec<String>,
    /// Further notes for the user.
    pub notes: Vec<String>,
}

/// Collects checkpoints into a `paper` model.
#[derive(Debug)]
pub struct Importer {
    config: PaperConfig,
    tensors: TensorMap,
    report: ConvertReport,
    has_memory: bool,
}

impl Default for Importer {
    fn default() -> Self {
        let config = PaperConfig {
            memory: MemoryNetConfig::published(),
            interaction_networks: BTreeMap::new(),
            interactions: BTreeMap::new(),
            quality: QualityKind::Certainty,
        };
        Importer { config, tensors: TensorMap::new(), report: ConvertReport::default(), has_memory: false }
    }
}

/// A finished import.
#[derive(Debug)]
pub struct Imported {
    /// Hyper-parameters of the model.
    pub config: PaperConfig,
    /// Every tensor of the model.
    pub tensors: TensorMap,
    /// Tensors that are loaded and not loaded.
    pub report: ConvertReport,
}

impl Imported {
    /// Description of the model.
    pub fn info(&self, name: &str, provenance: &str, licence: &str) -> ModelInfo {
        self.config.info(name, provenance, licence)
    }
}

impl Importer {
    /// Adds the state dict of one checkpoint. An interaction network is for the `kinds`, or for every kind if that is
    /// empty.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the names are of neither network; [`Error::InvalidArgument`] when a second memory
    /// network is given, or a second interaction network for the same kind.
    pub fn add(&mut self, source: &str, checkpoint: TensorMap, kinds: &[InteractionKind]) -> Result<()> {
        let checkpoint: TensorMap = checkpoint
            .into_iter()
            .map(|(name, t)| (name.strip_prefix("module.").map(str::to_string).unwrap_or(name), t))
            .collect();
        let has = |prefix: &str| checkpoint.keys().any(|name| name.starts_with(prefix));
        let network = if has("Encoder_Q.") {
            Network::Memory
        } else if has("backbone.") {
            Network::Interaction
        } else {
            let names: Vec<&str> = checkpoint.keys().take(3).map(String::as_str).collect();
            return Err(Error::BadModel(format!(
                "{source}: neither a published memory network (names begin with Encoder_Q.) nor an interaction network \
                 (backbone.); its names are {}",
                if names.is_empty() { "none".to_string() } else { format!("{}, ...", names.join(", ")) }
            )));
        };
        let prefix = match network {
            Network::Memory => self.start_memory(source, &checkpoint)?,
            Network::Interaction => self.start_interaction(source, &checkpoint, kinds)?,
        };
        let mut report =
            CheckpointReport { source: source.into(), network, n_loaded: 0, n_values: 0, not_loaded: vec![] };
        let mut stem: [Option<Tensor>; 3] = [None, None, None];
        for (name, tensor) in checkpoint {
            let reason = match place(&name) {
                Place::Tensor(ours) => {
                    report.n_loaded += 1;
                    report.n_values += tensor.numel();
                    self.tensors.insert(format!("{prefix}{ours}"), tensor);
                    continue;
                }
                Place::StemPart(part) => {
                    report.n_loaded += 1;
                    report.n_values += tensor.numel();
                    stem[part] = Some(tensor);
                    continue;
                }
                Place::Constant => "a constant of the published code".into(),
                Place::Unused => "the published network does not use it".into(),
                Place::Unknown => "no tensor of preset paper has a matching name".into(),
            };
            report.not_loaded.push((name, reason));
        }
        if network == Network::Memory {
            self.join_stem(stem)?;
        }
        self.report.checkpoints.push(report);
        Ok(())
    }

    fn start_memory(&mut self, source: &str, checkpoint: &TensorMap) -> Result<String> {
        if std::mem::replace(&mut self.has_memory, true) {
            return Err(Error::argument(format!("{source}: a second memory network; give one")));
        }
        if checkpoint.contains_key("fc2.weight") {
            self.config.quality = QualityKind::Published;
        } else {
            self.report.notes.push(
                "the checkpoint has no quality head; the quality is the expected IoU of the probabilities".into(),
            );
        }
        Ok(String::new())
    }

    fn start_interaction(&mut self, source: &str, checkpoint: &TensorMap, kinds: &[InteractionKind]) -> Result<String> {
        const ALL: [(InteractionKind, &str); 4] = [
            (InteractionKind::Scribble, "scribble"),
            (InteractionKind::Box, "box"),
            (InteractionKind::ExtremePoints, "extreme_points"),
            (InteractionKind::Click, "click"),
        ];
        let wanted: Vec<_> = ALL.into_iter().filter(|(k, _)| kinds.is_empty() || kinds.contains(k)).collect();
        let name = if kinds.is_empty() {
            "all".to_string()
        } else {
            wanted.iter().map(|(_, name)| *name).collect::<Vec<_>>().join("_")
        };
        for (kind, _) in wanted {
            if let Some(other) = self.config.interactions.insert(kind, name.clone()) {
                return Err(Error::argument(format!(
                    "{source}: {kind:?} is answered by the interaction network {other:?} already; \
                     say which kinds of interaction each network is for"
                )));
            }
        }
        let channels = checkpoint.get("backbone.conv1.weight").map_or(5, |t| t.size().get(1).copied().unwrap_or(0));
        let layout = match channels {
            4 => InputLayout::OneMap,
            6 => InputLayout::Paper,
            _ => InputLayout::TwoMaps,
        };
        self.config.interaction_networks.insert(name.clone(), layout);
        Ok(format!("interaction.{name}."))
    }

    fn join_stem(&mut self, mut parts: [Option<Tensor>; 3]) -> Result<()> {
        if parts.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut kernels = Vec::new();
        for (part, (name, channels)) in parts.iter_mut().zip(STEM_PARTS) {
            let shape = [64, channels, 7, 7];
            kernels.push(match part.take() {
                Some(t) if t.size() == shape => t.to_kind(tch::Kind::Float),
                Some(t) => {
                    return Err(Error::BadModel(format!("tensor {name} is {:?}, must be {shape:?}", t.size())));
                }
                None => {
                    self.report.notes.push(format!("the checkpoint has no {name}; that input was given zero weights"));
                    Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu))
                }
            });
        }
        self.tensors.insert("memory.memory_encoder.trunk.conv1.weight".into(), Tensor::cat(&kernels, 1));
        Ok(())
    }

    /// Builds the model. Tensors that are in no checkpoint are an error, or random with the seed `fill`.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming every missing and misshapen tensor and those with values that are not finite;
    /// [`Error::InvalidArgument`] when no checkpoint was added.
    pub fn finish(mut self, fill: Option<i64>) -> Result<Imported> {
        if self.report.checkpoints.is_empty() {
            return Err(Error::argument("no checkpoint was given"));
        }
        if let Some(seed) = fill {
            let drawn = Params::init(seed, Target { inference: false, ..Target::default() });
            let _ = PaperModules::new(&drawn, &self.config);
            let have: BTreeSet<String> = self.tensors.keys().cloned().collect();
            for (name, tensor) in drawn.finish()?.tensors() {
                if !have.contains(name) {
                    self.tensors.insert(name.clone(), tensor.shallow_clone());
                    self.report.filled.push(name.clone());
                }
            }
        }
        if self.config.interactions.is_empty() {
            self.report.notes.push(
                "no interaction network was given: the model propagates masks, but answers no interaction".into(),
            );
        }
        // The construction checks every name, shape and value.
        let params = Params::load(self.tensors, Target { inference: false, ..Target::default() });
        let _ = PaperModules::new(&params, &self.config);
        let weights = params.finish()?;
        let tensors = weights.tensors().iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
        Ok(Imported { config: self.config, tensors, report: self.report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn names_with_and_without_numbers() {
        let ours = |name: &str| match place(name) {
            Place::Tensor(name) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(ours("Encoder_Q.res3.0.downsample.1.bias"), "memory.query_encoder.trunk.layer2.0.downsample.1.bias");
        assert_eq!(ours("Coarse_net.predict.3.5.running_var"), "coarse.logits3.scale.running_var");
        assert_eq!(ours("Fine_net.cascade.1.0.conv2.weight"), "fine.cascade1.0.conv2.weight");
        assert_eq!(ours("fc2.bias"), "quality.linear2.bias");
        assert_eq!(place("Encoder_M.conv1_m.weight"), Place::StemPart(1));
        assert_eq!(place("Encoder_M.bn1.num_batches_tracked"), Place::Constant);
        assert_eq!(place("Encoder_M.mean"), Place::Constant);
        assert_eq!(place("Decoder.convFM.weight"), Place::Unknown);
        assert_eq!(place("Coarse_net.predict.x.5.bias"), Place::Unknown);
    }

    fn scalar(name: &str) -> (String, Tensor) {
        (name.to_string(), Tensor::ones([1], (Kind::Float, Device::Cpu)))
    }

    #[test]
    fn checkpoints_are_distinguished_and_given_once() {
        let mut importer = Importer::default();
        let text = importer.add("x.pth", [scalar("foo.bar")].into(), &[]).unwrap_err().to_string();
        assert!(text.contains("x.pth") && text.contains("foo.bar"), "{text}");
        assert!(matches!(Importer::default().finish(None), Err(Error::InvalidArgument(_))));
        let memory = || [scalar("module.Encoder_Q.bn1.bias"), scalar("module.Decoder.convFM.weight")].into();
        importer.add("stm.pth", memory(), &[]).unwrap();
        assert!(matches!(importer.add("stm.pth", memory(), &[]), Err(Error::InvalidArgument(_))));
        let report = &importer.report.checkpoints[0];
        assert_eq!((report.network, report.n_loaded), (Network::Memory, 1));
        assert_eq!(report.not_loaded[0].0, "Decoder.convFM.weight");
        importer.add("iog.pth", [scalar("backbone.bn1.bias")].into(), &[InteractionKind::Box]).unwrap();
        assert!(importer.add("iog.pth", [scalar("backbone.bn1.bias")].into(), &[]).is_err());
        // Nearly everything is missing, and the one tensor of each network has the wrong shape.
        let text = importer.finish(None).unwrap_err().to_string();
        for part in
            ["memory.decoder.predict.weight [2, 256, 3, 3]", "interaction.box.trunk.bn1.bias is [1], must be [64]"]
        {
            assert!(text.contains(part), "{part:?} not in {text:?}");
        }
    }
}
