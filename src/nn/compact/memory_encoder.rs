//! Memory encoder (paper §2.2): the value of a slice with its mask.
//!
//! | tensor | shape |
//! |---|---|
//! | slices, mask, 1 - mask | `[N, CI + 2, H, W]` |
//! | three 3x3 convolutions of stride 2 | `[N, C4, H/8, W/8]` |
//! | fused with `f8` of the image encoder, residual block | `[N, C8, H/8, W/8]` |
//! | value: the label, CV - 1 learnt channels | `[N, CV, H/8, W/8]` |
//!
//! Channel 0 of the value is the mask itself, -1 outside..1 inside: its readout is the label from memory.

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
        // Mask and complement: beyond the border of the region, where convolutions pad with 0, both are 0.
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
    /// `slices`: `[N, CI, H, W]`; `f8`: `[N, C8, H/8, W/8]`; `masks`: `[N, 1, H, W]`, 0..1 / value `[N, CV, H/8, W/8]`.
    pub fn forward(&self, slices: &Tensor, f8: &Tensor, masks: &Tensor) -> Tensor {
        let x = Tensor::cat(&[(slices - MEAN) / SPREAD, masks.shallow_clone(), 1.0 - masks], 1);
        let x = self.down.iter().fold(x, |x, conv| conv.forward(&x));
        let learnt = self.value.forward(&self.block.forward(&self.fuse.forward(&Tensor::cat(&[&x, f8], 1))));
        let stride = [KEY_STRIDE; 2];
        let label = masks.avg_pool2d(stride, stride, [0, 0], false, true, None::<i64>) * 2.0 - 1.0;
        Tensor::cat(&[label, learnt], 1)
    }
}
