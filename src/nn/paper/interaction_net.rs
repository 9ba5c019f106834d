//! Interaction network: slice, previous mask and guidance -> the slice's mask, coarse to fine (Mem3D §2.1, eq. 1; the
//! paper's reference \[31\]).
//!
//! | tensor | shape |
//! |---|---|
//! | input, see [`InputLayout`] | `[N, C, H, W]` |
//! | trunk: `f4`, `f8`, `f16`, `deep` (ResNet-101) | `[N, 256 .. 2048, ..]` |
//! | context: means over 1, 2, 3 and 6 cells a side, joined with `deep` | `[N, 512, H/16, W/16]` |
//! | coarse: four levels from context up to `f4`, each with logits of its own | `[N, 256, ..]`, `[N, 1, H, W]` |
//! | fine: all levels at stride 4, joined | `[N, 1024, H/4, W/4]` |
//! | logits | `[N, 1, H, W]` |

use super::resnet::{Bottleneck, BottleneckOptions, Depth, Features, Trunk};
use crate::nn::layers::{BatchNorm, Conv, ConvBn, ConvOptions, f32, resize_corners, size2};
use crate::nn::networks::InteractionInput;
use crate::nn::params::{Init, Params};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Channels of every level, as published.
const LEVEL: i64 = 256;

/// Cells per side over which the context module averages, as published.
const CELLS: [i64; 4] = [1, 2, 3, 6];

/// Channels of the network's input. All are 0..255: three of the slice, then those of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputLayout {
    /// Eq. 1: previous mask, positive guidance (boxes filled), negative guidance.
    Paper,
    /// Published, one guidance map: points or scribbles, for a box its corners.
    OneMap,
    /// Published, two guidance maps: inside (positive), outside (negative; for a box its corners).
    TwoMaps,
}

impl InputLayout {
    /// Number of channels.
    pub fn channels(self) -> i64 {
        match self {
            InputLayout::Paper => 6,
            InputLayout::OneMap => 4,
            InputLayout::TwoMaps => 5,
        }
    }

    /// # Shapes
    /// See [`InteractionInput`] / `[N, C, H, W]`, 0..255.
    pub fn join(self, input: &InteractionInput) -> Tensor {
        let slices = three_channels(&input.slices);
        let channels = match self {
            InputLayout::Paper => {
                vec![
                    slices,
                    input.previous.shallow_clone(),
                    input.positive.maximum(&input.boxes),
                    input.negative.shallow_clone(),
                ]
            }
            InputLayout::OneMap => vec![slices, input.positive.maximum(&corners_without_points(input))],
            InputLayout::TwoMaps => {
                vec![slices, input.positive.shallow_clone(), input.negative.maximum(&corners_without_points(input))]
            }
        };
        Tensor::cat(&channels, 1) * 255.0
    }
}

/// The slice three times, or the slice between its neighbours.
///
/// # Shapes
/// `slices`: `[N, CI, H, W]`, CI 1 or 3 / `[N, 3, H, W]`.
pub fn three_channels(slices: &Tensor) -> Tensor {
    if slices.size()[1] == 3 { slices.shallow_clone() } else { slices.expand([-1, 3, -1, -1], false) }
}

/// Distance of the corners from the box in the published training, pixels of the network.
const CORNER_MARGIN: f64 = 10.0;

/// Full width at half maximum of a corner, pixels of the network.
const CORNER_WIDTH: f64 = 10.0;

/// Gaussians at the corners of each filled box, the guidance of boxes for published weights; 0 for slices with points,
/// which show the target's extent.
///
/// # Shapes
/// `[N, 1, H, W]`.
fn corners_without_points(input: &InteractionInput) -> Tensor {
    let (n, _, h, w) = input.boxes.size4().expect("a map");
    let rows: Vec<Tensor> = (0..n)
        .map(|i| {
            let (filled, points) = (input.boxes.get(i).get(0), input.positive.get(i));
            let has = |t: &Tensor| t.max().double_value(&[]) > 0.0;
            if !has(&filled) || has(&points) {
                return filled.zeros_like();
            }
            let along = |dim: i64, side: i64| {
                let inside = filled.amax([1 - dim], false).nonzero().to_kind(tch::Kind::Float);
                let low = (inside.min() - CORNER_MARGIN).clamp_min(0.0);
                let high = (inside.max() + CORNER_MARGIN).clamp_max((side - 1) as f64);
                let x = Tensor::arange(side, (tch::Kind::Float, filled.device()));
                let bump = |centre: Tensor| {
                    ((&x - centre).square() * (-4.0 * std::f64::consts::LN_2 / (CORNER_WIDTH * CORNER_WIDTH))).exp()
                };
                bump(low).maximum(&bump(high))
            };
            // A two-dimensional Gaussian is the product of two, and so is the maximum over the four corners.
            along(0, h).unsqueeze(1) * along(1, w).unsqueeze(0)
        })
        .collect();
    Tensor::stack(&rows, 0).unsqueeze(1).to_kind(input.boxes.kind())
}

/// Context of the deepest feature map: its means over ever smaller cells, joined with itself.
#[derive(Debug)]
pub struct Context {
    cells: Vec<ConvBn>,
    join: ConvBn,
}

impl Context {
    /// The module at `params`.
    pub fn new(params: &Params) -> Self {
        let conv = |name: String, inputs| {
            ConvBn::new(&params.sub(name), "conv", "norm", ConvOptions::new(inputs, 512, 1).no_bias())
        };
        Context {
            cells: CELLS.iter().map(|n| conv(format!("cells{n}"), 2048)).collect(),
            join: conv("join".into(), 2048 + 4 * 512),
        }
    }

    /// # Shapes
    /// `deep`: `[N, 2048, h, w]` / `[N, 512, h, w]`.
    pub fn forward(&self, deep: &Tensor) -> Tensor {
        let mut maps: Vec<Tensor> = CELLS
            .iter()
            .zip(&self.cells)
            .map(|(&n, conv)| {
                let mean = deep.adaptive_avg_pool2d([n, n]);
                resize_corners(&conv.forward(&mean).relu_(), size2(deep))
            })
            .collect();
        maps.push(deep.shallow_clone());
        self.join.forward(&Tensor::cat(&maps, 1)).relu_()
    }
}

/// Logits of one coarse level; used in training only.
#[derive(Debug)]
struct Auxiliary {
    conv: ConvBn,
    predict: Conv,
    scale: BatchNorm,
}

impl Auxiliary {
    fn new(params: &Params) -> Self {
        Auxiliary {
            conv: ConvBn::new(params, "conv", "norm", ConvOptions::new(LEVEL, LEVEL, 1).no_bias()),
            predict: Conv::new(&params.sub("predict"), ConvOptions::new(LEVEL, 1, 3).no_bias().init(Init::Lecun)),
            scale: BatchNorm::new(&params.sub("scale"), 1),
        }
    }

    fn forward(&self, level: &Tensor, size: [i64; 2]) -> Tensor {
        let logits = f32(&self.predict.forward(&self.conv.forward(level).relu_()));
        f32(&self.scale.forward(&resize_corners(&logits, size)))
    }
}

/// A feature pyramid from the context up to stride 4.
#[derive(Debug)]
pub struct Coarse {
    laterals: Vec<ConvBn>,
    upward: Vec<ConvBn>,
    auxiliaries: Vec<Auxiliary>,
}

impl Coarse {
    /// The pyramid at `params`.
    pub fn new(params: &Params) -> Self {
        let conv = |name: String, inputs| {
            ConvBn::new(&params.sub(name), "conv", "norm", ConvOptions::new(inputs, LEVEL, 1).no_bias())
        };
        Coarse {
            laterals: [512, 1024, 512, 256].iter().enumerate().map(|(i, &c)| conv(format!("lateral{i}"), c)).collect(),
            upward: (1..3).map(|i| conv(format!("up{i}"), LEVEL)).collect(),
            auxiliaries: (0..4).map(|i| Auxiliary::new(&params.sub(format!("logits{i}")))).collect(),
        }
    }

    /// # Shapes
    /// `context`: `[N, 512, H/16, W/16]` / four levels `[N, 256, ..]` at strides 16, 16, 8 and 4.
    pub fn forward(&self, context: &Tensor, features: &Features) -> [Tensor; 4] {
        let lateral = |i: usize, x: &Tensor| self.laterals[i].forward(x).relu_();
        // A 1x1 convolution before the interpolation is the same as after it, and a quarter of the work.
        let up = |i: usize, x: &Tensor, size| resize_corners(&self.upward[i - 1].forward(x), size);
        let level0 = lateral(0, context);
        let level1 = lateral(1, &features.f16) + &level0;
        let level2 = lateral(2, &features.f8) + up(1, &level1, size2(&features.f8));
        let level3 = lateral(3, &features.f4) + up(2, &level2, size2(&features.f4));
        [level0, level1, level2, level3]
    }

    /// # Shapes
    /// `levels`: as from [`Coarse::forward`] / four times logits `[N, 1, H, W]`, f32; `H, W` four times those of the
    /// last level.
    pub fn logits(&self, levels: &[Tensor; 4]) -> [Tensor; 4] {
        let quarter = size2(&levels[3]);
        [0, 1, 2, 3].map(|i| {
            let logits = self.auxiliaries[i].forward(&levels[i], quarter);
            resize_corners(&logits, quarter.map(|side| 4 * side))
        })
    }
}

/// Resizes all levels to stride 4, the coarser ones after more blocks, and joins them.
#[derive(Debug)]
pub struct Fine {
    cascades: Vec<Vec<Bottleneck>>,
    join: Bottleneck,
    predict: Conv,
    scale: BatchNorm,
}

impl Fine {
    /// The module at `params`.
    pub fn new(params: &Params) -> Self {
        let block = |params: Params, inputs| {
            let options =
                BottleneckOptions { inputs, width: 128, outputs: LEVEL, stride: 1, dilation: 1, projection: true };
            Bottleneck::new(&params, options)
        };
        let cascade = |i: i64| (0..3 - i).map(|j| block(params.sub(format!("cascade{i}")).sub(j), LEVEL)).collect();
        Fine {
            cascades: (0..4).map(cascade).collect(),
            join: block(params.sub("join"), 4 * LEVEL),
            predict: Conv::new(&params.sub("predict"), ConvOptions::new(LEVEL, 1, 3).no_bias().init(Init::Lecun)),
            scale: BatchNorm::new(&params.sub("scale"), 1),
        }
    }

    /// # Shapes
    /// `levels`: as from [`Coarse::forward`] / logits `[N, 1, H, W]`, f32; `H, W` four times those of the last level.
    pub fn forward(&self, levels: &[Tensor; 4]) -> Tensor {
        let quarter = size2(&levels[3]);
        let cascade = |(blocks, level): (&Vec<Bottleneck>, &Tensor)| {
            let x = blocks.iter().fold(level.shallow_clone(), |x, block| block.forward(&x));
            resize_corners(&x, quarter)
        };
        let maps: Vec<Tensor> = self.cascades.iter().zip(levels).map(cascade).collect();
        let logits = f32(&self.predict.forward(&self.join.forward(&Tensor::cat(&maps, 1))));
        resize_corners(&f32(&self.scale.forward(&logits)), quarter.map(|side| 4 * side))
    }
}

/// The interaction network.
#[derive(Debug)]
pub struct InteractionNet {
    layout: InputLayout,
    trunk: Trunk,
    context: Context,
    coarse: Coarse,
    fine: Fine,
}

impl InteractionNet {
    /// The network at `params`.
    pub fn new(params: &Params, layout: InputLayout) -> Self {
        InteractionNet {
            layout,
            trunk: Trunk::new(&params.sub("trunk"), layout.channels(), Depth::ResNet101),
            context: Context::new(&params.sub("context")),
            coarse: Coarse::new(&params.sub("coarse")),
            fine: Fine::new(&params.sub("fine")),
        }
    }

    /// Channels of the input.
    pub fn layout(&self) -> InputLayout {
        self.layout
    }

    /// # Shapes
    /// `x`: `[N, C, H, W]`, as from [`InputLayout::join`] / features and context `[N, 512, H/16, W/16]`.
    pub fn encode(&self, x: &Tensor) -> (Features, Tensor) {
        let features = self.trunk.forward(x);
        let context = self.context.forward(features.deep.as_ref().expect("ResNet-101 has it"));
        (features, context)
    }

    /// # Shapes
    /// As [`Coarse::forward`].
    pub fn coarse(&self, context: &Tensor, features: &Features) -> [Tensor; 4] {
        self.coarse.forward(context, features)
    }

    /// Logits of the coarse levels, for deep supervision.
    ///
    /// # Shapes
    /// As [`Coarse::logits`].
    pub fn coarse_logits(&self, levels: &[Tensor; 4]) -> [Tensor; 4] {
        self.coarse.logits(levels)
    }

    /// # Shapes
    /// As [`Fine::forward`].
    pub fn fine_logits(&self, levels: &[Tensor; 4]) -> Tensor {
        self.fine.forward(levels)
    }

    /// # Shapes
    /// `x`: `[N, C, H, W]`, as from [`InputLayout::join`] / logits `[N, 1, H, W]`, f32.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (features, context) = self.encode(x);
        self.fine_logits(&self.coarse(&context, &features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Target;
    use tch::{Device, Kind};

    fn input(positive: f64) -> InteractionInput {
        let map = |v: f64| Tensor::full([1, 1, 64, 64], v, (Kind::Float, Device::Cpu));
        let boxes = map(0.0);
        let _ = boxes.narrow(2, 20, 11).narrow(3, 30, 11).fill_(1.0);
        InteractionInput { slices: map(0.25), previous: map(0.5), positive: map(positive), negative: map(0.0), boxes }
    }

    #[test]
    fn channels_of_each_layout() {
        let x = InputLayout::Paper.join(&input(0.0));
        assert_eq!(x.size(), [1, InputLayout::Paper.channels(), 64, 64]);
        let at = |x: &Tensor, c, r, col| x.double_value(&[0, c, r, col]);
        assert_eq!((at(&x, 0, 0, 0), at(&x, 2, 0, 0), at(&x, 3, 0, 0)), (63.75, 63.75, 127.5));
        assert_eq!((at(&x, 4, 25, 35), at(&x, 4, 0, 0), at(&x, 5, 25, 35)), (255.0, 0.0, 0.0));
    }

    #[test]
    fn published_layouts_have_the_corners_of_a_box() {
        // Rows 20..=30 and columns 30..=40, 10 pixels outward.
        for (layout, channel) in [(InputLayout::OneMap, 3), (InputLayout::TwoMaps, 4)] {
            let x = layout.join(&input(0.0));
            assert_eq!(x.size()[1], layout.channels());
            for (r, c) in [(10, 20), (10, 50), (40, 20), (40, 50)] {
                assert!((x.double_value(&[0, channel, r, c]) - 255.0).abs() < 1e-3);
            }
            // Half a width away: half the height.
            assert!((x.double_value(&[0, channel, 10, 25]) - 127.5).abs() < 1e-3);
            assert!(x.double_value(&[0, channel, 25, 35]) < 1e-3);
        }
        assert_eq!(InputLayout::TwoMaps.join(&input(1.0)).narrow(1, 4, 1).max().double_value(&[]), 0.0);
    }

    #[test]
    fn coarse_and_fine_logits_have_the_size_of_the_slice() {
        let net = InteractionNet::new(&Params::init(1, Target::default()), InputLayout::Paper);
        let (features, context) = net.encode(&net.layout().join(&input(0.0)));
        assert_eq!(context.size(), [1, 512, 4, 4]);
        let levels = net.coarse(&context, &features);
        assert_eq!(levels[3].size(), [1, 256, 16, 16]);
        assert!(net.coarse_logits(&levels).iter().all(|l| l.size() == [1, 1, 64, 64]));
        assert_eq!(net.fine_logits(&levels).size(), [1, 1, 64, 64]);
    }
}
