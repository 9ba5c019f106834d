//! Memory encoder: a slice's image and its mask -> key and value (Mem3D §2.2).
//!
//! | tensor | shape |
//! |---|---|
//! | slice, normalised; mask | `[N, 3, H, W]`, `[N, 1, H, W]` |
//! | input: slice, mask, 1 - mask | `[N, 5, H, W]` |
//! | `f16` | `[N, 1024, H/16, W/16]` |
//! | key, value | `[N, CK, H/16, W/16]`, `[N, CV, H/16, W/16]` |
//!
//! The published code has one first convolution each for slice, mask and background and adds the three; one convolution
//! over all five channels gives the same sum.

use super::query_encoder::KeyValue;
use super::resnet::{Depth, Trunk};
use crate::nn::params::Params;
use tch::Tensor;

/// ResNet-50 to `f16` over slice, mask and background, and a key and a value of it.
#[derive(Debug)]
pub struct MemoryEncoder {
    trunk: Trunk,
    key_value: KeyValue,
}

/// Output of the memory encoder.
#[derive(Debug)]
pub struct Memorized {
    /// `[N, CK, H / 16, W / 16]`.
    pub key: Tensor,
    /// `[N, CV, H / 16, W / 16]`.
    pub value: Tensor,
    /// `[N, 1024, H / 16, W / 16]`.
    pub f16: Tensor,
}

impl MemoryEncoder {
    /// The encoder at `params`.
    pub fn new(params: &Params, key_channels: i64, value_channels: i64) -> Self {
        MemoryEncoder {
            trunk: Trunk::new(&params.sub("trunk"), 5, Depth::ResNet50),
            key_value: KeyValue::new(params, 1024, key_channels, value_channels),
        }
    }

    /// # Shapes
    /// `slices`: `[N, 3, H, W]`, normalised; `masks`: `[N, 1, H, W]`, 0..1 / see [`Memorized`].
    pub fn forward(&self, slices: &Tensor, masks: &Tensor) -> Memorized {
        let background: Tensor = 1.0 - masks;
        let f16 = self.trunk.forward(&Tensor::cat(&[slices, masks, &background], 1)).f16;
        let (key, value) = self.key_value.forward(&f16);
        Memorized { key, value, f16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::{Device, Kind};

    #[test]
    fn the_mask_changes_key_and_value() {
        let encoder = MemoryEncoder::new(&Params::init(1, Target::default()), 4, 8);
        let slices = Tensor::full([1, 3, 32, 32], 0.5, (Kind::Float, Device::Cpu));
        let empty = Tensor::zeros([1, 1, 32, 32], (Kind::Float, Device::Cpu));
        let (a, b) = (encoder.forward(&slices, &empty), encoder.forward(&slices, &empty.ones_like()));
        assert_eq!(
            (a.key.size(), a.value.size(), a.f16.size()),
            (vec![1, 4, 2, 2], vec![1, 8, 2, 2], vec![1, 1024, 2, 2])
        );
        assert!(!a.key.equal(&b.key) && !a.value.equal(&b.value));
    }
}
