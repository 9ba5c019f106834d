//! Matched label and novelty: non-local label fusion of the previous mask (Coupé et al., "Patch-based segmentation
//! using expert priors", 2011; Rousseau et al., 2011). Each pixel is compared with the pixels in a disc around it on
//! the previous slice, by 3 x 3 patches at half resolution.
//!
//! | quantity | formula |
//! |---|---|
//! | difference d of a displacement | mean squared difference of the patches |
//! | noise v | mean over the slice of the smallest d of each pixel, plus [`NOISE`] |
//! | weight | softmax over displacements of -d / (2 v) - distance² / (2 [`NEAR`]²) |
//! | matched label | 2 Σ weight * previous mask - 1, in -1..1 |
//! | novelty | smallest d / ([`NEW`] v), in 0..1 |

use super::pooling::{half, mean3, on_cpu};
use crate::nn::compact::image_groups::ImageGroups;
use crate::nn::layers::size2;
use tch::{Device, Kind, Tensor};

/// Radius of the disc, pixels at half resolution: 49 displacements. Chosen: a square of 121 gives the same quality and
/// is slower (docs/experiments.md, "Propagation and decoder").
const RADIUS: i64 = 4;
/// Standard deviation of the prior for small displacements, pixels at half resolution. Chosen.
const NEAR: f64 = 2.5;
/// Least variance of the noise, for intensities 0..1: a standard deviation of 0.01. Chosen.
const NOISE: f64 = 1e-4;
/// Smallest difference, over the noise, at which the novelty is 1. Chosen.
const NEW: f64 = 8.0;

/// Weights of the displacements. They depend on the images alone and are shared by all masks of a slice.
pub(crate) struct Matches<'a> {
    displacements: &'a Displacements,
    /// `[G, displacements, H / 2, W / 2]`; the weights of a pixel add up to 1.
    weights: Tensor,
    /// `[G, 1, H / 2, W / 2]`, f32, 0..1.
    pub novelty: Tensor,
}

/// The displacements: rows and columns from a pixel to those of the disc.
fn disc() -> impl Iterator<Item = (i64, i64)> {
    let square = (-RADIUS..=RADIUS).flat_map(|r| (-RADIUS..=RADIUS).map(move |c| (r, c)));
    square.filter(|(r, c)| r * r + c * c <= RADIUS * RADIUS)
}

/// The displacements as tensors on one device.
#[derive(Debug)]
pub(crate) struct Displacements {
    /// Indices in the square of 2 RADIUS + 1 pixels a side, row by row.
    indices: Tensor,
    /// Negative logarithm of the prior, `[1, displacements, 1, 1]`.
    penalties: Tensor,
}

impl Displacements {
    pub fn on(device: Device) -> Displacements {
        let side = 2 * RADIUS + 1;
        let indices: Vec<i64> = disc().map(|(r, c)| (RADIUS + r) * side + RADIUS + c).collect();
        let penalties: Vec<f32> = disc().map(|(r, c)| (r * r + c * c) as f32 / (2.0 * NEAR * NEAR) as f32).collect();
        Displacements {
            indices: Tensor::from_slice(&indices).to_device(device),
            penalties: Tensor::from_slice(&penalties).view([1, -1, 1, 1]).to_device(device),
        }
    }

    /// The pixel at each displacement from each pixel.
    ///
    /// # Shapes
    /// `[N, 1, H + 2 RADIUS, W + 2 RADIUS]` / `[N, displacements, H, W]`.
    fn around(&self, padded: &Tensor) -> Tensor {
        let side = 2 * RADIUS + 1;
        let squares = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4, 5);
        squares.index_select(4, &self.indices).squeeze_dim(1).permute([0, 3, 1, 2])
    }
}

impl<'a> Matches<'a> {
    /// Compares the patches of slices with those of their previous slices.
    ///
    /// # Shapes
    /// `slice`, `previous_slice`: `[G, 1, H, W]`, 0..1.
    pub fn new(displacements: &'a Displacements, slice: &Tensor, previous_slice: &Tensor) -> Matches<'a> {
        let slice = half(slice);
        let [height, width] = size2(&slice);
        let padded = half(previous_slice).replication_pad2d([RADIUS; 4]);
        let mut difference = if on_cpu(&slice) {
            let moved = |(r, c)| padded.narrow(2, RADIUS + r, height).narrow(3, RADIUS + c, width) - &slice;
            Tensor::cat(&disc().map(moved).collect::<Vec<_>>(), 1)
        } else {
            displacements.around(&padded) - &slice
        };
        let mut difference = mean3(&difference.square_());
        // The noise is that of the slice: faint targets are matched as finely as bright ones.
        let best = difference.amin([1i64].as_slice(), true);
        let noise = best.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float) + NOISE;
        let novelty = (best / &noise / NEW).clamp(0.0, 1.0);
        let sharpness: Tensor = -0.5 / noise;
        difference *= sharpness;
        difference -= &displacements.penalties;
        let weights = difference.softmax(1, Kind::Float);
        Matches { displacements, weights, novelty }
    }

    /// Matched labels, -1 outside..1 inside; `groups` maps masks to slices.
    ///
    /// # Shapes
    /// `previous_mask`: `[N, 1, H, W]`, 0..1 / `[N, 1, H / 2, W / 2]`, f32.
    pub fn label(&self, previous_mask: &Tensor, groups: &ImageGroups) -> Tensor {
        let mask = half(previous_mask);
        let [height, width] = size2(&mask);
        let padded = mask.replication_pad2d([RADIUS; 4]);
        groups.join(&self.weights, &padded, |weights, padded| {
            if !on_cpu(padded) {
                return (self.displacements.around(padded) * weights).sum_dim_intlist(1, true, Kind::Float) * 2.0 - 1.0;
            }
            let mut label = Tensor::full([padded.size()[0], 1, height, width], -0.5, (Kind::Float, padded.device()));
            for (i, (r, c)) in disc().enumerate() {
                let moved = padded.narrow(2, RADIUS + r, height).narrow(3, RADIUS + c, width);
                let _ = label.addcmul_(&moved, &weights.narrow(1, i as i64, 1));
            }
            label * 2.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(slice: &Tensor, previous_slice: &Tensor, previous_mask: &Tensor) -> (Tensor, Tensor) {
        let displacements = Displacements::on(Device::Cpu);
        let matches = Matches::new(&displacements, slice, previous_slice);
        (matches.label(previous_mask, &ImageGroups::new(&[0])), matches.novelty)
    }

    #[test]
    fn both_ways_to_shift_a_map_agree() {
        let values: Vec<f32> = (0..2 * 14 * 13).map(|i| i as f32).collect();
        let padded = Tensor::from_slice(&values).view([2, 1, 14, 13]);
        let moved = |(r, c)| padded.narrow(2, RADIUS + r, 14 - 2 * RADIUS).narrow(3, RADIUS + c, 13 - 2 * RADIUS);
        let one_by_one = Tensor::cat(&disc().map(moved).collect::<Vec<_>>(), 1);
        assert!(Displacements::on(Device::Cpu).around(&padded).equal(&one_by_one));
    }

    /// A bright square of 12 pixels on a dark ground whose left edge lies at `left`, 32 x 32.
    fn square(left: i64) -> Tensor {
        let image = Tensor::zeros([1, 1, 32, 32], (Kind::Float, Device::Cpu));
        let _ = image.narrow(2, 10, 12).narrow(3, left, 12).fill_(1.0);
        image
    }

    #[test]
    fn the_mask_follows_equal_patches() {
        // The square moved by four pixels: two at half resolution.
        let (before, now) = (square(8), square(12));
        let (label, novelty) = matched(&now, &before, &before);
        assert!(novelty.max().double_value(&[]) < 0.01);
        assert_eq!(label.size(), [1, 1, 16, 16]);
        let at = |c: i64| label.double_value(&[0, 0, 7, c]);
        assert!(at(7) > 0.9 && at(11) > 0.9, "{} {}", at(7), at(11));
        assert!(at(4) < -0.9 && at(13) < -0.9, "{} {}", at(4), at(13));
    }

    #[test]
    fn a_target_without_match_is_new() {
        let dark = square(10).zeros_like();
        let (label, novelty) = matched(&square(10), &dark, &square(10));
        // The middle of the square is new, the ground is not; the mask stays.
        assert!(novelty.double_value(&[0, 0, 8, 8]) > 0.5 && novelty.double_value(&[0, 0, 1, 1]) < 0.01);
        assert!(label.double_value(&[0, 0, 8, 8]) > 0.0);
    }

    #[test]
    fn without_contrast_the_mask_stays() {
        let flat = Tensor::full([1, 1, 32, 32], 0.3, (Kind::Float, Device::Cpu));
        let (label, _) = matched(&flat, &flat, &square(10));
        let at = |c: i64| label.double_value(&[0, 0, 7, c]);
        assert!(at(8) > 0.0 && at(1) < -0.8, "{} {}", at(8), at(1));
    }
}
