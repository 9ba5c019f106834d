//! Memory read: values of the memorized slices for each position of the query slice (Mem3D §2.2, eq. 4-6).
//!
//! | tensor | shape |
//! |---|---|
//! | query key | `[N, CK, h, w]` |
//! | memory keys, values | `[M, CK]`, `[M, CV]` with M = T * P memory positions |
//! | affinity | `[h * w, M]`: similarity of every query position with every memory position, softmax over M |
//! | readout | `[N, CV, h, w]`: the values, weighted by the affinity |

use crate::nn::layers::f32;
use crate::nn::networks::Memory;
use crate::nn::params::{Init, Params};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Similarity of a query key q and a memory key k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    /// Eq. 4: cos(q, k) over a learnt temperature, without which thousands of positions have almost equal weights.
    Cosine,
    /// q . k / sqrt(CK), as the published code computes it.
    ScaledDot,
    /// -|q - k|^2 / sqrt(CK): position-wise nearest keys (STCN).
    NegativeSquaredL2,
}

/// 1 / temperature of the cosine similarity before training: weights differ by factors up to e^40. Chosen.
const INVERSE_TEMPERATURE: f64 = 20.0;

/// Largest number of affinities held at once, 16 MB: query positions are read in blocks of this size over M. Chosen.
const BLOCK: i64 = 1 << 22;

/// The memory read.
#[derive(Debug)]
pub struct MemoryRead {
    similarity: Similarity,
    top_k: Option<i64>,
    inverse_temperature: Option<Tensor>,
}

impl MemoryRead {
    /// The read at `params`; only the cosine has a parameter. With `top_k`, a query position reads its most similar
    /// memory positions alone.
    pub fn new(params: &Params, similarity: Similarity, top_k: Option<i64>) -> Self {
        let inverse_temperature = (similarity == Similarity::Cosine)
            .then(|| params.get("inverse_temperature", &[1], Init::Constant(INVERSE_TEMPERATURE)));
        MemoryRead { similarity, top_k, inverse_temperature }
    }

    /// Reads `memory[n]` for query slice n.
    ///
    /// # Shapes
    /// `key`: `[N, CK, h, w]`; `memory`: N entries / `[N, CV, h, w]`.
    pub fn forward(&self, key: &Tensor, memory: &[Memory]) -> Tensor {
        let (n, c, h, w) = key.size4().expect("a key map");
        let queries = key.permute([0, 2, 3, 1]).reshape([n, h * w, c]);
        let read = |(i, memory): (usize, &Memory)| self.read(&queries.get(i as i64), memory);
        let readouts: Vec<Tensor> = memory.iter().enumerate().map(read).collect();
        Tensor::stack(&readouts, 0).reshape([n, h, w, -1]).permute([0, 3, 1, 2])
    }

    /// # Shapes
    /// `queries`: `[Q, CK]`; memory: `[M, CK]`, `[M, CV]` / `[Q, CV]`.
    fn read(&self, queries: &Tensor, memory: &Memory) -> Tensor {
        let channels = queries.size()[1] as f64;
        let (keys, penalty) = match self.similarity {
            Similarity::ScaledDot => (&memory.keys / channels.sqrt(), None),
            Similarity::Cosine => (unit(&memory.keys), None),
            // |q|^2 is the same for all memory positions and drops out in the softmax.
            Similarity::NegativeSquaredL2 => {
                let norm = f32(&memory.keys).square().sum_dim_intlist(-1, false, Kind::Float);
                (&memory.keys * (2.0 / channels.sqrt()), Some(norm / channels.sqrt()))
            }
        };
        let keys = keys.transpose(0, 1);
        let queries = match &self.inverse_temperature {
            Some(scale) => unit(queries) * scale,
            None => queries.shallow_clone(),
        };
        let block = (BLOCK / memory.keys.size()[0].max(1)).max(1);
        let rows: Vec<Tensor> = queries
            .split(block, 0)
            .iter()
            .map(|queries| {
                let logits = f32(&queries.matmul(&keys));
                let logits = match &penalty {
                    Some(penalty) => logits - penalty,
                    None => logits,
                };
                self.weights(&logits).to_kind(memory.values.kind()).matmul(&memory.values)
            })
            .collect();
        if rows.len() == 1 { rows[0].shallow_clone() } else { Tensor::cat(&rows, 0) }
    }

    /// # Shapes
    /// `logits`: `[Q, M]`, f32 / the same; rows sum to 1.
    fn weights(&self, logits: &Tensor) -> Tensor {
        match self.top_k {
            Some(k) if k < logits.size()[1] => {
                let (best, index) = logits.topk(k, -1, true, false);
                logits.zeros_like().scatter(-1, &index, &best.softmax(-1, Kind::Float))
            }
            _ => logits.softmax(-1, Kind::Float),
        }
    }
}

/// Rows of length 1.
fn unit(rows: &Tensor) -> Tensor {
    let length = f32(rows).square().sum_dim_intlist(-1, true, Kind::Float).sqrt().clamp_min(1e-6);
    (f32(rows) / length).to_kind(rows.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{Target, TensorMap};
    use tch::Device;

    /// One query position (1, 0) and memory keys (1, 0), (0, 2), (-1, 0) with values 1, 2, 4.
    fn read(similarity: Similarity, top_k: Option<i64>, n_memory: i64) -> f64 {
        let map: TensorMap = match similarity {
            Similarity::Cosine => [("inverse_temperature".to_string(), Tensor::from_slice(&[2.0f32]))].into(),
            _ => TensorMap::new(),
        };
        let params = Params::load(map, Target::default());
        let read = MemoryRead::new(&params, similarity, top_k);
        params.finish().unwrap();
        let memory = Memory::new(
            Tensor::from_slice(&[1.0f32, 0.0, 0.0, 2.0, -1.0, 0.0]).reshape([3, 2]).narrow(0, 0, n_memory),
            Tensor::from_slice(&[1.0f32, 2.0, 4.0]).reshape([3, 1]).narrow(0, 0, n_memory),
        );
        let key = Tensor::from_slice(&[1.0f32, 0.0]).reshape([1, 2, 1, 1]);
        let readout = read.forward(&key, &[memory]);
        assert_eq!(readout.size(), [1, 1, 1, 1]);
        readout.double_value(&[0, 0, 0, 0])
    }

    fn assert_close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn two_memory_positions_by_hand() {
        let two = |a: f64, b: f64| (a.exp() + 2.0 * b.exp()) / (a.exp() + b.exp());
        // q.k = 1 and 0, over sqrt 2
        assert_close(read(Similarity::ScaledDot, None, 2), two(0.5f64.sqrt(), 0.0));
        // cosines 1 and 0, times 2
        assert_close(read(Similarity::Cosine, None, 2), two(2.0, 0.0));
        // distances squared 0 and 5, over sqrt 2
        assert_close(read(Similarity::NegativeSquaredL2, None, 2), two(0.0, -5.0 / 2.0f64.sqrt()));
    }

    #[test]
    fn only_the_most_similar_positions_are_read() {
        assert_close(read(Similarity::NegativeSquaredL2, Some(1), 3), 1.0);
        // distances squared 0, 5, 4: the first and the third are the nearest
        let far = (-4.0 / 2.0f64.sqrt()).exp();
        assert_close(read(Similarity::NegativeSquaredL2, Some(2), 3), (1.0 + 4.0 * far) / (1.0 + far));
        // a memory smaller than k is read whole
        assert_close(read(Similarity::ScaledDot, Some(9), 2), read(Similarity::ScaledDot, None, 2));
    }

    #[test]
    fn each_query_slice_reads_its_own_memory_in_blocks() {
        let params = Params::init(1, Target::default());
        let (n, p) = (2, 3000);
        let key = params.get("key", &[n, 4, 40, 50], Init::Normal(1.0));
        let random =
            |name: &str, i: i64, channels: i64| params.get(&format!("{name}{i}"), &[p, channels], Init::Normal(1.0));
        let memory = |i: i64| Memory::new(random("k", i, 4), random("v", i, 3));
        let readout = MemoryRead::new(&params, Similarity::ScaledDot, None).forward(&key, &[memory(0), memory(1)]);
        let (row, col) = (39, 7);
        let q = key.get(1).select(1, row).select(1, col);
        let whole = (memory(1).keys.matmul(&q) / 2.0).softmax(0, Kind::Float).matmul(&memory(1).values);
        let difference = (readout.get(1).select(1, row).select(1, col) - whole).abs().max().double_value(&[]);
        assert!(difference < 1e-6 && Device::Cpu == readout.device(), "{difference}");
    }
}
