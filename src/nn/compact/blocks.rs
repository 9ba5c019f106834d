//! Building blocks: convolution with group normalisation, and the residual block made of two.

use super::super::layers::{Conv, ConvOptions, GroupNorm};
use super::super::params::Params;
use tch::Tensor;

/// 3x3 convolution, group normalisation, ReLU.
#[derive(Debug)]
pub(super) struct ConvNorm {
    conv: Conv,
    norm: GroupNorm,
}

impl ConvNorm {
    pub fn new(params: &Params, options: ConvOptions, groups: i64) -> Self {
        ConvNorm {
            conv: Conv::new(&params.sub("conv"), options.no_bias()),
            norm: GroupNorm::new(&params.sub("norm"), groups, options.outputs),
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

/// Two 3x3 convolutions with a shortcut; the first may halve the size and change the channels.
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
