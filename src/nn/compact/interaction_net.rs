//! Interaction network (paper §2.1, eq. 1): one U-shaped network for every kind of interaction. Which kind was drawn shows
//! in the guidance: strokes and points in the positive and negative map, boxes as filled regions.

use super::super::params::Params;
use super::image_encoder::{MEAN, SPREAD};
use super::{CompactConfig, Decoder, Trunk};
use tch::Tensor;

/// Previous mask, positive, negative and box map.
const GUIDANCE: i64 = 4;

/// What was drawn to mask logits.
#[derive(Debug)]
pub struct InteractionNet {
    trunk: Trunk,
    decoder: Decoder,
    context: i64,
}

impl InteractionNet {
    /// The network at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let inputs = config.context_slices + GUIDANCE;
        InteractionNet {
            trunk: Trunk::new(&params.sub("trunk"), inputs, config),
            decoder: Decoder::with(&params.sub("decoder"), config, 0, inputs),
            context: config.context_slices,
        }
    }

    /// # Shapes
    /// `input`: `[N, CI + 4, H, W]`: slices, previous probability, positive, negative and box map / logits `[N, 1, H, W]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        let slices = (input.narrow(1, 0, self.context) - MEAN) / SPREAD;
        let x = Tensor::cat(&[slices, input.narrow(1, self.context, GUIDANCE)], 1);
        let [f2, f4, f8] = self.trunk.forward(&x);
        self.decoder.decode(None, [&f2, &f4, &f8], &x)
    }
}
