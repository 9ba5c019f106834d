//! ResNet trunks of bottleneck blocks (He et al. 2016): the image side of every network of the `paper` preset.
//!
//! | feature | stride | channels | ResNet-50 blocks | ResNet-101 blocks |
//! |---|---|---|---|---|
//! | stem | 4 | 64 | 7x7 convolution of stride 2, 3x3 maximum of stride 2 | the same |
//! | `f4` | 4 | 256 | 3 | 3 |
//! | `f8` | 8 | 512 | 4 | 4 |
//! | `f16` | 16 | 1024 | 6 | 23 |
//! | `deep` | 16 | 2048 | not used | 3, dilated by 2, 4 and 8 instead of strided |
//!
//! The memory network's encoders stop at `f16` (Mem3D §2.2); the interaction network uses all four (Mem3D §2.1).
//! Parameter names inside a trunk are those of torchvision.

use crate::nn::layers::{ConvBn, ConvOptions};
use crate::nn::params::Params;
use tch::Tensor;

/// Shape of a bottleneck block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BottleneckOptions {
    /// Channels in.
    pub inputs: i64,
    /// Channels of the 3x3 convolution.
    pub width: i64,
    /// Channels out.
    pub outputs: i64,
    /// Stride of the 3x3 convolution and the shortcut.
    pub stride: i64,
    /// Dilation of the 3x3 convolution.
    pub dilation: i64,
    /// Whether the shortcut is a 1x1 convolution; otherwise the input itself.
    pub projection: bool,
}

/// 1x1, 3x3 and 1x1 convolution with batch norm, added to a shortcut.
#[derive(Debug)]
pub struct Bottleneck {
    reduce: ConvBn,
    conv: ConvBn,
    expand: ConvBn,
    shortcut: Option<ConvBn>,
}

impl Bottleneck {
    /// The block at `params`.
    pub fn new(params: &Params, options: BottleneckOptions) -> Self {
        let BottleneckOptions { inputs, width, outputs, stride, dilation, projection } = options;
        let conv = |i, o, k| ConvOptions::new(i, o, k).no_bias();
        Bottleneck {
            reduce: ConvBn::new(params, "conv1", "bn1", conv(inputs, width, 1)),
            conv: ConvBn::new(params, "conv2", "bn2", conv(width, width, 3).stride(stride).dilation(dilation)),
            expand: ConvBn::new(params, "conv3", "bn3", conv(width, outputs, 1)),
            shortcut: projection
                .then(|| ConvBn::new(&params.sub("downsample"), "0", "1", conv(inputs, outputs, 1).stride(stride))),
        }
    }

    /// # Shapes
    /// `x`: `[N, inputs, H, W]` / `[N, outputs, H / stride, W / stride]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.reduce.forward(x).relu_();
        let y = self.conv.forward(&y).relu_();
        let y = self.expand.forward(&y);
        match &self.shortcut {
            Some(shortcut) => (y + shortcut.forward(x)).relu_(),
            None => (y + x).relu_(),
        }
    }
}

/// A run of bottleneck blocks of one resolution, four times as wide outside as inside.
#[derive(Debug)]
pub struct Stage(Vec<Bottleneck>);

impl Stage {
    /// One block per entry of `dilations` at `params`; the first has the stride and changes the channels.
    pub fn new(params: &Params, inputs: i64, width: i64, stride: i64, dilations: &[i64]) -> Self {
        let block = |(i, &dilation): (usize, &i64)| {
            let options = BottleneckOptions {
                inputs: if i == 0 { inputs } else { 4 * width },
                width,
                outputs: 4 * width,
                stride: if i == 0 { stride } else { 1 },
                dilation,
                projection: i == 0,
            };
            Bottleneck::new(&params.sub(i), options)
        };
        Stage(dilations.iter().enumerate().map(block).collect())
    }

    /// # Shapes
    /// `x`: `[N, inputs, H, W]` / `[N, 4 * width, H / stride, W / stride]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.0.iter().fold(x.shallow_clone(), |x, block| block.forward(&x))
    }
}

/// Depth of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// ResNet-50 without its last stage.
    ResNet50,
    /// ResNet-101 whose last stage is dilated instead of strided.
    ResNet101,
}

/// Features of a trunk, finest first.
#[derive(Debug)]
pub struct Features {
    /// `[N, 256, H / 4, W / 4]`.
    pub f4: Tensor,
    /// `[N, 512, H / 8, W / 8]`.
    pub f8: Tensor,
    /// `[N, 1024, H / 16, W / 16]`.
    pub f16: Tensor,
    /// `[N, 2048, H / 16, W / 16]`; ResNet-101 only.
    pub deep: Option<Tensor>,
}

/// Stem and stages.
#[derive(Debug)]
pub struct Trunk {
    stem: ConvBn,
    stages: Vec<Stage>,
}

impl Trunk {
    /// The trunk at `params` for `inputs` channels.
    pub fn new(params: &Params, inputs: i64, depth: Depth) -> Self {
        let stage = |n: i64, inputs, stride, dilations: &[i64]| {
            Stage::new(&params.sub(format!("layer{n}")), inputs, 64 << (n - 1), stride, dilations)
        };
        let mut stages = vec![stage(1, 64, 1, &[1; 3]), stage(2, 256, 2, &[1; 4])];
        match depth {
            Depth::ResNet50 => stages.push(stage(3, 512, 2, &[1; 6])),
            Depth::ResNet101 => {
                stages.push(stage(3, 512, 2, &[1; 23]));
                // Multigrid 1, 2, 4 times the 2 that replaces the stride.
                stages.push(stage(4, 1024, 1, &[2, 4, 8]));
            }
        }
        Trunk { stem: ConvBn::new(params, "conv1", "bn1", ConvOptions::new(inputs, 64, 7).stride(2).no_bias()), stages }
    }

    /// # Shapes
    /// `x`: `[N, inputs, H, W]` / see [`Features`].
    pub fn forward(&self, x: &Tensor) -> Features {
        let stem = self.stem.forward(x).relu_().max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        let f4 = self.stages[0].forward(&stem);
        let f8 = self.stages[1].forward(&f4);
        let f16 = self.stages[2].forward(&f8);
        let deep = self.stages.get(3).map(|stage| stage.forward(&f16));
        Features { f4, f8, f16, deep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::{Device, Kind};

    #[test]
    fn strides_and_channels_of_both_trunks() {
        let x = Tensor::zeros([2, 3, 32, 48], (Kind::Float, Device::Cpu));
        let f = Trunk::new(&Params::init(1, Target::default()), 3, Depth::ResNet50).forward(&x);
        assert_eq!((f.f4.size(), f.f8.size()), (vec![2, 256, 8, 12], vec![2, 512, 4, 6]));
        assert_eq!((f.f16.size(), f.deep.is_none()), (vec![2, 1024, 2, 3], true));
    }

    #[test]
    fn a_block_with_zero_weights_passes_its_input() {
        let options = BottleneckOptions { inputs: 2, width: 1, outputs: 2, stride: 1, dilation: 1, projection: false };
        let draft = Params::init(1, Target { inference: false, ..Target::default() });
        let _ = Bottleneck::new(&draft, options);
        let mut tensors: std::collections::BTreeMap<_, _> =
            draft.finish().unwrap().tensors().iter().map(|(n, t)| (n.clone(), t.zeros_like())).collect();
        tensors.insert("bn3.bias".into(), Tensor::from_slice(&[1.0f32, -5.0]));
        let block = Bottleneck::new(&Params::load(tensors, Target::default()), options);
        let x = Tensor::from_slice(&[2.0f32, 3.0]).reshape([1, 2, 1, 1]);
        // 2 + 1 and relu(3 - 5)
        assert_eq!(Vec::<f32>::try_from(block.forward(&x).reshape([-1])).unwrap(), [3.0, 0.0]);
    }
}
