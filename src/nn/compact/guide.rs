//! The guide: cues that propagate the mask before anything is learnt. The decoder receives six channels of it at every
//! stride, the quality head all seven at stride 8.
//!
//! | channel | cue | computed at | range |
//! |---|---|---|---|
//! | 1, 2 | labels from all memory, from the annotated slices | stride 8 | -1 outside..1 inside |
//! | 3 | expected shape | stride 1 | -1..1, positive inside |
//! | 4 | appearance | stride 2 | -1..1, 0 unknown |
//! | 5 | likeness to the annotated slice | stride 2 | -1..1, 0 unknown |
//! | 6 | matched label | stride 2 | -1 outside..1 inside |
//! | 7 | novelty | stride 2 | 0..1 |

use super::cues::appearance::appearance_and_likeness;
use super::cues::matched::{Displacements, Matches};
use super::image_groups::ImageGroups;
use crate::nn::layers::{resize, size2};
use crate::nn::networks::{Guide, SliceContext};
use tch::{Kind, Tensor};

/// Labels read from the memory: from all of it, from the annotated slices alone.
pub(super) const LABELS: i64 = 2;
/// Channels of the guide for the decoder.
pub(super) const GUIDE: i64 = LABELS + 4;
/// Channels of the guide for the quality head.
pub(super) const GUIDE_AND_NOVELTY: i64 = GUIDE + 1;

/// Slope of the pixels' weights inside and outside of the expected shape: full at a quarter of the reach of its signed
/// distance. Chosen.
const WEIGHT: f64 = 4.0;
/// Signed distances below this are clamped: those pixels are too far away to be the target's surroundings. Chosen.
const BEYOND_REACH: f64 = -0.999;
/// Stride at which appearance, likeness, matched label and novelty are computed.
const CUE_STRIDE: i64 = 2;
/// Stride of the quality head's maps.
const COARSE_STRIDE: i64 = 8;

impl Guide {
    /// Computes the cues of query slices; what depends on the image alone, once for each of the `groups`.
    ///
    /// # Shapes
    /// `slice`: `[N, 1, H, W]`, 0..1; `labels`: `[N, 2, H/8, W/8]`, f32; `context`: of N slices / see [`Guide`].
    pub(super) fn new(
        slice: &Tensor,
        labels: Tensor,
        context: &SliceContext,
        groups: &ImageGroups,
        displacements: &Displacements,
    ) -> Guide {
        let matches = Matches::new(displacements, &groups.once(slice), &groups.once(&context.previous_slice));
        let shape = &context.expected_shape;
        let inside = (shape * WEIGHT).clamp(0.0, 1.0);
        let outside = (shape * -WEIGHT).clamp(0.0, 1.0) * shape.gt(BEYOND_REACH).to_kind(shape.kind());
        let annotated = [&context.annotated_slice, &context.annotated_mask];
        let matched_label = matches.label(&context.previous_mask, groups);
        let novelty = groups.spread(&matches.novelty);
        let [appearance, likeness] = appearance_and_likeness(slice, [&inside, &outside], annotated);
        Guide {
            labels,
            expected_shape: shape.shallow_clone(),
            appearance,
            likeness,
            matched_label,
            novelty,
            familiarity: None,
        }
    }

    /// The channels at a coarser stride: 2, 4 or 8.
    ///
    /// # Shapes
    /// `[N, 6, H/stride, W/stride]`, `kind`.
    pub(super) fn at_stride(&self, stride: i64, kind: Kind) -> Tensor {
        let [appearance, likeness, matched_label] =
            [&self.appearance, &self.likeness, &self.matched_label].map(|cue| pooled(cue, stride / CUE_STRIDE));
        let labels = resize(&self.labels, size2(&matched_label));
        let expected_shape = pooled(&self.expected_shape, stride);
        Tensor::cat(&[labels, expected_shape, appearance, likeness, matched_label], 1).to_kind(kind)
    }

    /// The channels at stride 8 with the novelty.
    ///
    /// # Shapes
    /// `[N, 7, H/8, W/8]`, `kind`.
    pub(super) fn with_novelty(&self, kind: Kind) -> Tensor {
        let novelty = pooled(&self.novelty, COARSE_STRIDE / CUE_STRIDE).to_kind(kind);
        Tensor::cat(&[self.at_stride(COARSE_STRIDE, kind), novelty], 1)
    }

    /// The cues at full resolution.
    pub(super) fn at_full_resolution(&self) -> FullGuide {
        let size = size2(&self.expected_shape);
        let cues = resize(&Tensor::cat(&[&self.appearance, &self.likeness, &self.matched_label], 1), size);
        let [appearance, likeness, matched_label] = [0, 1, 2].map(|i| cues.narrow(1, i, 1));
        FullGuide {
            labels: resize(&self.labels, size),
            expected_shape: self.expected_shape.shallow_clone(),
            appearance,
            likeness,
            matched_label,
        }
    }
}

/// The guide at full resolution, f32: `labels` `[N, 2, H, W]`, the others `[N, 1, H, W]`.
pub(super) struct FullGuide {
    pub labels: Tensor,
    pub expected_shape: Tensor,
    pub appearance: Tensor,
    pub likeness: Tensor,
    pub matched_label: Tensor,
}

impl FullGuide {
    /// Slices and guide in one tensor, in the slices' kind.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]` / `[N, CI + 6, H, W]`.
    pub fn beside(&self, slices: &Tensor) -> Tensor {
        let FullGuide { labels, expected_shape, appearance, likeness, matched_label } = self;
        let [labels, expected_shape, appearance, likeness, matched_label] =
            [labels, expected_shape, appearance, likeness, matched_label].map(|t| t.to_kind(slices.kind()));
        Tensor::cat(&[slices, &labels, &expected_shape, &appearance, &likeness, &matched_label], 1)
    }
}

/// Means of `n` x `n` pixels.
fn pooled(t: &Tensor, n: i64) -> Tensor {
    if n == 1 { t.shallow_clone() } else { t.avg_pool2d([n, n], [n, n], [0, 0], false, true, None::<i64>) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Constant cues 0.1, 0.2, .. 0.7 in the order of the channels, 16 x 16 pixels.
    fn guide() -> Guide {
        let map = |values: &[f32], side: i64| {
            let values = Tensor::from_slice(values).view([1, -1, 1, 1]);
            values.expand([1, -1, side, side], false).contiguous()
        };
        Guide {
            labels: map(&[0.1, 0.2], 2),
            expected_shape: map(&[0.3], 16),
            appearance: map(&[0.4], 8),
            likeness: map(&[0.5], 8),
            matched_label: map(&[0.6], 8),
            novelty: map(&[0.7], 8),
            familiarity: None,
        }
    }

    fn check(stacked: &Tensor, channels: &[f64], side: i64) {
        assert_eq!(stacked.size(), [1, channels.len() as i64, side, side]);
        for (i, expected) in channels.iter().enumerate() {
            let difference = (stacked.narrow(1, i as i64, 1) - *expected).abs().max().double_value(&[]);
            assert!(difference < 1e-6, "channel {i} differs by {difference}");
        }
    }

    #[test]
    fn channels_are_in_the_order_of_the_table_at_every_stride() {
        let guide = guide();
        let six = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
        for stride in [2, 4, 8] {
            check(&guide.at_stride(stride, Kind::Float), &six, 16 / stride);
        }
        check(&guide.with_novelty(Kind::Float), &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], 2);
        let slices = Tensor::full([1, 1, 16, 16], 0.9, (Kind::Float, Device::Cpu));
        check(&guide.at_full_resolution().beside(&slices), &[0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 16);
    }

    #[test]
    fn coarser_strides_are_means() {
        let guide = guide();
        // One pixel of 0 among the 4 x 4 of a place at stride 8.
        let _ = guide.appearance.narrow(2, 0, 1).narrow(3, 0, 1).fill_(0.0);
        let coarse = guide.at_stride(8, Kind::Float);
        assert!((coarse.double_value(&[0, 3, 0, 0]) - 0.4 * 15.0 / 16.0).abs() < 1e-6);
        assert!((coarse.double_value(&[0, 3, 1, 1]) - 0.4).abs() < 1e-6);
    }
}
