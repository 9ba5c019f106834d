//! The memory network of preset `paper` (Mem3D §2.2): memorizes slices with masks, segments query slices.
//!
//! | part | input | output |
//! |---|---|---|
//! | [`QueryEncoder`] | slice, normalised, `[N, 3, H, W]` | key, value, `f4`, `f8` |
//! | [`MemoryEncoder`] | slice, mask `[N, 1, H, W]` | memory keys `[P, CK]`, values `[P, CV]`, P = H/16 * W/16 |
//! | [`MemoryRead`] | query key, memory | `[N, CV, H/16, W/16]` |
//! | [`Decoder`] | readout joined with the query value, `f8`, `f4` | logits `[N, 2, H, W]` |

use super::aspp::Branches;
use super::decoder::Decoder;
use super::memory_encoder::MemoryEncoder;
use super::memory_read::{MemoryRead, Similarity};
use super::query_encoder::{Query, QueryEncoder};
use crate::nn::networks::{Memory, Segmented};
use crate::nn::params::Params;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Hyper-parameters of the memory network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryNetConfig {
    /// CK. Default 128 (paper §2.2: an eighth of 1024).
    pub key_channels: i64,
    /// CV. Default 512 (paper §2.2: half of 1024).
    pub value_channels: i64,
    /// Default: cosine (eq. 4); published weights need the scaled dot product.
    pub similarity: Similarity,
    /// Number of memory positions that each query position reads. Default: all.
    pub top_k: Option<i64>,
    /// Default: the paper's three branches; published weights have five.
    pub branches: Branches,
    /// Whether probabilities are sharpened to p^2 / (p^2 + (1 - p)^2), as the published code does. Default false.
    pub soft_aggregation: bool,
}

impl Default for MemoryNetConfig {
    fn default() -> Self {
        MemoryNetConfig {
            key_channels: 128,
            value_channels: 512,
            similarity: Similarity::Cosine,
            top_k: None,
            branches: Branches::Dilated,
            soft_aggregation: false,
        }
    }
}

impl MemoryNetConfig {
    /// Hyper-parameters of the published checkpoints.
    pub fn published() -> Self {
        MemoryNetConfig {
            similarity: Similarity::ScaledDot,
            branches: Branches::All,
            soft_aggregation: true,
            ..Self::default()
        }
    }
}

/// The memory network.
#[derive(Debug)]
pub struct MemoryNet {
    query_encoder: QueryEncoder,
    memory_encoder: MemoryEncoder,
    read: MemoryRead,
    decoder: Decoder,
    soft_aggregation: bool,
}

impl MemoryNet {
    /// The network at `params`.
    pub fn new(params: &Params, config: &MemoryNetConfig) -> Self {
        let (ck, cv) = (config.key_channels, config.value_channels);
        MemoryNet {
            query_encoder: QueryEncoder::new(&params.sub("query_encoder"), ck, cv),
            memory_encoder: MemoryEncoder::new(&params.sub("memory_encoder"), ck, cv),
            read: MemoryRead::new(&params.sub("memory_read"), config.similarity, config.top_k),
            decoder: Decoder::new(&params.sub("decoder"), 2 * cv, config.branches),
            soft_aggregation: config.soft_aggregation,
        }
    }

    /// # Shapes
    /// `slices`: `[N, 3, H, W]`, normalised / see [`Query`].
    pub fn encode(&self, slices: &Tensor) -> Query {
        self.query_encoder.forward(slices)
    }

    /// # Shapes
    /// `slices`: `[N, 3, H, W]`, normalised; `masks`: `[N, 1, H, W]`, 0..1 / N memories.
    pub fn memorize(&self, slices: &Tensor, masks: &Tensor) -> Vec<Memory> {
        let memorized = self.memory_encoder.forward(slices, masks);
        let positions = |map: &Tensor, n: i64| map.get(n).flatten(1, 2).transpose(0, 1).contiguous();
        (0..slices.size()[0])
            .map(|n| Memory::new(positions(&memorized.key, n), positions(&memorized.value, n)))
            .collect()
    }

    /// # Shapes
    /// `key`, `value`: `[N, CK, h, w]`, `[N, CV, h, w]`; `memory`: N entries / readout `[N, 2 * CV, h, w]`.
    pub fn read(&self, key: &Tensor, value: &Tensor, memory: &[Memory]) -> Tensor {
        Tensor::cat(&[self.read.forward(key, memory), value.shallow_clone()], 1)
    }

    /// # Shapes
    /// As [`Decoder::forward`].
    pub fn decode(&self, readout: &Tensor, f8: &Tensor, f4: &Tensor) -> Tensor {
        self.decoder.forward(readout, f8, f4)
    }

    /// # Shapes
    /// `query`: of N slices; `memory`: N entries / see [`Segmented`].
    pub fn segment(&self, query: QueryView, memory: &[Memory]) -> Segmented {
        // Eq. 4-6, then eq. 7.
        let readout = self.read(query.key, query.value, memory);
        let logits = self.decode(&readout, query.f8, query.f4);
        let probability = logits.softmax(1, Kind::Float).narrow(1, 1, 1);
        let probability = if self.soft_aggregation { aggregate(&probability) } else { probability };
        Segmented { probability, readout, guide: None }
    }
}

/// The parts of a [`Query`] that segmenting needs.
#[derive(Debug, Clone, Copy)]
pub struct QueryView<'a> {
    /// `[N, CK, H / 16, W / 16]`.
    pub key: &'a Tensor,
    /// `[N, CV, H / 16, W / 16]`.
    pub value: &'a Tensor,
    /// `[N, 512, H / 8, W / 8]`.
    pub f8: &'a Tensor,
    /// `[N, 256, H / 4, W / 4]`.
    pub f4: &'a Tensor,
}

/// Soft aggregation of space-time-memory networks, for one object and its background: softmax over the logits of p and
/// 1 - p.
///
/// # Shapes
/// `probability`: any, 0..1 / the same.
pub fn aggregate(probability: &Tensor) -> Tensor {
    let foreground = probability.clamp(1e-7, 1.0 - 1e-7);
    let background: Tensor = 1.0 - &foreground;
    let (f, b) = (foreground.square(), background.square());
    &f / (&f + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::Device;

    #[test]
    fn soft_aggregation_sharpens() {
        let p = Tensor::from_slice(&[0.0f32, 0.2, 0.5, 0.8, 1.0]);
        let sharp = Vec::<f32>::try_from(aggregate(&p)).unwrap();
        for (a, b) in sharp.iter().zip([0.0, 0.04 / 0.68, 0.5, 0.64 / 0.68, 1.0]) {
            assert!((a - b).abs() < 1e-6, "{sharp:?}");
        }
    }

    #[test]
    fn memorize_then_segment() {
        let config = MemoryNetConfig { key_channels: 8, value_channels: 16, ..MemoryNetConfig::default() };
        let net = MemoryNet::new(&Params::init(1, Target::default()), &config);
        let slices = Tensor::rand([2, 3, 32, 48], (Kind::Float, Device::Cpu));
        let masks = Tensor::zeros([2, 1, 32, 48], (Kind::Float, Device::Cpu));
        let memory = net.memorize(&slices, &masks);
        assert_eq!((memory[1].keys.size(), memory[1].values.size()), (vec![6, 8], vec![6, 16]));
        let Query { key, value, features } = net.encode(&slices);
        let view = QueryView { key: &key, value: &value, f8: &features.f8, f4: &features.f4 };
        let segmented = net.segment(view, &memory);
        assert_eq!((segmented.probability.size(), segmented.readout.size()), (vec![2, 1, 32, 48], vec![2, 32, 2, 3]));
        let p = &segmented.probability;
        assert!(p.min().double_value(&[]) >= 0.0 && p.max().double_value(&[]) <= 1.0);
    }
}
