//! Quality head: estimated IoU of a mask (Mem3D §2.3, eq. 8).
//!
//! [`QualityHead::Convolutional`], the paper's: features F_k and segmentation S_k, three 3x3 convolutions, three fully
//! connected layers.
//!
//! | tensor | shape |
//! |---|---|
//! | F_k: memory readout, query value | `[N, C, h, w]` |
//! | S_k: share of the mask, mean certainty | `[N, 2, h, w]` |
//! | three convolutions, the last two of stride 2 | `[N, 256, h, w]`, `[N, 256, h/2, w/2]`, `[N, 256, h/4, w/4]` |
//! | mean over a 4x4 grid | `[N, 256, 4, 4]` |
//! | three fully connected layers, sigmoid | `[N, 512]`, `[N, 128]`, `[N]` |
//!
//! [`QualityHead::Published`], of the authors' code: its input is the query image's `f16` instead of F_k.
//!
//! | tensor | shape |
//! |---|---|
//! | `f16`, mask, certainty | `[N, 1026, h, w]` |
//! | 3x3 convolution, last stage of ResNet-50 | `[N, 1024, h, w]`, `[N, 2048, h/2, w/2]` |
//! | mean, two fully connected layers, sigmoid | `[N, 2048]`, `[N, 1000]`, `[N]` |
//!
//! [`QualityHead::Certainty`] has no parameters, for models without a trained head: the expected IoU if the
//! probabilities are calibrated.

use super::resnet::Stage;
use crate::nn::layers::{Conv, ConvOptions, Linear, f32, resize, size2};
use crate::nn::params::Params;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Kind of quality head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityKind {
    /// See [`QualityHead::Convolutional`].
    Convolutional,
    /// See [`QualityHead::Published`].
    Published,
    /// See [`QualityHead::Certainty`].
    Certainty,
}

/// Channels of the convolutions. Chosen: the paper states no number.
const WIDTH: i64 = 256;

/// Side of the grid over which the last feature map is averaged, so that any input size is accepted. Chosen.
const GRID: i64 = 4;

/// A quality head.
#[derive(Debug)]
pub enum QualityHead {
    /// The paper's.
    Convolutional {
        /// Three.
        convs: [Conv; 3],
        /// Three.
        linears: [Linear; 3],
    },
    /// The authors' code's.
    Published {
        /// Joins features and mask.
        join: Conv,
        /// Last stage of a ResNet-50.
        stage: Box<Stage>,
        /// Two.
        linears: [Linear; 2],
    },
    /// Expected IoU.
    Certainty,
}

impl QualityHead {
    /// The head at `params`; `features` is C.
    pub fn new(params: &Params, kind: QualityKind, features: i64) -> Self {
        let conv = |name: &str, inputs, stride| {
            Conv::new(&params.sub(name), ConvOptions::new(inputs, WIDTH, 3).stride(stride))
        };
        let linear = |name: &str, inputs, outputs| Linear::new(&params.sub(name), inputs, outputs);
        match kind {
            QualityKind::Convolutional => QualityHead::Convolutional {
                convs: [conv("conv1", features + 2, 1), conv("conv2", WIDTH, 2), conv("conv3", WIDTH, 2)],
                linears: [
                    linear("linear1", WIDTH * GRID * GRID, 512),
                    linear("linear2", 512, 128),
                    linear("linear3", 128, 1),
                ],
            },
            QualityKind::Published => QualityHead::Published {
                join: Conv::new(&params.sub("conv1"), ConvOptions::new(1026, 1024, 3).no_bias()),
                stage: Box::new(Stage::new(&params.sub("layer4"), 1024, 512, 2, &[1; 3])),
                linears: [linear("linear1", 2048, 1000), linear("linear2", 1000, 1)],
            },
            QualityKind::Certainty => QualityHead::Certainty,
        }
    }

    /// Whether the head reads the query's `f16` instead of the readout.
    pub fn wants_f16(&self) -> bool {
        matches!(self, QualityHead::Published { .. })
    }

    /// # Shapes
    /// `features`: `[N, C, h, w]` (readout, or `f16`); `probability`: `[N, 1, H, W]` / quality `[N]`, f32, 0..1.
    pub fn forward(&self, features: &Tensor, probability: &Tensor) -> Tensor {
        match self.logit(features, probability) {
            Some(logit) => logit.sigmoid(),
            None => expected_iou(probability, &probability.gt(0.5).to_kind(Kind::Float)),
        }
    }

    /// The logit of the quality, for training; none for [`QualityHead::Certainty`], which has no parameters.
    ///
    /// # Shapes
    /// As [`QualityHead::forward`].
    pub fn logit(&self, features: &Tensor, probability: &Tensor) -> Option<Tensor> {
        let mask = probability.gt(0.5).to_kind(Kind::Float);
        let certainty = probability.maximum(&(1.0 - probability));
        let kind = features.kind();
        let logit = match self {
            QualityHead::Convolutional { convs, linears } => {
                let segmentation = Tensor::cat(&[mask, certainty], 1).adaptive_avg_pool2d(size2(features));
                let x = Tensor::cat(&[features.shallow_clone(), segmentation.to_kind(kind)], 1);
                let x = convs.iter().fold(x, |x, conv| conv.forward(&x).relu_());
                let x = x.adaptive_avg_pool2d([GRID; 2]).flatten(1, -1);
                let x = linears[1].forward(&linears[0].forward(&x).relu_()).relu_();
                linears[2].forward(&x)
            }
            QualityHead::Published { join, stage, linears } => {
                let segmentation = resize(&Tensor::cat(&[mask, certainty], 1), size2(features)).to_kind(kind);
                let x = join.forward(&Tensor::cat(&[features.shallow_clone(), segmentation], 1));
                let x = stage.forward(&x).mean_dim([2, 3].as_slice(), false, kind);
                linears[1].forward(&linears[0].forward(&x).relu_())
            }
            QualityHead::Certainty => return None,
        };
        Some(f32(&logit).flatten(0, -1))
    }
}

/// Expected overlap over expected union of the mask with a truth whose pixels are foreground with their probabilities.
/// The quality of an empty mask is 1 - largest probability.
///
/// # Shapes
/// `probability`, `mask`: `[N, 1, H, W]` / `[N]`.
fn expected_iou(probability: &Tensor, mask: &Tensor) -> Tensor {
    let p = f32(probability);
    let sum = |x: Tensor| x.sum_dim_intlist([1, 2, 3].as_slice(), false, Kind::Float);
    let (overlap, union) = (sum(p.minimum(mask)), sum(p.maximum(mask)));
    let empty: Tensor = 1.0 - p.amax([1, 2, 3], false);
    let nothing = sum(mask.shallow_clone()).eq(0.0);
    empty.where_self(&nothing, &(overlap / union.clamp_min(1e-6)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::Device;

    #[test]
    fn heads_accept_any_size_and_return_one_number_per_slice() {
        for (kind, channels) in [(QualityKind::Convolutional, 6), (QualityKind::Published, 1024)] {
            let head = QualityHead::new(&Params::init(1, Target::default()), kind, 6);
            for (h, w) in [(2, 2), (5, 3), (9, 12)] {
                let features = Tensor::rand([2, channels, h, w], (Kind::Float, Device::Cpu));
                let probability = Tensor::rand([2, 1, 16 * h, 16 * w], (Kind::Float, Device::Cpu));
                let quality = head.forward(&features, &probability);
                assert_eq!((quality.size(), quality.kind()), (vec![2], Kind::Float));
                assert!(quality.min().double_value(&[]) >= 0.0 && quality.max().double_value(&[]) <= 1.0);
                let other = head.forward(&features, &(1.0 - &probability));
                assert!(!quality.allclose(&other, 0.0, 1e-6, false), "{kind:?} does not depend on the mask");
            }
        }
    }

    #[test]
    fn expected_iou_by_hand() {
        let features = Tensor::zeros([2, 1, 1, 1], (Kind::Float, Device::Cpu));
        let p = Tensor::from_slice(&[1.0f32, 0.8, 0.2, 0.0, 0.3, 0.1, 0.0, 0.0]).reshape([2, 1, 2, 2]);
        let quality = Vec::<f32>::try_from(QualityHead::Certainty.forward(&features, &p)).unwrap();
        // mask 1 1 0 0: overlap 1 + 0.8, union 1 + 1 + 0.2; empty mask: 1 - 0.3
        assert!((quality[0] - 1.8 / 2.2).abs() < 1e-6 && (quality[1] - 0.7).abs() < 1e-6, "{quality:?}");
    }
}
