//! Query encoder: a slice's image -> key, value and skip features of the decoder (Mem3D §2.2).
//!
//! | tensor | shape |
//! |---|---|
//! | slice, normalised | `[N, 3, H, W]` |
//! | `f4`, `f8`, `f16` | `[N, 256, H/4, W/4]`, `[N, 512, H/8, W/8]`, `[N, 1024, H/16, W/16]` |
//! | key | `[N, CK, H/16, W/16]` |
//! | value | `[N, CV, H/16, W/16]` |

use super::resnet::{Depth, Features, Trunk};
use crate::nn::layers::{Conv, ConvOptions};
use crate::nn::params::{Init, Params};
use tch::Tensor;

/// Key and value of a feature map: a 3x3 convolution each.
#[derive(Debug)]
pub struct KeyValue {
    key: Conv,
    value: Conv,
}

impl KeyValue {
    /// The two convolutions at `params`.
    pub fn new(params: &Params, inputs: i64, key_channels: i64, value_channels: i64) -> Self {
        let conv = |outputs| ConvOptions::new(inputs, outputs, 3).init(Init::Lecun);
        KeyValue {
            key: Conv::new(&params.sub("key"), conv(key_channels)),
            value: Conv::new(&params.sub("value"), conv(value_channels)),
        }
    }

    /// # Shapes
    /// `x`: `[N, C, h, w]` / key `[N, CK, h, w]`, value `[N, CV, h, w]`.
    pub fn forward(&self, x: &Tensor) -> (Tensor, Tensor) {
        (self.key.forward(x), self.value.forward(x))
    }
}

/// `slices` normalised by the mean and standard deviation of ImageNet, as the pretrained trunks expect.
///
/// # Shapes
/// `slices`: `[N, 3, H, W]`, 0..1 / the same.
pub fn normalise(slices: &Tensor) -> Tensor {
    let row = |values: [f32; 3]| {
        Tensor::from_slice(&values).reshape([1, 3, 1, 1]).to_kind(slices.kind()).to_device(slices.device())
    };
    (slices - row([0.485, 0.456, 0.406])) / row([0.229, 0.224, 0.225])
}

/// Output of the query encoder.
#[derive(Debug)]
pub struct Query {
    /// `[N, CK, H / 16, W / 16]`.
    pub key: Tensor,
    /// `[N, CV, H / 16, W / 16]`.
    pub value: Tensor,
    /// Features of the trunk.
    pub features: Features,
}

/// ResNet-50 to `f16`, and a key and a value of it.
#[derive(Debug)]
pub struct QueryEncoder {
    trunk: Trunk,
    key_value: KeyValue,
}

impl QueryEncoder {
    /// The encoder at `params`.
    pub fn new(params: &Params, key_channels: i64, value_channels: i64) -> Self {
        QueryEncoder {
            trunk: Trunk::new(&params.sub("trunk"), 3, Depth::ResNet50),
            key_value: KeyValue::new(params, 1024, key_channels, value_channels),
        }
    }

    /// # Shapes
    /// `slices`: `[N, 3, H, W]`, normalised / see [`Query`].
    pub fn forward(&self, slices: &Tensor) -> Query {
        let features = self.trunk.forward(slices);
        let (key, value) = self.key_value.forward(&features.f16);
        Query { key, value, features }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_mean_of_imagenet_becomes_0() {
        let x = Tensor::full([1, 3, 1, 1], 0.485 + 0.229, (Kind::Float, Device::Cpu));
        let y = normalise(&x);
        assert!((y.double_value(&[0, 0, 0, 0]) - 1.0).abs() < 1e-6);
        assert!((y.double_value(&[0, 2, 0, 0]) - (0.714 - 0.406) / 0.225).abs() < 1e-6);
    }
}
