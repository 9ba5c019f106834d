//! Decoder: from the memory's readout to a mask at full resolution, with skips from every level.

use super::super::ImageFeatures;
use super::super::layers::{Conv, ConvOptions, f32, resize, size2};
use super::super::params::{Init, Params};
use super::CompactConfig;
use super::blocks::{Block, ConvNorm};
use super::image_encoder::{MEAN, SPREAD};
use tch::Tensor;

/// Channels at full resolution.
const FINE: i64 = 16;

/// One level up: the coarser result, narrowed and enlarged, joins the skip.
#[derive(Debug)]
struct Up {
    narrow: Conv,
    skip: Conv,
    mix: ConvNorm,
}

impl Up {
    fn new(params: &Params, coarse: i64, skip: i64, outputs: i64, groups: i64) -> Self {
        let one = |i: i64| ConvOptions::new(i, outputs, 1).init(Init::Lecun);
        Up {
            narrow: Conv::new(&params.sub("narrow"), one(coarse)),
            skip: Conv::new(&params.sub("skip"), one(skip)),
            mix: ConvNorm::new(&params.sub("mix"), ConvOptions::new(outputs, outputs, 3), groups),
        }
    }

    fn forward(&self, coarse: &Tensor, skip: &Tensor) -> Tensor {
        let coarse = resize(&self.narrow.forward(coarse), size2(skip));
        self.mix.forward(&(coarse + self.skip.forward(skip)).relu())
    }
}

/// Readout and features to mask logits.
#[derive(Debug)]
pub struct Decoder {
    fuse: ConvNorm,
    f8: Block,
    f4: Up,
    f2: Up,
    f1: Up,
    logits: Conv,
}

impl Decoder {
    /// The decoder at `params`, for a memory network.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        Decoder::with(params, config, config.value_channels, config.context_slices)
    }

    /// A decoder of `coarse` further channels at stride 8 and a full-resolution input of `fine` channels.
    pub(super) fn with(params: &Params, config: &CompactConfig, coarse: i64, fine: i64) -> Self {
        let [c2, c4, c8, _] = config.channels;
        let g = config.groups;
        Decoder {
            fuse: ConvNorm::new(&params.sub("fuse"), ConvOptions::new(coarse + c8, c8, 3), g),
            f8: Block::new(&params.sub("f8"), c8, c8, 1, g),
            f4: Up::new(&params.sub("f4"), c8, c4, c4, g),
            f2: Up::new(&params.sub("f2"), c4, c2, c2, g),
            f1: Up::new(&params.sub("f1"), c2, fine, FINE, g),
            logits: Conv::new(&params.sub("logits"), ConvOptions::new(FINE, 1, 3).init(Init::Lecun)),
        }
    }

    /// # Shapes
    /// `readout`: `[N, CV, H/8, W/8]` / logits `[N, 1, H, W]`, f32.
    pub fn forward(&self, readout: &Tensor, features: &ImageFeatures) -> Tensor {
        let skips = [&features.skips[0], &features.skips[1], &features.skips[2]];
        self.decode(Some(readout), skips, &((&features.slices - MEAN) / SPREAD))
    }

    pub(super) fn decode(&self, readout: Option<&Tensor>, [f2, f4, f8]: [&Tensor; 3], fine: &Tensor) -> Tensor {
        let joined = readout.map_or_else(|| f8.shallow_clone(), |readout| Tensor::cat(&[readout, f8], 1));
        let x = self.f8.forward(&self.fuse.forward(&joined));
        let x = self.f4.forward(&x, f4);
        let x = self.f2.forward(&x, f2);
        let x = self.f1.forward(&x, fine);
        f32(&self.logits.forward(&x))
    }
}
