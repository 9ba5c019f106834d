//! Interaction network (paper §2.1, eq. 1): one U-shaped network for every kind of interaction. Which kind was drawn shows
//! in the guidance: strokes and points in the positive and negative map, boxes as filled regions. It is also given what grows out
//! of the drawing and how each intensity compares with what was marked; its answer is a change of these.

use super::config::CompactConfig;
use super::cues::appearance::appearance;
use super::cues::geodesic::{Drawing, grown};
use super::decoder::Decoder;
use super::image_encoder::{MEAN, SPREAD, Trunk};
use crate::nn::layers::{f32, resize, size2};
use crate::nn::params::{Init, Params, channels_last};
use tch::Tensor;

/// Previous mask, positive, negative and box map.
const GUIDANCE: i64 = 4;

/// Weight of pixels that nothing was said of, when no box was drawn.
const UNKNOWN: f64 = 0.02;
/// Logit of what surely grew out of the drawing before training.
const GROWN_LOGIT: f64 = 4.0;
/// Logit of the surest appearance before training.
const APPEARANCE_LOGIT: f64 = 1.0;

/// What was drawn to mask logits.
#[derive(Debug)]
pub struct InteractionNet {
    trunk: Trunk,
    decoder: Decoder,
    context: i64,
    /// Weight of what grew out of the drawing in the logits.
    grown: Tensor,
    /// Weight of the appearance.
    appearance: Tensor,
}

impl InteractionNet {
    /// The network at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let inputs = config.context_slices + GUIDANCE + 2;
        InteractionNet {
            trunk: Trunk::new(&params.sub("trunk"), inputs, config),
            decoder: Decoder::with(&params.sub("decoder"), config, 0, 0, inputs, false),
            context: config.context_slices,
            grown: params.get_f32("grown", &[1], Init::Constant(GROWN_LOGIT)),
            appearance: params.get_f32("appearance", &[1], Init::Constant(APPEARANCE_LOGIT)),
        }
    }

    /// The slices of an input.
    ///
    /// # Shapes
    /// `input`: `[N, CI + 4, H, W]` / `[N, CI, H, W]`.
    pub fn slices(&self, input: &Tensor) -> Tensor {
        input.narrow(1, 0, self.context)
    }

    /// # Shapes
    /// `input`: `[N, CI + 4, H, W]`: slices, previous probability, positive, negative and box map; `learnt`: the backbone's features of the
    /// slices / logits `[N, 1, H, W]`.
    pub fn forward(&self, input: &Tensor, learnt: Option<&[Tensor; 4]>) -> Tensor {
        let slices = (self.slices(input) - MEAN) / SPREAD;
        let drawn = input.narrow(1, self.context, GUIDANCE);
        let [previous, positive, negative, boxes] = [0, 1, 2, 3].map(|i| drawn.narrow(1, i, 1));
        let sure: Tensor = &previous * 2.0 - 1.0;
        let inside = &positive + &boxes * 0.2 + sure.clamp_min(0.0);
        // Around a box is outside; without one, everything is a little.
        let boxed = boxes.amax([2i64, 3].as_slice(), true);
        let elsewhere = (1.0 - &boxes) * &boxed + (1.0 - boxed) * UNKNOWN;
        let outside = &negative + elsewhere + (-sure).clamp_min(0.0);
        let middle = input.narrow(1, self.context / 2, 1);
        let grown = tch::no_grad(|| {
            let drawing = Drawing { previous: &previous, positive: &positive, negative: &negative, boxes: &boxes };
            grown(&middle, &drawing)
        });
        let full = |t: &Tensor| resize(t, size2(input));
        let (grown, seen) = (full(&grown), full(&appearance(&middle, &inside, &outside)));
        let x = [slices, drawn, grown.to_kind(input.kind()), seen.to_kind(input.kind())];
        let x = channels_last(&Tensor::cat(&x, 1));
        let [f2, f4, f8] = self.trunk.forward(&x, learnt);
        let change = f32(&self.decoder.decode(None, [&f2, &f4, &f8], &x));
        change + grown * &self.grown + seen * &self.appearance
    }
}
