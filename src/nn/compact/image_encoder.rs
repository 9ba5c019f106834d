//! Image encoder (paper §2.2, query encoder): features at strides 2, 4 and 8, and the key, from the image alone.
//!
//! | tensor | shape |
//! |---|---|
//! | slices, 0..1 | `[N, CI, H, W]` |
//! | `f2`, `f4`, `f8` | `[N, 24, H/2, W/2]`, `[N, 48, H/4, W/4]`, `[N, 96, H/8, W/8]` (default) |
//! | key: CK - 2 learnt channels, row and column | `[N, CK, H/8, W/8]` |
//!
//! The position in the key makes the affinity fall with the distance within the region, so that similar
//! structures elsewhere are not read.

use super::backbone;
use super::blocks::{Block, ConvNorm};
use super::config::{BackboneKind, CompactConfig};
use crate::nn::layers::{Conv, ConvOptions, resize, size2};
use crate::nn::networks::ImageFeatures;
use crate::nn::params::{Init, Params};
use tch::{Kind, Tensor};

/// Mean of windowed intensities, subtracted before the first layer of every network. Chosen.
pub(super) const MEAN: f64 = 0.45;
/// Standard deviation of windowed intensities, by which they are divided. Chosen.
pub(super) const SPREAD: f64 = 0.25;

/// Channels of the position in a key: row and column.
const POSITION: i64 = 2;
/// Weight of the position before training. Chosen: with 48 channels, the affinity falls to exp(-1/2) at a quarter of
/// the region's side.
const POSITION_WEIGHT: f64 = 7.4;

/// A residual trunk to stride 16 whose coarsest level is added to stride 8.
#[derive(Debug)]
pub struct Trunk {
    stem: ConvNorm,
    f2: Block,
    f4: [Block; 2],
    f8: [Block; 2],
    f16: Block,
    back: Conv,
    /// 1x1 convolutions of a backbone's features, added at strides 2, 4, 8 and 16; they start at 0.
    joins: Option<[Conv; 4]>,
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
            joins: (config.backbone != BackboneKind::None).then(|| {
                std::array::from_fn(|i| {
                    let options = ConvOptions::new(backbone::CHANNELS[i], config.channels[i], 1).init(Init::Zeros);
                    Conv::new(&params.sub(format!("join.{i}")), options)
                })
            }),
        }
    }

    /// # Shapes
    /// `x`: `[N, inputs, H, W]`; `learnt`: the backbone's features of the slices / `f2`, `f4`, `f8`.
    pub fn forward(&self, x: &Tensor, learnt: Option<&[Tensor; 4]>) -> [Tensor; 3] {
        let joined = |x: Tensor, level: usize| match (&self.joins, learnt) {
            (Some(joins), Some(learnt)) => x + joins[level].forward(&learnt[level]),
            _ => x,
        };
        let f2 = joined(self.f2.forward(&self.stem.forward(x)), 0);
        let f4 = joined(self.f4.iter().fold(f2.shallow_clone(), |x, block| block.forward(&x)), 1);
        let f8 = joined(self.f8.iter().fold(f4.shallow_clone(), |x, block| block.forward(&x)), 2);
        let context = self.back.forward(&joined(self.f16.forward(&f8), 3));
        let f8 = &f8 + resize(&context, size2(&f8));
        [f2, f4, f8]
    }
}

/// The trunk over the image, and the key.
#[derive(Debug)]
pub struct ImageEncoder {
    trunk: Trunk,
    key: Conv,
    /// Weight of the position, `[1]`.
    position: Tensor,
}

impl ImageEncoder {
    /// The encoder at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let key = ConvOptions::new(config.channels[2], config.key_channels - POSITION, 3).init(Init::Lecun);
        ImageEncoder {
            trunk: Trunk::new(&params.sub("trunk"), config.context_slices, config),
            key: Conv::new(&params.sub("key"), key),
            position: params.get_f32("place", &[1], Init::Constant(POSITION_WEIGHT)),
        }
    }

    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1; `learnt`: the backbone's features of them / key `[N, CK, H/8, W/8]`, skips
    /// `f2`, `f4`, `f8`.
    pub fn forward(&self, slices: &Tensor, learnt: Option<&[Tensor; 4]>) -> ImageFeatures {
        let skips = self.trunk.forward(&((slices - MEAN) / SPREAD), learnt);
        let features = self.key.forward(&skips[2]);
        let key = Tensor::cat(&[&features, &self.positions(&features)], 1);
        ImageFeatures { slices: slices.shallow_clone(), key, value: None, skips: skips.into() }
    }

    /// Weighted rows and columns, 0..1 over height and width: `[N, 2, h, w]` for keys `[N, C, h, w]`.
    fn positions(&self, key: &Tensor) -> Tensor {
        let [height, width] = size2(key);
        let along = |n: i64| (Tensor::arange(n, (Kind::Float, key.device())) + 0.5) / n as f64;
        let (rows, columns) = (along(height).view([1, 1, height, 1]), along(width).view([1, 1, 1, width]));
        let shape = [key.size()[0], 1, height, width];
        let both = [rows, columns].map(|t| (t * &self.position).expand(shape, false));
        Tensor::cat(&both, 1).to_kind(key.kind())
    }
}
