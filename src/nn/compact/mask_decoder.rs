//! Mask decoder: from features at stride 8 up to mask logits at full resolution, with skips at every level. The memory
//! network's [`super::Decoder`] and the interaction network each have one.
//!
//! | level | input | output |
//! |---|---|---|
//! | stride 8 | readout (memory network alone), `f8` | `[N, C8, H/8, W/8]` |
//! | stride 4 | stride 8, `f4` | `[N, C4, H/4, W/4]` |
//! | stride 2 | stride 4, `f2` | `[N, C2, H/2, W/2]` |
//! | stride 1 | stride 2, `fine` | `[N, 16, H, W]`, logits `[N, 1, H, W]` |

use super::blocks::{Block, ConvNorm};
use super::config::CompactConfig;
use super::cues::pooling::on_cpu;
use crate::nn::layers::{Conv, ConvOptions, f32, resize, size2};
use crate::nn::params::{Init, Params};
use tch::Tensor;

/// Channels at full resolution. Chosen: full resolution costs most of the decoder's time.
const FINE: i64 = 16;
/// Slices decoded together at full resolution on the CPU, so that intermediate maps stay in the processor's cache.
/// Chosen.
const FINE_BATCH: i64 = 2;
/// Standard deviation of the last layer's weights before training: logits start small beside the guide's. Chosen.
const LAST: f64 = 0.02;

/// Inputs of a mask decoder, and its depth.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaskDecoderOptions {
    /// Channels that join `f8`; 0 without memory.
    pub readout: i64,
    /// Channels beside each of the skips; 0 without guide.
    pub guide: i64,
    /// Channels of the input at full resolution.
    pub fine: i64,
    /// Whether a residual block follows at each of the strides 8, 4 and 2. It widens the receptive field.
    pub refine: bool,
}

/// One level up: the coarser map, narrowed and enlarged, joins the skip.
#[derive(Debug)]
struct Up {
    narrow: Conv,
    skip: Conv,
    mix: ConvNorm,
    refine: Option<Block>,
}

/// Channels of one level.
struct UpChannels {
    coarse: i64,
    skip: i64,
    outputs: i64,
}

impl Up {
    fn new(params: &Params, channels: UpChannels, groups: i64, refine: bool) -> Self {
        let UpChannels { coarse, skip, outputs } = channels;
        let one = |i: i64| ConvOptions::new(i, outputs, 1).init(Init::Lecun);
        Up {
            narrow: Conv::new(&params.sub("narrow"), one(coarse)),
            skip: Conv::new(&params.sub("skip"), one(skip)),
            mix: ConvNorm::new(&params.sub("mix"), ConvOptions::new(outputs, outputs, 3), groups),
            refine: refine.then(|| Block::silent(&params.sub("refine"), outputs, groups)),
        }
    }

    fn forward(&self, coarse: &Tensor, skip: &Tensor) -> Tensor {
        let mut x = resize(&self.narrow.forward(coarse), size2(skip));
        x += self.skip.forward(skip);
        refined(self.mix.forward(&x.relu_()), &self.refine)
    }
}

fn refined(x: Tensor, refine: &Option<Block>) -> Tensor {
    refine.as_ref().map_or_else(|| x.shallow_clone(), |block| block.forward(&x))
}

/// Features to mask logits.
#[derive(Debug)]
pub(super) struct MaskDecoder {
    fuse: ConvNorm,
    f8: Block,
    refine: Option<Block>,
    f4: Up,
    f2: Up,
    f1: Up,
    logits: Conv,
}

impl MaskDecoder {
    /// The decoder at `params`.
    pub fn new(params: &Params, config: &CompactConfig, options: MaskDecoderOptions) -> Self {
        let [c2, c4, c8, _] = config.channels;
        let g = config.groups;
        let MaskDecoderOptions { readout, guide, fine, refine } = options;
        let up = |name: &str, coarse, skip, outputs, refine| {
            Up::new(&params.sub(name), UpChannels { coarse, skip, outputs }, g, refine)
        };
        MaskDecoder {
            fuse: ConvNorm::new(&params.sub("fuse"), ConvOptions::new(readout + guide + c8, c8, 3), g),
            f8: Block::new(&params.sub("f8"), c8, c8, 1, g),
            refine: refine.then(|| Block::silent(&params.sub("refine"), c8, g)),
            f4: up("f4", c8, c4 + guide, c4, refine),
            f2: up("f2", c4, c2 + guide, c2, refine),
            f1: up("f1", c2, fine, FINE, false),
            logits: Conv::new(&params.sub("logits"), ConvOptions::new(FINE, 1, 3).init(Init::Normal(LAST))),
        }
    }

    /// # Shapes
    /// `readout`: `[N, readout, H/8, W/8]`; skips, finest first: `[N, C + guide, ..]`; `fine`: `[N, fine, H, W]` /
    /// logits `[N, 1, H, W]`, f32.
    pub fn forward(&self, readout: Option<&Tensor>, [f2, f4, f8]: [&Tensor; 3], fine: &Tensor) -> Tensor {
        // Strides 8, 4 and 2.
        let joined = readout.map_or_else(|| f8.shallow_clone(), |readout| Tensor::cat(&[readout, f8], 1));
        let x = refined(self.f8.forward(&self.fuse.forward(&joined)), &self.refine);
        let x = self.f4.forward(&x, f4);
        let x = self.f2.forward(&x, f2);
        // Full resolution, a few slices at a time.
        let at_once = if on_cpu(&x) { FINE_BATCH } else { x.size()[0] };
        let finest = |(x, fine): (&Tensor, &Tensor)| f32(&self.logits.forward(&self.f1.forward(x, fine)));
        let parts: Vec<Tensor> = x.split(at_once, 0).iter().zip(&fine.split(at_once, 0)).map(finest).collect();
        Tensor::cat(&parts, 0)
    }
}
