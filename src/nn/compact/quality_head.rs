//! Quality head (paper §2.3, eq. 8): presence of the target on a slice, and expected IoU of its mask where it is
//! present.
//!
//! | step | output |
//! |---|---|
//! | `f8`, readout, guide with novelty, probability p, certainty abs(2p - 1), at stride 8 | `[N, C8 + CV + 9, h, w]` |
//! | with familiarity, if the configuration has it | `[N, C8 + CV + 11, h, w]`; 11 maps instead of 9 from here on |
//! | three 3x3 convolutions | `[N, 64, h, w]` |
//! | means inside the mask and over the region, of these and of the 9 maps before normalisation | `[N, 2 (64 + 9)]` |
//! | with the features of the end, three fully connected layers | logits `[N, 2]` |
//!
//! It takes any input size. The convolutions' normalisation removes how strong a map is everywhere, so the maps
//! themselves are pooled, too.

use super::blocks::ConvNorm;
use super::config::CompactConfig;
use super::cues::end_features::{END_FEATURES, EndFeatures};
use super::guide::GUIDE_AND_NOVELTY;
use crate::nn::layers::{ConvOptions, Linear, resize, size2};
use crate::nn::networks::{ImageFeatures, Segmented, SliceContext};
use crate::nn::params::{Init, Params};
use tch::{Kind, Tensor};

/// Channels of the convolutions. Chosen.
const WIDTH: i64 = 64;
/// Maps that are pooled directly: guide with novelty, probability and certainty.
const MAPS: i64 = GUIDE_AND_NOVELTY + 2;
/// Maps of the familiarity, after the others.
const FAMILIARITY: i64 = 2;
/// Least area that the mask's mean is divided by, so that an empty mask gives 0. Positions at stride 8, chosen.
const LEAST_AREA: f64 = 1.0;

/// Logits: presence, IoU.
const OUTPUTS: i64 = 2;
/// Weights and bias of the last layer before training: a probability of 0.88, so that masks are kept. Chosen.
const LAST_LAYER: [Init; 2] = [Init::Normal(0.02), Init::Constant(2.0)];

/// Features, readout, guide and probability to logits of presence and IoU.
#[derive(Debug)]
pub struct QualityHead {
    convs: [ConvNorm; 3],
    linears: [Linear; 3],
}

impl QualityHead {
    /// The head at `params`.
    pub fn new(params: &Params, config: &CompactConfig) -> Self {
        let maps = if config.familiarity { MAPS + FAMILIARITY } else { MAPS };
        let inputs = config.channels[2] + config.value_channels + maps;
        let conv = |i: usize, inputs| {
            ConvNorm::new(&params.sub(format!("conv.{i}")), ConvOptions::new(inputs, WIDTH, 3), config.groups)
        };
        let linear = |i: usize, inputs, outputs| Linear::new(&params.sub(format!("linear.{i}")), inputs, outputs);
        QualityHead {
            convs: [conv(0, inputs), conv(1, WIDTH), conv(2, WIDTH)],
            linears: [
                linear(0, 2 * (WIDTH + maps) + END_FEATURES, WIDTH),
                linear(1, WIDTH, WIDTH / 2),
                Linear::with_init(&params.sub("linear.2"), WIDTH / 2, OUTPUTS, LAST_LAYER),
            ],
        }
    }

    /// # Panics
    /// Without a guide.
    ///
    /// # Shapes
    /// `features`, `segmented`, `context`: of N slices / logits of presence and IoU `[N, 2]`.
    pub fn forward(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Tensor {
        let f8 = &features.skips[2];
        let kind = f8.kind();
        // 1. Features of the end.
        let end_features = EndFeatures::new(&features.query_slice(), &segmented.probability, context).stacked();
        // 2. Maps at stride 8.
        let guide = segmented.guide.as_ref().expect("decoded by this network");
        let probability = &segmented.probability.to_kind(kind);
        let certainty = (probability * 2.0 - 1.0).abs();
        let mask_maps = resize(&Tensor::cat(&[probability, &certainty], 1), size2(f8));
        let mut maps = vec![guide.with_novelty(kind), mask_maps.shallow_clone()];
        maps.extend(guide.familiarity.as_ref().map(|familiarity| familiarity.to_kind(kind)));
        let maps = Tensor::cat(&maps, 1);
        // 3. Convolutions.
        let x = Tensor::cat(&[f8, &segmented.readout, &maps], 1);
        let x = self.convs.iter().fold(x, |x, conv| conv.forward(&x));
        // 4. Means inside the mask and over the region.
        let x = Tensor::cat(&[x, maps], 1);
        let dims = [2i64, 3];
        let sum = |t: &Tensor| t.sum_dim_intlist(dims.as_slice(), false, None::<Kind>);
        let mask = mask_maps.narrow(1, 0, 1);
        let inside = sum(&(&x * &mask)) / sum(&mask).clamp_min(LEAST_AREA);
        let whole = x.mean_dim(dims.as_slice(), false, None::<Kind>);
        // 5. Fully connected layers.
        let x = Tensor::cat(&[inside, whole, end_features.to_kind(kind)], 1);
        let x = self.linears[0].forward(&x).relu();
        let x = self.linears[1].forward(&x).relu();
        self.linears[2].forward(&x)
    }
}
