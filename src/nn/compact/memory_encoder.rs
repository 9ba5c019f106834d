//! Memory encoder: the value of a slice with its mask. The image comes in through the features already there. The first channel of
//! a value is the mask itself: what is read of it is the label that the memory gives.

use super::blocks::{Block, ConvNorm};
use super::config::{CompactConfig, KEY_STRIDE};
use super::image_encoder::{MEAN, SPREAD};
use crate::nn::layers::{Conv, ConvOptions};
use crate::nn::params::{Init, Params};
use tch::Tensor;

/// Slices, masks and `f8` to values.
#[derive(Debug)]
pub struct MemoryEncoder {
    down: [ConvNorm; 3],
    fuse: ConvNorm,
    block: Block,
    value: Conv,
}

impl MemoryEncoder {
    /// The encoder at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let [c2, c4, c8, _] = config.channels;
        let g = config.groups;
        // Image, mask and its complement: a border pixel of the region is neither in nor out.
        let inputs = config.context_slices + 2;
        let sizes = [(inputs, c2), (c2, c2), (c2, c4)];
        let down = |i: usize| {
            let (inputs, outputs) = sizes[i];
            ConvNorm::new(&params.sub(format!("down.{i}")), ConvOptions::new(inputs, outputs, 3).stride(2), g)
        };
        let learnt = config.value_channels - 1;
        MemoryEncoder {
            down: [down(0), down(1), down(2)],
            fuse: ConvNorm::new(&params.sub("fuse"), ConvOptions::new(c4 + c8, c8, 3), g),
            block: Block::new(&params.sub("block"), c8, c8, 1, g),
            value: Conv::new(&params.sub("value"), ConvOptions::new(c8, learnt, 3).init(Init::Lecun)),
        }
    }

    /// # Shapes
    /// `slices`: `[N, CI, H, W]`; `f8`: `[N, C8, H/8, W/8]`; `masks`: `[N, 1, H, W]`, 0..1 / value `[N, CV, H/8, W/8]`, of which
    /// channel 0 is the label, -1 (outside) to 1 (inside).
    pub fn forward(&self, slices: &Tensor, f8: &Tensor, masks: &Tensor) -> Tensor {
        let x = Tensor::cat(&[(slices - MEAN) / SPREAD, masks.shallow_clone(), 1.0 - masks], 1);
        let x = self.down.iter().fold(x, |x, conv| conv.forward(&x));
        let learnt = self.value.forward(&self.block.forward(&self.fuse.forward(&Tensor::cat(&[&x, f8], 1))));
        let stride = [KEY_STRIDE; 2];
        let label = masks.avg_pool2d(stride, stride, [0, 0], false, true, None::<i64>) * 2.0 - 1.0;
        Tensor::cat(&[label, learnt], 1)
    }
}
