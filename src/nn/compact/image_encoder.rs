//! Image encoder: features at strides 2, 4 and 8, and the key, from the image alone.

use super::super::ImageFeatures;
use super::super::layers::{Conv, ConvOptions, resize, size2};
use super::super::params::{Init, Params};
use super::CompactConfig;
use super::blocks::{Block, ConvNorm};
use tch::Tensor;

/// Mean of windowed intensities that the first layer is centred on.
pub(super) const MEAN: f64 = 0.45;
/// Their spread.
pub(super) const SPREAD: f64 = 0.25;

/// A residual trunk to stride 16 whose coarsest level is folded back into stride 8.
#[derive(Debug)]
pub struct Trunk {
    stem: ConvNorm,
    f2: Block,
    f4: [Block; 2],
    f8: [Block; 2],
    f16: Block,
    back: Conv,
}

impl Trunk {
    /// A trunk over `inputs` channels.
    pub fn new(params: &Params, inputs: i64, config: &CompactConfig) -> Self {
        let [c2, c4, c8, c16] = config.channels;
        let g = config.groups;
        let block = |name: &str, i, o, stride| Block::new(&params.sub(name), i, o, stride, g);
        Trunk {
            stem: ConvNorm::new(&params.sub("stem"), ConvOptions::new(inputs, c2, 3).stride(2), g),
            f2: block("f2", c2, c2, 1),
            f4: [block("f4.0", c2, c4, 2), block("f4.1", c4, c4, 1)],
            f8: [block("f8.0", c4, c8, 2), block("f8.1", c8, c8, 1)],
            f16: block("f16", c8, c16, 2),
            back: Conv::new(&params.sub("back"), ConvOptions::new(c16, c8, 1).init(Init::Lecun)),
        }
    }

    /// # Shapes
    /// `x`: `[N, inputs, H, W]` / `f2`, `f4`, `f8`.
    pub fn forward(&self, x: &Tensor) -> [Tensor; 3] {
        let f2 = self.f2.forward(&self.stem.forward(x));
        let f4 = self.f4.iter().fold(f2.shallow_clone(), |x, block| block.forward(&x));
        let f8 = self.f8.iter().fold(f4.shallow_clone(), |x, block| block.forward(&x));
        let context = self.back.forward(&self.f16.forward(&f8));
        let f8 = &f8 + resize(&context, size2(&f8));
        [f2, f4, f8]
    }
}

/// The trunk over the image, and the key.
#[derive(Debug)]
pub struct ImageEncoder {
    trunk: Trunk,
    key: Conv,
}

impl ImageEncoder {
    /// The encoder at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let key = ConvOptions::new(config.channels[2], config.key_channels, 3).init(Init::Lecun);
        ImageEncoder {
            trunk: Trunk::new(&params.sub("trunk"), config.context_slices, config),
            key: Conv::new(&params.sub("key"), key),
        }
    }

    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / key `[N, CK, H/8, W/8]`, skips `f2`, `f4`, `f8`.
    pub fn forward(&self, slices: &Tensor) -> ImageFeatures {
        let skips = self.trunk.forward(&((slices - MEAN) / SPREAD));
        let key = self.key.forward(&skips[2]);
        ImageFeatures { slices: slices.shallow_clone(), key, value: None, skips: skips.into() }
    }
}
