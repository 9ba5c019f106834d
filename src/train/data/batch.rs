//! Clips as tensors.

use super::clips::Clip;
use tch::{Device, Kind, Tensor};

/// Clips of one length, joined.
#[derive(Debug)]
pub struct Batch {
    /// `[B, T, CI, H, W]`, f32.
    pub images: Tensor,
    /// `[B, T, 1, H, W]`, f32, 0..1.
    pub masks: Tensor,
    /// Slices from the first to each `[B, T]`, f32.
    pub steps: Tensor,
    /// Distance of neighbouring slices divided by the side of the region `[B, 1]`, f32.
    pub step: Tensor,
    /// Whether the second slice of each clip has a propagated mask.
    pub carried: Vec<bool>,
    /// Whether the last slice of each clip is annotated, with the others before it.
    pub ahead: Vec<bool>,
}

impl Batch {
    /// Joins `clips` (at least one, all of one length) on `device`.
    pub fn new(clips: &[Clip], context: usize, size: usize, device: Device) -> Batch {
        let join = |parts: Vec<&[f32]>, channels: usize| {
            let flat: Vec<Tensor> = parts.into_iter().map(Tensor::from_slice).collect();
            let shape = [-1, channels as i64, size as i64, size as i64];
            let stacked = Tensor::stack(&flat.iter().map(|t| t.view(shape)).collect::<Vec<_>>(), 0);
            stacked.to_device(device)
        };
        Batch {
            images: join(clips.iter().map(|c| c.images.as_slice()).collect(), context),
            masks: join(clips.iter().map(|c| c.masks.as_slice()).collect(), 1),
            steps: Tensor::stack(&clips.iter().map(|c| Tensor::from_slice(&c.steps)).collect::<Vec<_>>(), 0)
                .to_device(device),
            step: Tensor::from_slice(&clips.iter().map(|c| c.step).collect::<Vec<_>>()).unsqueeze(1).to_device(device),
            carried: clips.iter().map(|c| c.carried).collect(),
            ahead: clips.iter().map(|c| c.ahead).collect(),
        }
    }

    /// B.
    pub fn clips(&self) -> i64 {
        self.images.size()[0]
    }

    /// T.
    pub fn length(&self) -> i64 {
        self.images.size()[1]
    }

    /// Slices from the first to slice `t`, and their distance divided by the side of the region, each `[B, 1]`.
    pub fn steps_to(&self, t: i64) -> [Tensor; 2] {
        let steps = self.steps.narrow(1, t, 1);
        let distance = &steps * &self.step;
        [steps, distance]
    }

    /// Truth of slice `t` of every clip, `[B, 1, H, W]`.
    pub fn mask(&self, t: i64) -> Tensor {
        self.masks.select(1, t)
    }
}

/// A tensor `[1, 1, side, side]` as an array.
pub(crate) fn array(t: &Tensor) -> Vec<f32> {
    let flat = t.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(&flat).expect("a flat f32 tensor")
}
