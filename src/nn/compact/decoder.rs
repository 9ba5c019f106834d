//! Decoder of the memory network (paper §2.2, eq. 7): readout, skips and [`Guide`] to a mask at full resolution.
//!
//! Every level receives the guide's channels. The output is a residual over four of the cues, so that untrained weights
//! already propagate the mask:
//!
//! logit = mask decoder + a * expected shape + b * matched label + c * label from all memory + d * label from annotated
//! slices, with learnt weights a to d.

use super::config::CompactConfig;
use super::guide::{GUIDE, LABELS};
use super::image_encoder::{MEAN, SPREAD};
use super::mask_decoder::{MaskDecoder, MaskDecoderOptions};
use crate::nn::layers::f32;
use crate::nn::networks::{Guide, ImageFeatures};
use crate::nn::params::{Init, Params, channels_last};
use tch::{Kind, Tensor};

/// Weights a and b of expected shape and matched label before training: cues of 1 give a probability of 0.82, which the
/// mask decoder can overrule. Chosen.
const CUE_LOGIT: f64 = 1.5;
/// Weights c and d of the labels from memory before training. Chosen.
const LABEL_LOGIT: f64 = 0.5;

/// Readout, skips and guide to mask logits.
#[derive(Debug)]
pub struct Decoder {
    mask: MaskDecoder,
    /// Weights of expected shape and matched label, `[2]`.
    cue_weights: Tensor,
    /// Weights of the labels from all memory and from the annotated slices, `[2]`.
    label_weights: Tensor,
}

impl Decoder {
    /// The decoder at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let options = MaskDecoderOptions {
            readout: config.value_channels,
            guide: GUIDE,
            fine: config.context_slices + GUIDE,
            refine: true,
        };
        Decoder {
            mask: MaskDecoder::new(params, config, options),
            cue_weights: params.get_f32("expected", &[2], Init::Constant(CUE_LOGIT)),
            label_weights: params.get_f32("labels", &[LABELS], Init::Constant(LABEL_LOGIT)),
        }
    }

    /// # Shapes
    /// `readout`: `[N, CV, H/8, W/8]`; `guide`, `features`: of N slices / logits `[N, 1, H, W]`, f32.
    pub fn forward(&self, readout: &Tensor, guide: &Guide, features: &ImageFeatures) -> Tensor {
        let kind = features.slices.kind();
        // 1. Skips: features and guide at strides 2, 4 and 8. One memory layout, or convolutions would convert it.
        let skip = |(features, stride): (&Tensor, i64)| {
            Tensor::cat(&[features, &channels_last(&guide.at_stride(stride, kind))], 1)
        };
        let [f2, f4, f8] = [(&features.skips[0], 2), (&features.skips[1], 4), (&features.skips[2], 8)].map(skip);
        // 2. Full resolution: slices and guide.
        let full = guide.at_full_resolution();
        let fine = channels_last(&full.beside(&((&features.slices - MEAN) / SPREAD)));
        // 3. Residual.
        let residual = self.mask.forward(Some(readout), [&f2, &f4, &f8], &fine);
        // 4. Weighted cues.
        let cue_weight = |i: i64| self.cue_weights.narrow(0, i, 1);
        let cues = f32(&full.expected_shape) * cue_weight(0) + full.matched_label * cue_weight(1);
        let labels = full.labels * self.label_weights.view([1, LABELS, 1, 1]);
        residual + cues + labels.sum_dim_intlist(1, true, Kind::Float)
    }
}
