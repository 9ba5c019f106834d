//! The contract between networks and engine: the trait [`Networks`], its inputs and its outputs.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// What a user can draw. Each kind may have its own interaction network (paper §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionKind {
    /// A free stroke inside (positive) or outside (negative) the target.
    Scribble,
    /// A rectangle around the target.
    Box,
    /// The left-, right-, top- and bottom-most points of the target.
    ExtremePoints,
    /// Single points inside (positive) or outside (negative) the target.
    Click,
}

/// Which family of networks a model holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper's networks: two ResNet-50 encoders, coarse-to-fine interaction networks.
    Paper,
    /// Small networks with mask-free keys; the default.
    Compact,
}

/// What the engine and the host may know of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Family of networks.
    pub preset: Preset,
    /// Name of the model, e.g. `compact-1`.
    pub name: String,
    /// Side of the square network input of a region of interest, pixels; a multiple of 16.
    pub network_size: i64,
    /// Side of the square network input in whole-slice operation, pixels; a multiple of 16.
    pub slice_size: i64,
    /// CI: neighbouring slices given with each slice, 1 or 3 (previous, this, next).
    pub context_slices: i64,
    /// CK.
    pub key_channels: i64,
    /// CV.
    pub value_channels: i64,
    /// Stride of keys and values, 8 or 16.
    pub key_stride: i64,
    /// Kinds of interaction the model answers.
    pub interactions: Vec<InteractionKind>,
    /// Where the weights come from.
    pub provenance: String,
    /// Licence of the weights (SPDX or a sentence).
    pub licence: String,
    /// Calibration of the qualities that hosts read; none: the quality head's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_calibration: Option<QualityCalibration>,
    /// SHA-256 of the weight file, lower-case hexadecimal; set at load, tells a saved session its model.
    #[serde(skip)]
    pub checksum: String,
}

/// Platt scaling of the quality head's logit by position of the slice, fitted to one model's qualities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QualityCalibration {
    /// `[offset, slope]` of the logit of slices towards an open end.
    pub open: [f32; 2],
    /// The same between annotated slices.
    pub closed: [f32; 2],
    /// The same of empty slices.
    pub empty: [f32; 2],
    /// Least doubt about an empty slice beside the last mask, 0..1.
    pub least_doubt: f32,
}

/// Input of the interaction network (paper eq. 1): one slice's region of interest and what the user drew on it.
#[derive(Debug)]
pub struct InteractionInput {
    /// `[N, CI, H, W]`, 0..1.
    pub slices: Tensor,
    /// Previous probability `[N, 1, H, W]`; 0.5 everywhere in the first round.
    pub previous: Tensor,
    /// Positive guidance `[N, 1, H, W]`, 0..1.
    pub positive: Tensor,
    /// Negative guidance `[N, 1, H, W]`, 0..1.
    pub negative: Tensor,
    /// Filled box `[N, 1, H, W]`, 0 or 1; zero everywhere when no box or extreme points were given.
    pub boxes: Tensor,
}

/// What a query slice's image alone gives; computed once a slice and cached.
#[derive(Debug)]
pub struct ImageFeatures {
    /// The slices themselves `[N, CI, H, W]`.
    pub slices: Tensor,
    /// Query key `[N, CK, h, w]` at `key_stride`.
    pub key: Tensor,
    /// Query value `[N, CV, h, w]` (paper), or none.
    pub value: Option<Tensor>,
    /// Encoder features, finest first.
    pub skips: Vec<Tensor>,
}

impl ImageFeatures {
    /// Joins the features of several slices along N.
    pub fn cat(parts: &[&ImageFeatures]) -> ImageFeatures {
        let cat = |f: &dyn Fn(&ImageFeatures) -> &Tensor| {
            if parts.len() == 1 {
                return f(parts[0]).shallow_clone();
            }
            Tensor::cat(&parts.iter().map(|p| f(p)).collect::<Vec<_>>(), 0)
        };
        ImageFeatures {
            slices: cat(&|p| &p.slices),
            key: cat(&|p| &p.key),
            value: parts[0].value.as_ref().map(|_| cat(&|p| p.value.as_ref().expect("same network"))),
            skips: (0..parts[0].skips.len()).map(|i| cat(&|p| &p.skips[i])).collect(),
        }
    }

    /// Those of `len` slices from `from` on; shares memory.
    pub fn narrow(&self, from: i64, len: i64) -> ImageFeatures {
        let part = |t: &Tensor| t.narrow(0, from, len);
        ImageFeatures {
            slices: part(&self.slices),
            key: part(&self.key),
            value: self.value.as_ref().map(part),
            skips: self.skips.iter().map(part).collect(),
        }
    }

    /// The features of slice `n` alone, in memory of their own.
    pub fn get(&self, n: i64) -> ImageFeatures {
        let part = |t: &Tensor| if t.size()[0] == 1 { t.shallow_clone() } else { t.narrow(0, n, 1).copy() };
        ImageFeatures {
            slices: part(&self.slices),
            key: part(&self.key),
            value: self.value.as_ref().map(part),
            skips: self.skips.iter().map(part).collect(),
        }
    }

    /// The same with slices and skips in 16 bits, to be kept at half the memory; keys stay as they are, since affinities are
    /// taken of their differences.
    pub fn packed(&self) -> ImageFeatures {
        self.with_kind(if self.key.kind() == Kind::Float { Kind::Half } else { self.key.kind() })
    }

    /// [`ImageFeatures::packed`] features as networks take them.
    pub fn unpacked(&self) -> ImageFeatures {
        self.with_kind(self.key.kind())
    }

    fn with_kind(&self, kind: Kind) -> ImageFeatures {
        ImageFeatures {
            slices: self.slices.to_kind(kind),
            key: self.key.shallow_clone(),
            value: self.value.as_ref().map(|v| v.to_kind(kind)),
            skips: self.skips.iter().map(|s| s.to_kind(kind)).collect(),
        }
    }

    /// Memory taken, bytes.
    pub fn bytes(&self) -> usize {
        let size = |t: &Tensor| t.numel() * t.kind().elt_size_in_bytes();
        size(&self.slices)
            + size(&self.key)
            + self.value.as_ref().map_or(0, size)
            + self.skips.iter().map(size).sum::<usize>()
    }
}

/// One memorized slice, or several joined: what the memory read looks up.
#[derive(Debug)]
pub struct Memory {
    /// `[T*P, CK]`, position-major, so that a bank is read without a copy.
    pub keys: Tensor,
    /// `[T*P, CV]`.
    pub values: Tensor,
    /// Rows, the first ones, that come from annotated slices; at least one.
    pub annotated: i64,
}

impl Memory {
    /// The memory of a slice that counts as annotated.
    ///
    /// # Shapes
    /// `keys`: `[P, CK]`; `values`: `[P, CV]`.
    pub fn new(keys: Tensor, values: Tensor) -> Memory {
        Memory { annotated: keys.size()[0], keys, values }
    }

    /// Annotated slices, at least one, and slices that masks were carried to.
    pub fn join(annotated: &[&Memory], carried: &[&Memory]) -> Memory {
        let cat = |of: fn(&Memory) -> &Tensor| match (annotated, carried) {
            ([one], []) => of(one).shallow_clone(),
            _ => Tensor::cat(&annotated.iter().chain(carried).map(|m| of(m)).collect::<Vec<_>>(), 0),
        };
        let rows = annotated.iter().map(|m| m.keys.size()[0]).sum();
        Memory { keys: cat(|m| &m.keys), values: cat(|m| &m.values), annotated: rows }
    }
}

/// What is expected of query slices from the slices before them. The paper's networks do without.
#[derive(Debug)]
pub struct SliceContext {
    /// Where the target is expected: the mask before, drawn towards that of the next annotated slice. Signed distance to its
    /// border over 1/8 of the side, positive inside, clamped to -1..1: `[N, 1, H, W]`, f32.
    pub shape: Tensor,
    /// Mask of the slice before (the last one that had the target), seen through the query's region of interest:
    /// `[N, 1, H, W]`, f32, 0..1.
    pub before_mask: Tensor,
    /// That slice itself, seen through the same region: `[N, 1, H, W]`, 0..1.
    pub before_slice: Tensor,
    /// Largest area of the target on an annotated slice, over the area of the region of interest: `[N, 1]`, f32.
    pub largest_area: Tensor,
    /// Its area on the annotated slice that the masks were carried from, the same.
    pub annotated_area: Tensor,
    /// Mask of the annotated slice that the masks were carried from, through a region of interest of its own: `[N, 1, H, W]`,
    /// f32, 0..1.
    pub annotated_mask: Tensor,
    /// That slice itself: `[N, 1, H, W]`, 0..1.
    pub annotated_slice: Tensor,
    /// Slices from there to the query: `[N, 1]`, f32, at least 1.
    pub steps: Tensor,
    /// The same distance over the side of the query's region of interest: `[N, 1]`, f32.
    pub distance: Tensor,
    /// Distance from the annotated slice where the target is largest, in the same unit, at least `distance`: `[N, 1]`, f32. A
    /// target ends far from its middle, wherever masks were carried from.
    pub distance_from_largest: Tensor,
    /// For each of the N slices the first of the batch that has the same image, the same slice before and the same keys in memory
    /// (other segments on one slice); itself when it is the first. Networks may do once what depends on these alone.
    pub same_image: Vec<usize>,
}

/// What the quality head says of masks.
#[derive(Debug)]
pub struct Judgement {
    /// Estimated IoU of each mask, `[N]`, f32, 0..1; an absent target counts as 0.
    pub quality: Tensor,
    /// Probability that the slice holds the target, `[N]`, f32, 0..1: whether masks are carried on. An empty mask is right where
    /// it does not.
    pub presence: Tensor,
}

impl Judgement {
    /// From estimated IoUs `[N]` alone: a bad mask is taken for one of nothing (0.85, the engine's default threshold, at an IoU
    /// of 0.35), a bad empty one for one of something.
    pub fn from_iou(quality: Tensor, probability: &Tensor) -> Judgement {
        let filled = probability.amax([1i64, 2, 3].as_slice(), false).ge(0.5);
        let doubt: Tensor = 1.0 - &quality;
        let presence = quality.pow_tensor_scalar(0.155).where_self(&filled, &doubt);
        Judgement { presence, quality }
    }
}

/// Result of segmenting query slices.
#[derive(Debug)]
pub struct Segmented {
    /// Foreground probability `[N, 1, H, W]`, f32.
    pub probability: Tensor,
    /// Memory readout joined with the query's own features (F_k of eq. 8), as the quality head wants it.
    pub readout: Tensor,
}

/// The networks of one model. An implementation holds tensors and is owned by one session at a time;
/// [`Networks::share`] makes another owner over the same weights.
pub trait Networks: Send {
    /// What the model says of itself.
    fn info(&self) -> &ModelInfo;

    /// Device of the weights and of every tensor these networks take and give.
    fn device(&self) -> Device;

    /// Another owner of the same weights; no weight is copied.
    fn share(&self) -> Box<dyn Networks>;

    /// Paper §2.1, eq. 1: the mask of the slice the user drew on.
    ///
    /// # Shapes
    /// `input`: see [`InteractionInput`] / probability: `[N, 1, H, W]`, f32.
    fn interact(&self, kind: InteractionKind, input: &InteractionInput) -> Tensor;

    /// Paper §2.2, query encoder: everything that depends on the image alone.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / see [`ImageFeatures`].
    fn encode_image(&self, slices: &Tensor) -> ImageFeatures;

    /// Paper §2.2, memory encoder: keys and values of slices with masks, one [`Memory`] a slice.
    ///
    /// # Shapes
    /// `features`: N slices; `masks`: `[N, 1, H, W]`, 0..1 / each memory `[P, CK]`, `[P, CV]`.
    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory>;

    /// Paper §2.2, eq. 4-7: reads the memory of each query slice and decodes its mask.
    ///
    /// # Shapes
    /// `features`: N slices; `memory`: N entries; `context`: of N slices / see [`Segmented`].
    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> Segmented;

    /// Paper §2.3, eq. 8: the estimated IoU of each mask, and whether there is a target. Networks without an estimate of their
    /// own of the latter take the IoU for it.
    ///
    /// # Shapes
    /// N slices, and what was expected of them / see [`Judgement`].
    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Judgement;
}
