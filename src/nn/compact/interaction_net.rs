//! Interaction network (paper §2.1, eq. 1): one U-shaped network for every kind of interaction. Strokes and points are
//! in the positive and negative map, boxes are filled.
//!
//! | step | output |
//! |---|---|
//! | slices, previous probability, guidance maps | `[N, CI + 4, H, W]` |
//! | cues: grown region, appearance | each `[N, 1, H, W]`, -1..1 |
//! | trunk over both | `f2`, `f4`, `f8` |
//! | mask decoder | residual `[N, 1, H, W]` |
//! | logit = residual + a * grown region + b * appearance, a and b learnt | `[N, 1, H, W]` |

use super::config::CompactConfig;
use super::cues::appearance::appearance;
use super::cues::geodesic::{Drawing, grown_region};
use super::image_encoder::{MEAN, SPREAD, Trunk};
use super::mask_decoder::{MaskDecoder, MaskDecoderOptions};
use crate::nn::layers::{f32, resize, size2};
use crate::nn::params::{Init, Params, channels_last};
use tch::Tensor;

/// Previous probability, positive, negative and box map.
const GUIDANCE: i64 = 4;
/// Grown region and appearance.
const CUES: i64 = 2;

/// Weight of the inside of a box in the histogram of the inside: a box holds surroundings, too. Chosen.
const IN_BOX: f64 = 0.2;
/// Weight of every pixel in the histogram of the outside when no box is drawn. Chosen.
const UNKNOWN: f64 = 0.02;
/// Weight a of the grown region before training. Chosen.
const GROWN_LOGIT: f64 = 4.0;
/// Weight b of the appearance before training. Chosen.
const APPEARANCE_LOGIT: f64 = 1.0;

/// Slices, previous probability and guidance maps to mask logits.
#[derive(Debug)]
pub struct InteractionNet {
    trunk: Trunk,
    decoder: MaskDecoder,
    context_slices: i64,
    /// Weight of the grown region, `[1]`.
    grown_weight: Tensor,
    /// Weight of the appearance, `[1]`.
    appearance_weight: Tensor,
}

impl InteractionNet {
    /// The network at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let inputs = config.context_slices + GUIDANCE + CUES;
        let options = MaskDecoderOptions { readout: 0, guide: 0, fine: inputs, refine: false };
        InteractionNet {
            trunk: Trunk::new(&params.sub("trunk"), inputs, config),
            decoder: MaskDecoder::new(&params.sub("decoder"), config, options),
            context_slices: config.context_slices,
            grown_weight: params.get_f32("grown", &[1], Init::Constant(GROWN_LOGIT)),
            appearance_weight: params.get_f32("appearance", &[1], Init::Constant(APPEARANCE_LOGIT)),
        }
    }

    /// The slices of an input.
    ///
    /// # Shapes
    /// `input`: `[N, CI + 4, H, W]` / `[N, CI, H, W]`.
    pub fn slices(&self, input: &Tensor) -> Tensor {
        input.narrow(1, 0, self.context_slices)
    }

    /// # Shapes
    /// `input`: `[N, CI + 4, H, W]`: slices, previous probability, positive, negative and box map, all 0..1; `learnt`:
    /// the backbone's features of the slices / logits `[N, 1, H, W]`, f32.
    pub fn forward(&self, input: &Tensor, learnt: Option<&[Tensor; 4]>) -> Tensor {
        let guidance = input.narrow(1, self.context_slices, GUIDANCE);
        let [previous, positive, negative, boxes] = [0, 1, 2, 3].map(|i| guidance.narrow(1, i, 1));
        let drawing = Drawing { previous: &previous, positive: &positive, negative: &negative, boxes: &boxes };
        // 1. Cues from the slice itself and the drawing.
        let slice = input.narrow(1, self.context_slices / 2, 1);
        let [inside, outside] = weights(&drawing);
        let full = |t: &Tensor| resize(t, size2(input));
        let grown = full(&tch::no_grad(|| grown_region(&slice, &drawing)));
        let appearance = full(&appearance(&slice, &inside, &outside));
        // 2. Trunk and decoder.
        let slices = (self.slices(input) - MEAN) / SPREAD;
        let x = [slices, guidance, grown.to_kind(input.kind()), appearance.to_kind(input.kind())];
        let x = channels_last(&Tensor::cat(&x, 1));
        let [f2, f4, f8] = self.trunk.forward(&x, learnt);
        let residual = f32(&self.decoder.forward(None, [&f2, &f4, &f8], &x));
        // 3. Residual over the weighted cues.
        residual + grown * &self.grown_weight + appearance * &self.appearance_weight
    }
}

/// Weights of the pixels in the histograms of inside and outside, by the drawing and the previous mask.
///
/// # Shapes
/// Each `[N, 1, H, W]`, at least 0.
fn weights(drawing: &Drawing) -> [Tensor; 2] {
    let Drawing { previous, positive, negative, boxes } = *drawing;
    // -1 outside..1 inside; 0 without a previous mask.
    let signed: Tensor = previous * 2.0 - 1.0;
    let inside = positive + boxes * IN_BOX + signed.clamp_min(0.0);
    // Everything around a box is outside.
    let has_box = boxes.amax([2i64, 3].as_slice(), true);
    let elsewhere = (1.0 - boxes) * &has_box + (1.0 - has_box) * UNKNOWN;
    let outside = negative + elsewhere + (-signed).clamp_min(0.0);
    [inside, outside]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_by_hand() {
        let row = |values: &[f32]| Tensor::from_slice(values).view([1, 1, 1, -1]);
        let values = |t: &Tensor| Vec::<f32>::try_from(t.view([-1])).unwrap();
        let check = |t: &Tensor, expected: [f32; 3]| {
            assert!(values(t).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{t:?}");
        };
        let (previous, nothing) = (row(&[1.0, 0.5, 0.0]), row(&[0.0, 0.0, 0.0]));
        let (positive, negative) = (row(&[0.0, 1.0, 0.0]), row(&[0.0, 0.0, 0.5]));
        let drawing = Drawing { previous: &previous, positive: &positive, negative: &negative, boxes: &nothing };
        let [inside, outside] = weights(&drawing);
        check(&inside, [1.0, 1.0, 0.0]);
        check(&outside, [0.02, 0.02, 0.02 + 0.5 + 1.0]);
        let boxes = row(&[0.0, 1.0, 0.0]);
        let undecided = row(&[0.5, 0.5, 0.5]);
        let drawing = Drawing { previous: &undecided, positive: &nothing, negative: &nothing, boxes: &boxes };
        let [inside, outside] = weights(&drawing);
        check(&inside, [0.0, 0.2, 0.0]);
        check(&outside, [1.0, 0.0, 1.0]);
    }
}
