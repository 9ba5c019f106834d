//! Backbone: image features pretrained on photographs, EfficientNet-Lite0 (Tan and Le, 2019; Lite variant, 2020) to
//! stride 16. The trunks add a linear map of them at each level. Its batch statistics are frozen. The previous, this
//! and the next slice take the places of red, green and blue.
//!
//! | level | blocks | output |
//! |---|---|---|
//! | `e2` | stem, 0 | `[N, 16, H/2, W/2]` |
//! | `e4` | 1-2 | `[N, 24, H/4, W/4]` |
//! | `e8` | 3-4 | `[N, 40, H/8, W/8]` |
//! | `e16` | 5-10 | `[N, 112, H/16, W/16]` |

use crate::nn::layers::{ConvBn, ConvOptions};
use crate::nn::params::Params;
use tch::Tensor;

/// Channels at stride 2, 4, 8 and 16.
pub(super) const CHANNELS: [i64; 4] = [16, 24, 40, 112];

/// Channels of the stem.
const STEM: i64 = 32;
/// Mean of values 0..1; the weights are trained with (x - 127) / 128 of bytes.
const CENTRE: f64 = 127.0 / 255.0;
/// Divisor of values 0..1, from the same formula.
const SPREAD: f64 = 128.0 / 255.0;

/// Groups of blocks of the architecture: ([expansion, kernel, stride, channels out, blocks], level).
const GROUPS: [([i64; 5], usize); 5] = [
    ([1, 3, 1, 16, 1], 0),
    ([6, 3, 2, 24, 2], 1),
    ([6, 5, 2, 40, 2], 2),
    ([6, 3, 2, 80, 3], 3),
    ([6, 5, 1, 112, 3], 3),
];

/// Inverted residual block: expansion, depthwise convolution, projection; with a shortcut where the shape stays.
#[derive(Debug)]
struct Block {
    expand: Option<ConvBn>,
    depthwise: ConvBn,
    project: ConvBn,
    shortcut: bool,
}

impl Block {
    fn new(params: &Params, inputs: i64, [expansion, kernel, stride, outputs]: [i64; 4]) -> Self {
        let wide = inputs * expansion;
        let layer = |name: &str, options: ConvOptions| {
            let params = params.sub(name);
            ConvBn::new(&params, "conv", "norm", options.no_bias())
        };
        let depthwise = ConvOptions::new(wide, wide, kernel).stride(stride).groups(wide);
        Block {
            expand: (expansion != 1).then(|| layer("expand", ConvOptions::new(inputs, wide, 1))),
            depthwise: layer("depthwise", depthwise),
            project: layer("project", ConvOptions::new(wide, outputs, 1)),
            shortcut: stride == 1 && inputs == outputs,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let wide = self.expand.as_ref().map_or_else(|| x.shallow_clone(), |expand| relu6(expand.forward(x)));
        let y = self.project.forward(&relu6(self.depthwise.forward(&wide)));
        if self.shortcut { y + x } else { y }
    }
}

fn relu6(mut x: Tensor) -> Tensor {
    x.relu6_()
}

/// EfficientNet-Lite0 without its last seven blocks.
#[derive(Debug)]
pub struct Backbone {
    stem: ConvBn,
    levels: [Vec<Block>; 4],
    context: i64,
}

impl Backbone {
    /// The network at `params`, for `context` slices in each input, 1 or 3.
    pub fn new(params: &Params, context: i64) -> Self {
        let mut levels = [vec![], vec![], vec![], vec![]];
        let (mut inputs, mut number) = (STEM, 0);
        for ([expansion, kernel, stride, outputs, blocks], level) in GROUPS {
            for block in 0..blocks {
                let shape = [expansion, kernel, if block == 0 { stride } else { 1 }, outputs];
                levels[level].push(Block::new(&params.sub(format!("blocks.{number}")), inputs, shape));
                (inputs, number) = (outputs, number + 1);
            }
        }
        let stem = ConvOptions::new(3, STEM, 3).stride(2).no_bias();
        Backbone { stem: ConvBn::new(&params.sub("stem"), "conv", "norm", stem), levels, context }
    }

    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / features at strides 2, 4, 8 and 16.
    pub fn forward(&self, slices: &Tensor) -> [Tensor; 4] {
        let colours = if self.context == 3 { slices.shallow_clone() } else { slices.expand([-1, 3, -1, -1], false) };
        let mut x = relu6(self.stem.forward(&((colours - CENTRE) / SPREAD)));
        self.levels.each_ref().map(|blocks| {
            x = blocks.iter().fold(x.shallow_clone(), |x, block| block.forward(&x));
            x.shallow_clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{Target, TensorMap};
    use tch::{Device, Kind};

    #[test]
    fn levels_and_layers_are_those_of_the_architecture() {
        let params = Params::init(1, Target { inference: false, ..Target::default() });
        let backbone = Backbone::new(&params, 1);
        let levels = backbone.forward(&Tensor::full([2, 1, 32, 48], 0.5, (Kind::Float, Device::Cpu)));
        for (i, level) in levels.iter().enumerate() {
            let stride = 2 << i;
            assert_eq!(level.size(), [2, CHANNELS[i], 32 / stride, 48 / stride]);
        }
        // Stem, two layers of block 0, three of each of ten more; a kernel and four numbers a channel each.
        assert_eq!(params.finish().unwrap().tensors().len(), (1 + 2 + 3 * 10) * 5);
    }

    #[test]
    fn a_block_by_hand() {
        let kernel = |centre: f32, side: i64| {
            let kernel = Tensor::zeros([1, 1, side, side], (Kind::Float, Device::Cpu));
            let _ = kernel.narrow(2, side / 2, 1).narrow(3, side / 2, 1).fill_(f64::from(centre));
            kernel
        };
        let mut tensors = TensorMap::new();
        for (name, kernel) in [("depthwise", kernel(1.0, 3)), ("project", kernel(2.0, 1))] {
            tensors.insert(format!("{name}.conv.weight"), kernel);
            for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0 - 1e-5)] {
                tensors.insert(format!("{name}.norm.{part}"), Tensor::from_slice(&[value as f32]));
            }
        }
        let params = Params::load(tensors, Target::default());
        let block = Block::new(&params, 1, [1, 3, 1, 1]);
        params.finish().unwrap();
        // Clamped to 0..6, doubled, and the input added.
        let x = Tensor::from_slice(&[-2f32, 3.0, 9.0]).view([1, 1, 1, 3]);
        let y = Vec::<f32>::try_from(block.forward(&x).view([-1])).unwrap();
        assert!(y.iter().zip([-2.0, 9.0, 21.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{y:?}");
    }
}
