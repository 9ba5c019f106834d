//! Building blocks: convolution with group normalisation, and the residual block made of two.

use crate::nn::layers::{Conv, ConvOptions, GroupNorm};
use crate::nn::params::{Init, Params};
use tch::Tensor;

/// 3x3 convolution, group normalisation, ReLU.
#[derive(Debug)]
pub(super) struct ConvNorm {
    conv: Conv,
    norm: GroupNorm,
}

impl ConvNorm {
    pub fn new(params: &Params, options: ConvOptions, groups: i64) -> Self {
        ConvNorm::with_gain(params, options, groups, Init::Ones)
    }

    /// As [`ConvNorm::new`], with this gain of the normalisation before training.
    fn with_gain(params: &Params, options: ConvOptions, groups: i64, gain: Init) -> Self {
        ConvNorm {
            conv: Conv::new(&params.sub("conv"), options.no_bias()),
            norm: GroupNorm::with_gain(&params.sub("norm"), groups, options.outputs, gain),
        }
    }

    /// # Shapes
    /// As the convolution.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.linear(x).relu_()
    }

    fn linear(&self, x: &Tensor) -> Tensor {
        self.norm.forward(&self.conv.forward(x))
    }
}

/// Residual block: two 3x3 convolutions with a shortcut. The first may halve the size and change the channels.
#[derive(Debug)]
pub(super) struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Block {
    pub fn new(params: &Params, inputs: i64, outputs: i64, stride: i64, groups: i64) -> Self {
        let first = ConvOptions::new(inputs, outputs, 3).stride(stride);
        let shortcut = ConvOptions::new(inputs, outputs, 1).stride(stride);
        Block {
            first: ConvNorm::new(&params.sub("first"), first, groups),
            second: ConvNorm::new(&params.sub("second"), ConvOptions::new(outputs, outputs, 3), groups),
            shortcut: (inputs != outputs || stride != 1)
                .then(|| ConvNorm::new(&params.sub("shortcut"), shortcut, groups)),
        }
    }

    /// A block of stride 1 that is the identity (of values of at least 0) before it is trained.
    pub fn silent(params: &Params, channels: i64, groups: i64) -> Self {
        let conv = ConvOptions::new(channels, channels, 3);
        Block {
            first: ConvNorm::new(&params.sub("first"), conv, groups),
            second: ConvNorm::with_gain(&params.sub("second"), conv, groups, Init::Zeros),
            shortcut: None,
        }
    }

    /// # Shapes
    /// `[N, inputs, H, W]` / `[N, outputs, H / stride, W / stride]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut y = self.second.linear(&self.first.forward(x));
        match &self.shortcut {
            Some(shortcut) => y += shortcut.linear(x),
            None => y += x,
        }
        y.relu_()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;

    #[test]
    fn a_silent_block_is_the_identity() {
        let x = Tensor::arange(2 * 8 * 4 * 4, (tch::Kind::Float, tch::Device::Cpu)).view([2, 8, 4, 4]);
        let params = Params::init(1, Target::default());
        assert_eq!(Block::silent(&params.sub("silent"), 8, 4).forward(&x), x);
        assert_ne!(Block::new(&params.sub("block"), 8, 8, 1, 4).forward(&x), x);
    }
}
