//! Quality head (paper §2.3, eq. 8): features, readout and mask to whether the slice holds the target, and the mask's expected
//! IoU if it does. Three convolutions, pooling over the mask and over the whole region, three fully connected layers, which are
//! also told what changed since the slice before and the annotated one; any input size.

use super::blocks::ConvNorm;
use super::config::CompactConfig;
use super::cues::end_features::{END_FEATURES, end_features};
use super::decoder::GUIDE_AND_NOVELTY;
use crate::nn::layers::{ConvOptions, Linear, resize, size2};
use crate::nn::networks::{ImageFeatures, SliceContext};
use crate::nn::params::{Init, Params};
use tch::{Kind, Tensor};

/// Channels of the convolutions.
const WIDTH: i64 = 64;
/// Maps that are pooled as they are: what the decoder tells, probability and certainty. Normalisation takes out of the
/// convolutions' answers how strong something is everywhere.
const RAW: i64 = GUIDE_AND_NOVELTY + 2;
/// Smallest weight of the mask's pooling, so that an empty mask pools nothing rather than noise.
const LEAST_AREA: f64 = 1.0;

/// Presence of the target, and IoU where it is present.
const OUTPUTS: i64 = 2;
/// Weight and bias of the last layer before training: sure of everything, so that masks are kept.
const SURE: [Init; 2] = [Init::Normal(0.02), Init::Constant(2.0)];

/// Features, readout and probability to logits of presence and IoU.
#[derive(Debug)]
pub struct QualityHead {
    convs: [ConvNorm; 3],
    linears: [Linear; 3],
    /// Channels of the readout before what the decoder tells.
    values: i64,
}

impl QualityHead {
    /// The head at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let inputs = config.channels[2] + config.value_channels + GUIDE_AND_NOVELTY + 2;
        let conv = |i: usize, inputs| {
            ConvNorm::new(&params.sub(format!("conv.{i}")), ConvOptions::new(inputs, WIDTH, 3), config.groups)
        };
        let linear = |i: usize, inputs, outputs| Linear::new(&params.sub(format!("linear.{i}")), inputs, outputs);
        QualityHead {
            convs: [conv(0, inputs), conv(1, WIDTH), conv(2, WIDTH)],
            linears: [
                linear(0, 2 * WIDTH + 2 * RAW + END_FEATURES, WIDTH),
                linear(1, WIDTH, WIDTH / 2),
                Linear::with_init(&params.sub("linear.2"), WIDTH / 2, OUTPUTS, SURE),
            ],
            values: config.value_channels,
        }
    }

    /// # Shapes
    /// `readout`: `[N, CV + 7, h, w]`, what the decoder tells included; `probability`: `[N, 1, H, W]` / logits `[N, 2]`.
    pub fn forward(
        &self,
        features: &ImageFeatures,
        readout: &Tensor,
        probability: &Tensor,
        context: &SliceContext,
    ) -> Tensor {
        let f8 = &features.skips[2];
        let slice = features.slices.narrow(1, features.slices.size()[1] / 2, 1);
        let end_features = end_features(&slice, probability, context);
        let probability = &probability.to_kind(f8.kind());
        let certainty = (probability * 2.0 - 1.0).abs();
        let maps = resize(&Tensor::cat(&[probability, &certainty], 1), size2(f8));
        let mask = maps.narrow(1, 0, 1);
        let x = Tensor::cat(&[f8, readout, &maps], 1);
        let x = self.convs.iter().fold(x, |x, conv| conv.forward(&x));
        let dims = [2i64, 3];
        let sum = |t: &Tensor| t.sum_dim_intlist(dims.as_slice(), false, None::<Kind>);
        let area = sum(&mask).clamp_min(LEAST_AREA);
        let raw = Tensor::cat(&[readout.narrow(1, self.values, GUIDE_AND_NOVELTY), maps], 1);
        let x = Tensor::cat(&[x, raw], 1);
        let inside = sum(&(&x * &mask)) / &area;
        let whole = x.mean_dim(dims.as_slice(), false, None::<Kind>);
        let x = Tensor::cat(&[inside, whole, end_features.to_kind(f8.kind())], 1);
        let x = self.linears[0].forward(&x).relu();
        let x = self.linears[1].forward(&x).relu();
        self.linears[2].forward(&x)
    }
}
