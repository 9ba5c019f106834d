//! Layers of all networks.
//!
//! | layer | parameters | output |
//! |---|---|---|
//! | [`Conv`] | `weight [CO, CI / groups, k, k]`, maybe `bias [CO]` | `[N, CO, ceil(H / stride), ceil(W / stride)]` |
//! | [`BatchNorm`] | `weight`, `bias`, `running_mean`, `running_var`, all `[C]` | as the input |
//! | [`ConvBn`] | those of both | as [`Conv`] |
//! | [`GroupNorm`] | `weight [C]`, `bias [C]` | as the input |
//! | [`Linear`] | `weight [CO, CI]`, `bias [CO]` | `[N, CO]` |

use super::params::{Init, Params, channels_last};
use tch::{Device, Kind, Tensor};

/// Shape of a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvOptions {
    /// Channels in.
    pub inputs: i64,
    /// Channels out.
    pub outputs: i64,
    /// Side of the kernel, pixels; odd. Default 3.
    pub kernel: i64,
    /// Default 1.
    pub stride: i64,
    /// Default 1.
    pub dilation: i64,
    /// Default 1.
    pub groups: i64,
    /// Whether a bias is added. Default true.
    pub bias: bool,
    /// Initialisation of the kernel; the bias starts at 0. Default [`Init::Kaiming`].
    pub init: Init,
}

impl ConvOptions {
    /// A `kernel` x `kernel` convolution of stride 1 with bias.
    pub fn new(inputs: i64, outputs: i64, kernel: i64) -> Self {
        ConvOptions { inputs, outputs, kernel, stride: 1, dilation: 1, groups: 1, bias: true, init: Init::Kaiming }
    }

    /// With this stride.
    pub fn stride(self, stride: i64) -> Self {
        ConvOptions { stride, ..self }
    }

    /// With this dilation.
    pub fn dilation(self, dilation: i64) -> Self {
        ConvOptions { dilation, ..self }
    }

    /// In this many groups.
    pub fn groups(self, groups: i64) -> Self {
        ConvOptions { groups, ..self }
    }

    /// Without bias.
    pub fn no_bias(self) -> Self {
        ConvOptions { bias: false, ..self }
    }

    /// With this initialisation.
    pub fn init(self, init: Init) -> Self {
        ConvOptions { init, ..self }
    }

    fn weight(&self, params: &Params) -> Tensor {
        params.get("weight", &[self.outputs, self.inputs / self.groups, self.kernel, self.kernel], self.init)
    }

    fn bias_or_none(&self, params: &Params) -> Option<Tensor> {
        self.bias.then(|| params.get("bias", &[self.outputs], Init::Zeros))
    }
}

/// Two-dimensional convolution, zero-padded so that stride 1 keeps the size.
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    options: ConvOptions,
}

impl Conv {
    /// The convolution at `params`.
    pub fn new(params: &Params, options: ConvOptions) -> Self {
        Conv { weight: options.weight(params), bias: options.bias_or_none(params), options }
    }

    /// A convolution with given tensors; `bias` and `init` of the options are ignored.
    pub fn with(weight: Tensor, bias: Option<Tensor>, options: ConvOptions) -> Self {
        Conv { weight, bias, options }
    }

    /// # Shapes
    /// `x`: `[N, CI, H, W]` / `[N, CO, ceil(H / stride), ceil(W / stride)]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let ConvOptions { outputs, kernel, stride, dilation, groups, .. } = self.options;
        let padding = dilation * (kernel - 1) / 2;
        let plain = (outputs, stride, dilation, groups) == (1, 1, 1, 1) && kernel > 1;
        let y = if plain && x.device() == Device::Cpu && x.kind() == Kind::Float && !self.weight.requires_grad() {
            self.to_one_channel(x)
        } else {
            x.conv2d(&self.weight, self.bias.as_ref(), [stride; 2], [padding; 2], [dilation; 2], groups)
        };
        crate::torch::macs::add(&y, self.options.inputs / groups * kernel * kernel);
        y
    }

    /// [`Conv::forward`] for one output channel, of which libtorch's convolution computes a register's width and drops
    /// the others: a matrix product gives a map for each position of the kernel; these are shifted and added.
    fn to_one_channel(&self, x: &Tensor) -> Tensor {
        let ConvOptions { inputs, kernel, .. } = self.options;
        let (n, [height, width]) = (x.size()[0], size2(x));
        let places = self.weight.reshape([inputs, kernel * kernel]).transpose(0, 1);
        let maps = places.expand([n, kernel * kernel, inputs], false).bmm(&x.flatten(2, 3));
        let maps = maps.view([n, kernel * kernel, height, width]);
        let whole = Tensor::zeros([n, 1, height + kernel - 1, width + kernel - 1], (Kind::Float, Device::Cpu));
        for place in 0..kernel * kernel {
            let (row, col) = (kernel - 1 - place / kernel, kernel - 1 - place % kernel);
            let _ = whole.narrow(2, row, height).narrow(3, col, width).g_add_(&maps.narrow(1, place, 1));
        }
        let y = whole.narrow(2, kernel / 2, height).narrow(3, kernel / 2, width);
        match &self.bias {
            Some(bias) => y + bias,
            None => y.contiguous(),
        }
    }
}

/// Added to the variance before the root; PyTorch's default, with which the published weights were trained.
const EPSILON: f64 = 1e-5;

/// Batch normalisation with frozen statistics, as in the published training.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    /// The batch norm of `channels` at `params`.
    pub fn new(params: &Params, channels: i64) -> Self {
        BatchNorm {
            weight: params.get_f32("weight", &[channels], Init::Ones),
            bias: params.get_f32("bias", &[channels], Init::Zeros),
            mean: params.buffer("running_mean", &[channels], Init::Zeros),
            variance: params.buffer("running_var", &[channels], Init::Ones),
        }
    }

    /// # Shapes
    /// `x`: `[N, C, H, W]` / the same.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            false,
            0.0,
            EPSILON,
            true,
        )
    }

    /// Factor and summand of each channel that are equivalent to this batch norm, both `[C]`.
    pub fn scale_shift(&self) -> (Tensor, Tensor) {
        let scale = &self.weight / (&self.variance + EPSILON).sqrt();
        let shift = &self.bias - &self.mean * &scale;
        (scale, shift)
    }
}

/// A convolution followed by batch norm; one convolution when built for inference.
#[derive(Debug)]
pub struct ConvBn {
    conv: Conv,
    norm: Option<BatchNorm>,
}

impl ConvBn {
    /// The convolution at `params.sub(conv)` and the batch norm at `params.sub(norm)`.
    pub fn new(params: &Params, conv: &str, norm: &str, options: ConvOptions) -> Self {
        if !params.inference() {
            return ConvBn {
                conv: Conv::new(&params.sub(conv), options),
                norm: Some(BatchNorm::new(&params.sub(norm), options.outputs)),
            };
        }
        let names = [format!("{conv}.folded_weight"), format!("{conv}.folded_bias")];
        let [weight, bias] = params.derived([&names[0], &names[1]], |p| {
            let (scale, shift) = BatchNorm::new(&p.sub(norm), options.outputs).scale_shift();
            let conv = p.sub(conv);
            let weight = options.weight(&conv) * scale.reshape([-1, 1, 1, 1]);
            [weight, options.bias_or_none(&conv).map_or(shift.shallow_clone(), |bias| bias * scale + shift)]
        });
        ConvBn { conv: Conv::with(weight, Some(bias), options), norm: None }
    }

    /// # Shapes
    /// As [`Conv::forward`].
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.conv.forward(x);
        self.norm.as_ref().map_or(y.shallow_clone(), |norm| norm.forward(&y))
    }
}

/// Number of pixels below which libtorch normalises channels-last tensors group by group.
const FEW_PIXELS: i64 = 1024;
/// Least number of f32 channels in a processor's vector register.
const VECTOR: i64 = 8;

/// Group normalisation. It does not depend on the batch: slices give the same result alone and together.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
}

impl GroupNorm {
    /// `channels` in `groups` groups, at `params`.
    pub fn new(params: &Params, groups: i64, channels: i64) -> Self {
        GroupNorm::with_gain(params, groups, channels, Init::Ones)
    }

    /// As [`GroupNorm::new`], with this gain before training.
    pub fn with_gain(params: &Params, groups: i64, channels: i64, gain: Init) -> Self {
        GroupNorm {
            weight: params.get("weight", &[channels], gain),
            bias: params.get("bias", &[channels], Init::Zeros),
            groups,
        }
    }

    /// # Shapes
    /// `x`: `[N, C, H, W]` / the same.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let norm = |x: &Tensor| x.group_norm(self.groups, Some(&self.weight), Some(&self.bias), EPSILON, true);
        let [height, width] = size2(x);
        // libtorch's loop over partly filled vectors is several times as slow as a copy to contiguous layout.
        let slow = height * width < FEW_PIXELS && (x.size()[1] / self.groups) % VECTOR != 0;
        if slow && x.device() == Device::Cpu && x.kind() == Kind::Float && !self.weight.requires_grad() {
            return channels_last(&norm(&x.contiguous()));
        }
        norm(x)
    }
}

/// Fully connected layer.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// From `inputs` to `outputs` channels, at `params`.
    pub fn new(params: &Params, inputs: i64, outputs: i64) -> Self {
        Linear::with_init(params, inputs, outputs, [Init::Kaiming, Init::Zeros])
    }

    /// As [`Linear::new`], with these initialisations of weight and bias.
    pub fn with_init(params: &Params, inputs: i64, outputs: i64, [weight, bias]: [Init; 2]) -> Self {
        Linear { weight: params.get("weight", &[outputs, inputs], weight), bias: params.get("bias", &[outputs], bias) }
    }

    /// # Shapes
    /// `x`: `[N, CI]` / `[N, CO]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

/// Bilinear interpolation to `[height, width]`, pixel centres at half integers.
///
/// # Shapes
/// `x`: `[N, C, H, W]` / `[N, C, height, width]`.
pub fn resize(x: &Tensor, size: [i64; 2]) -> Tensor {
    interpolate(x, size, false)
}

/// Bilinear interpolation to `[height, width]` with the corner pixels' centres kept in the corners,
/// as the published interaction network does it.
///
/// # Shapes
/// `x`: `[N, C, H, W]` / `[N, C, height, width]`.
pub fn resize_corners(x: &Tensor, size: [i64; 2]) -> Tensor {
    interpolate(x, size, true)
}

fn interpolate(x: &Tensor, size: [i64; 2], align_corners: bool) -> Tensor {
    if x.size()[2..] == size { x.shallow_clone() } else { x.upsample_bilinear2d(size, align_corners, None, None) }
}

/// Rows and columns of `x`.
///
/// # Shapes
/// `x`: `[N, C, H, W]`.
pub fn size2(x: &Tensor) -> [i64; 2] {
    let size = x.size();
    [size[2], size[3]]
}

/// `x` in f32, for softmax, logits and probabilities, whose range or resolution exceeds half precision.
pub fn f32(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::{Target, TensorMap};

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.size() == b.size() && (a - b).abs().max().double_value(&[]) < 1e-5
    }

    #[test]
    fn a_single_channel_is_the_same_by_shifted_maps() {
        let noise = |shape: &[i64]| {
            let n: i64 = shape.iter().product();
            (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 7.0 + 3.0).remainder(11.0).view(shape) * 0.1 - 0.5
        };
        for (kernel, bias) in [(3, true), (5, false)] {
            let (weight, bias) = (noise(&[1, 6, kernel, kernel]), bias.then(|| noise(&[1])));
            let x = channels_last(&noise(&[2, 6, 7, 9]));
            let half = kernel / 2;
            let expected = x.conv2d(&weight, bias.as_ref(), [1, 1], [half, half], [1, 1], 1);
            let options = ConvOptions::new(6, 1, kernel);
            assert!(close(&Conv::with(channels_last(&weight), bias, options).forward(&x), &expected), "{kernel}");
        }
    }

    #[test]
    fn batch_norm_by_hand() {
        let map = |inference| {
            let tensors: TensorMap = [
                ("c.weight", Tensor::from_slice(&[2.0f32]).reshape([1, 1, 1, 1])),
                ("n.weight", Tensor::from_slice(&[3.0f32])),
                ("n.bias", Tensor::from_slice(&[0.5f32])),
                ("n.running_mean", Tensor::from_slice(&[1.0f32])),
                ("n.running_var", Tensor::from_slice(&[4.0f32 - 1e-5])),
            ]
            .into_iter()
            .map(|(n, t)| (n.to_string(), t))
            .collect();
            Params::load(tensors, Target { inference, ..Target::default() })
        };
        let x = Tensor::from_slice(&[5.0f32]).reshape([1, 1, 1, 1]);
        for inference in [true, false] {
            let params = map(inference);
            let layer = ConvBn::new(&params, "c", "n", ConvOptions::new(1, 1, 1).no_bias());
            // 3 * (2 * 5 - 1) / sqrt(4) + 0.5
            assert!((layer.forward(&x).double_value(&[0, 0, 0, 0]) - 14.0).abs() < 1e-4);
            assert_eq!(params.finish().unwrap().tensors().len(), if inference { 2 } else { 5 });
        }
    }

    #[test]
    fn a_folded_batch_norm_equals_the_separate_one() {
        // Random tensors for every parameter, so that neither scale nor shift is trivial.
        let separate = Params::init(1, Target { inference: false, ..Target::default() });
        let options = ConvOptions::new(3, 4, 3).stride(2);
        let _ = ConvBn::new(&separate, "c", "n", options);
        let names = separate.finish().unwrap();
        let draw = Params::init(2, Target { inference: false, ..Target::default() });
        let drawn: TensorMap = names
            .tensors()
            .iter()
            .map(|(name, t)| (name.clone(), draw.get(name, &t.size(), Init::Uniform(1.0)).abs() + 0.1))
            .collect();
        let build = |inference| {
            let tensors = drawn.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
            let params = Params::load(tensors, Target { inference, ..Target::default() });
            ConvBn::new(&params, "c", "n", options)
        };
        let x = draw.get("x", &[2, 3, 7, 8], Init::Uniform(1.0));
        let y = build(false).forward(&x);
        assert_eq!(y.size(), [2, 4, 4, 4]);
        assert!(close(&build(true).forward(&x), &y));
    }

    #[test]
    fn dilation_keeps_the_size_and_reaches_further() {
        let params = Params::init(1, Target::default());
        let conv = Conv::with(
            Tensor::ones([1, 1, 3, 3], (Kind::Float, Device::Cpu)),
            None,
            ConvOptions::new(1, 1, 3).dilation(2),
        );
        let x = Tensor::zeros([1, 1, 5, 5], (Kind::Float, Device::Cpu));
        let _ = x.narrow(2, 2, 1).narrow(3, 2, 1).fill_(1.0);
        let y = conv.forward(&x);
        assert_eq!(y.size(), [1, 1, 5, 5]);
        // The centre pixel contributes to the nine pixels at distance 0 or 2.
        assert_eq!(y.sum(Kind::Float).double_value(&[]), 9.0);
        assert_eq!((y.double_value(&[0, 0, 0, 4]), y.double_value(&[0, 0, 1, 2])), (1.0, 0.0));
        let linear = Linear::new(&params, 3, 2);
        assert_eq!(linear.forward(&Tensor::ones([4, 3], (Kind::Float, Device::Cpu))).size(), [4, 2]);
    }

    #[test]
    fn group_norm_gives_each_group_mean_0_and_variance_1() {
        let params = Params::init(1, Target::default());
        let norm = GroupNorm::new(&params, 2, 2);
        let x = Tensor::from_slice(&[1.0f32, 3.0, 10.0, 30.0]).reshape([1, 2, 1, 2]);
        let expected = Tensor::from_slice(&[-1.0f32, 1.0, -1.0, 1.0]).reshape([1, 2, 1, 2]);
        assert!(close(&norm.forward(&x), &expected));
    }

    #[test]
    fn both_interpolations_by_hand() {
        let x = Tensor::from_slice(&[0.0f32, 3.0]).reshape([1, 1, 1, 2]);
        let row = |t: Tensor| Vec::<f32>::try_from(t.reshape([-1])).unwrap();
        assert_eq!(row(resize(&x, [1, 4])), [0.0, 0.75, 2.25, 3.0]);
        assert_eq!(row(resize_corners(&x, [1, 4])), [0.0, 1.0, 2.0, 3.0]);
    }
}
