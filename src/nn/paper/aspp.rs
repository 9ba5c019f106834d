//! Atrous spatial pyramid pooling: the readout at several scales (Mem3D §2.2).
//!
//! | branch | contents | paper | published code |
//! |---|---|---|---|
//! | `pool` | mean over the map, 1x1 convolution | | yes |
//! | `point` | 1x1 convolution | | yes |
//! | `dilated` | 3x3 convolutions with dilation 2, 4 and 8 | yes | yes |
//!
//! | tensor | shape |
//! |---|---|
//! | input | `[N, C, h, w]` |
//! | each branch, with batch norm and ReLU | `[N, 256, h, w]` |
//! | output: 3x3 convolution over all branches | `[N, 256, h, w]` |

use crate::nn::layers::{Conv, ConvBn, ConvOptions, size2};
use crate::nn::params::{Init, Params};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Channels of every branch and of the output, as published.
pub const CHANNELS: i64 = 256;

/// Dilations of the 3x3 branches, as published.
const DILATIONS: [i64; 3] = [2, 4, 8];

/// Branches of a pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branches {
    /// The three dilated ones, as in the paper.
    Dilated,
    /// All five, as published.
    All,
}

/// The pyramid.
#[derive(Debug)]
pub struct Aspp {
    pool: Option<ConvBn>,
    point: Option<ConvBn>,
    dilated: Vec<ConvBn>,
    join: Conv,
}

impl Aspp {
    /// The pyramid at `params` for `inputs` channels.
    pub fn new(params: &Params, inputs: i64, branches: Branches) -> Self {
        let branch = |name: String, kernel, dilation| {
            let options = ConvOptions::new(inputs, CHANNELS, kernel).dilation(dilation);
            ConvBn::new(&params.sub(name), "conv", "norm", options)
        };
        let all = branches == Branches::All;
        let n_branches = if all { 5 } else { 3 };
        Aspp {
            pool: all.then(|| branch("pool".into(), 1, 1)),
            point: all.then(|| branch("point".into(), 1, 1)),
            dilated: DILATIONS.iter().map(|&d| branch(format!("dilated{d}"), 3, d)).collect(),
            join: Conv::new(
                &params.sub("join"),
                ConvOptions::new(n_branches * CHANNELS, CHANNELS, 3).init(Init::Lecun),
            ),
        }
    }

    /// # Shapes
    /// `x`: `[N, C, h, w]` / `[N, 256, h, w]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let [h, w] = size2(x);
        let mut maps = Vec::with_capacity(5);
        if let Some(pool) = &self.pool {
            let mean = x.mean_dim([2, 3].as_slice(), true, x.kind());
            maps.push(pool.forward(&mean).relu_().expand([-1, -1, h, w], false));
        }
        maps.extend(self.point.iter().chain(&self.dilated).map(|branch| branch.forward(x).relu_()));
        self.join.forward(&Tensor::cat(&maps, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::{Device, Kind};

    #[test]
    fn both_variants_keep_the_size() {
        let x = Tensor::rand([2, 8, 5, 7], (Kind::Float, Device::Cpu));
        for (branches, expected) in [(Branches::Dilated, 3 * CHANNELS), (Branches::All, 5 * CHANNELS)] {
            let params = Params::init(1, Target { inference: false, ..Target::default() });
            assert_eq!(Aspp::new(&params, 8, branches).forward(&x).size(), [2, CHANNELS, 5, 7]);
            assert_eq!(params.finish().unwrap().tensors()["join.weight"].size()[1], expected);
        }
    }

    #[test]
    fn only_the_pooling_branch_covers_the_whole_map() {
        // 40 columns: the far end lies outside the receptive field of dilation 8 and the 3x3 convolution after it.
        let x = Tensor::zeros([1, 2, 1, 40], (Kind::Float, Device::Cpu));
        let changed = x.copy();
        let _ = changed.narrow(3, 39, 1).fill_(10.0);
        for (branches, expected) in [(Branches::Dilated, false), (Branches::All, true)] {
            let aspp = Aspp::new(&Params::init(1, Target::default()), 2, branches);
            let first = |x: &Tensor| aspp.forward(x).narrow(3, 0, 1);
            assert_eq!(!first(&x).allclose(&first(&changed), 0.0, 1e-6, false), expected);
        }
    }
}
