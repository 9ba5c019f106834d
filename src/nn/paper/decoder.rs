//! Decoder: readout and skip features -> mask logits, refined from stride 16 to stride 4 (Mem3D §2.2, eq. 7).
//!
//! | tensor | shape |
//! |---|---|
//! | readout: memory readout, query value | `[N, 2 * CV, H/16, W/16]` |
//! | pyramid, residual block | `[N, 256, H/16, W/16]` |
//! | refined with `f8`, then with `f4` | `[N, 256, H/8, W/8]`, `[N, 256, H/4, W/4]` |
//! | logits of background and foreground | `[N, 2, H, W]` |

use super::aspp::{Aspp, Branches, CHANNELS};
use crate::nn::layers::{Conv, ConvOptions, f32, resize, size2};
use crate::nn::params::{Init, Params};
use tch::Tensor;

/// x + conv(relu(conv(relu(x)))).
#[derive(Debug)]
pub struct ResBlock {
    first: Conv,
    second: Conv,
}

impl ResBlock {
    /// The block of `channels` at `params`.
    pub fn new(params: &Params, channels: i64) -> Self {
        let options = ConvOptions::new(channels, channels, 3);
        ResBlock {
            first: Conv::new(&params.sub("conv1"), options),
            second: Conv::new(&params.sub("conv2"), options.init(Init::Lecun)),
        }
    }

    /// # Shapes
    /// `x`: `[N, C, H, W]` / the same.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.first.forward(&x.relu()).relu_()) + x
    }
}

/// Joins a coarse map with the encoder's features of twice the resolution.
#[derive(Debug)]
pub struct Refine {
    reduce: Conv,
    skip_block: ResBlock,
    joined_block: ResBlock,
}

impl Refine {
    /// The step at `params` for `skip_channels` of the encoder.
    pub fn new(params: &Params, skip_channels: i64) -> Self {
        Refine {
            reduce: Conv::new(&params.sub("skip"), ConvOptions::new(skip_channels, CHANNELS, 3).init(Init::Lecun)),
            skip_block: ResBlock::new(&params.sub("skip_block"), CHANNELS),
            joined_block: ResBlock::new(&params.sub("joined_block"), CHANNELS),
        }
    }

    /// # Shapes
    /// `skip`: `[N, C, H, W]`; `coarse`: `[N, 256, h, w]` / `[N, 256, H, W]`.
    pub fn forward(&self, skip: &Tensor, coarse: &Tensor) -> Tensor {
        let skip = self.skip_block.forward(&self.reduce.forward(skip));
        let coarse = resize(coarse, size2(&skip));
        self.joined_block.forward(&(skip + coarse))
    }
}

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    pyramid: Aspp,
    block: ResBlock,
    refine8: Refine,
    refine4: Refine,
    predict: Conv,
}

impl Decoder {
    /// The decoder at `params` for a readout of `inputs` channels.
    pub fn new(params: &Params, inputs: i64, branches: Branches) -> Self {
        Decoder {
            pyramid: Aspp::new(&params.sub("pyramid"), inputs, branches),
            block: ResBlock::new(&params.sub("block"), CHANNELS),
            refine8: Refine::new(&params.sub("refine8"), 512),
            refine4: Refine::new(&params.sub("refine4"), 256),
            predict: Conv::new(&params.sub("predict"), ConvOptions::new(CHANNELS, 2, 3).init(Init::Lecun)),
        }
    }

    /// # Shapes
    /// `readout`: `[N, C, h, w]` at stride 16; `f8`: `[N, 512, ..]`; `f4`: `[N, 256, H/4, W/4]` /
    /// logits of background and foreground `[N, 2, H, W]`, f32.
    pub fn forward(&self, readout: &Tensor, f8: &Tensor, f4: &Tensor) -> Tensor {
        let m16 = self.block.forward(&self.pyramid.forward(readout));
        let m8 = self.refine8.forward(f8, &m16);
        let m4 = self.refine4.forward(f4, &m8);
        let logits = f32(&self.predict.forward(&m4.relu()));
        resize(&logits, size2(&logits).map(|side| 4 * side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{Target, TensorMap};
    use tch::{Device, Kind};

    #[test]
    fn logits_have_the_resolution_of_the_slice() {
        let zeros = |shape: [i64; 4]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        for branches in [Branches::Dilated, Branches::All] {
            let decoder = Decoder::new(&Params::init(1, Target::default()), 16, branches);
            let logits = decoder.forward(&zeros([2, 16, 2, 3]), &zeros([2, 512, 4, 6]), &zeros([2, 256, 8, 12]));
            assert_eq!(logits.size(), [2, 2, 32, 48]);
        }
    }

    #[test]
    fn a_residual_block_by_hand() {
        let kernel = |centre: f32| {
            let k = Tensor::zeros([1, 1, 3, 3], (Kind::Float, Device::Cpu));
            let _ = k.narrow(2, 1, 1).narrow(3, 1, 1).fill_(f64::from(centre));
            k
        };
        let map: TensorMap = [
            ("conv1.weight".to_string(), kernel(2.0)),
            ("conv1.bias".to_string(), Tensor::from_slice(&[-1.0f32])),
            ("conv2.weight".to_string(), kernel(3.0)),
            ("conv2.bias".to_string(), Tensor::from_slice(&[0.5f32])),
        ]
        .into();
        let block = ResBlock::new(&Params::load(map, Target::default()), 1);
        let x = Tensor::from_slice(&[2.0f32, -4.0]).reshape([1, 1, 1, 2]);
        // 2: 2 + 3 * relu(2 * 2 - 1) + 0.5; -4: relu(-4) is 0, so -4 + 3 * relu(-1) + 0.5
        assert_eq!(Vec::<f32>::try_from(block.forward(&x).reshape([-1])).unwrap(), [11.5, -3.5]);
        assert_eq!(Vec::<f32>::try_from(x.reshape([-1])).unwrap(), [2.0, -4.0], "the input was changed");
    }
}
