//! The contract between networks and engine: the trait [`Networks`], its inputs and its outputs.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Kind of an interaction. Each kind may have its own interaction network (paper §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionKind {
    /// A free stroke inside (positive) or outside (negative) the target.
    Scribble,
    /// A rectangle around the target.
    Box,
    /// The left-, right-, top- and bottom-most points of the target.
    #[serde(alias = "extremepoints")]
    ExtremePoints,
    /// Single points inside (positive) or outside (negative) the target.
    Click,
}

impl InteractionKind {
    /// Its name in files and messages.
    pub fn word(self) -> &'static str {
        match self {
            InteractionKind::Scribble => "scribble",
            InteractionKind::Box => "box",
            InteractionKind::ExtremePoints => "extreme_points",
            InteractionKind::Click => "click",
        }
    }
}

/// Family of networks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper's networks: two ResNet-50 encoders, coarse-to-fine interaction networks.
    Paper,
    /// Small networks with mask-free keys; the default.
    Compact,
}

/// Calibration of a model's qualities to the IoU that masks of whole volumes have.
///
/// The first three are Platt scaling of the quality head's logit, `[offset, slope]`: the calibrated quality is
/// sigmoid(offset + slope * logit). They are fitted to one model; `[0, 1]` changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QualityCalibration {
    /// Of masks towards an open end: with an annotated slice on one side alone.
    pub open: [f32; 2],
    /// Of masks between two annotated slices that hold the target.
    pub closed: [f32; 2],
    /// Of empty slices.
    pub empty: [f32; 2],
    /// Least doubt (1 - quality) of the empty slice beside the last mask, 0..1. It halves with every diameter of the
    /// target.
    pub least_doubt: f32,
}

/// Description of a model for the engine and the host.
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
    /// Kinds of interaction that the model accepts.
    pub interactions: Vec<InteractionKind>,
    /// Where the weights come from.
    pub provenance: String,
    /// Licence of the weights (SPDX or a sentence).
    pub licence: String,
    /// Calibration of the qualities; none if it is not fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_calibration: Option<QualityCalibration>,
    /// SHA-256 of the weight file, lower-case hexadecimal; set at load. Saved sessions name their model by it.
    #[serde(skip)]
    pub checksum: String,
}

/// Input of the interaction network (paper eq. 1): the region of interest of each slice with its guidance maps.
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

/// Features of query slices that depend on the image alone; computed once for each slice and cached.
#[derive(Debug)]
pub struct ImageFeatures {
    /// The slices `[N, CI, H, W]`, 0..1.
    pub slices: Tensor,
    /// Query key `[N, CK, h, w]` at `key_stride`.
    pub key: Tensor,
    /// Query value `[N, CV, h, w]` (paper), or none.
    pub value: Option<Tensor>,
    /// Encoder features, finest first.
    pub skips: Vec<Tensor>,
}

impl ImageFeatures {
    /// The middle one of the context slices: the slice to segment.
    ///
    /// # Shapes
    /// `[N, 1, H, W]`.
    pub fn query_slice(&self) -> Tensor {
        self.slices.narrow(1, self.slices.size()[1] / 2, 1)
    }

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

    /// The features of `len` slices from slice `from` on; a view.
    pub fn narrow(&self, from: i64, len: i64) -> ImageFeatures {
        let part = |t: &Tensor| t.narrow(0, from, len);
        ImageFeatures {
            slices: part(&self.slices),
            key: part(&self.key),
            value: self.value.as_ref().map(part),
            skips: self.skips.iter().map(part).collect(),
        }
    }

    /// A copy of the features of slice `n`.
    pub fn get(&self, n: i64) -> ImageFeatures {
        let part = |t: &Tensor| if t.size()[0] == 1 { t.shallow_clone() } else { t.narrow(0, n, 1).copy() };
        ImageFeatures {
            slices: part(&self.slices),
            key: part(&self.key),
            value: self.value.as_ref().map(part),
            skips: self.skips.iter().map(part).collect(),
        }
    }

    /// A copy with slices and skips in 16 bits, for the cache. Keys keep their precision: affinities depend on their
    /// differences.
    pub fn packed(&self) -> ImageFeatures {
        self.with_kind(if self.key.kind() == Kind::Float { Kind::Half } else { self.key.kind() })
    }

    /// [`ImageFeatures::packed`] features in the precision of the networks.
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

/// Keys and values of one memorized slice, or of several joined.
#[derive(Debug)]
pub struct Memory {
    /// `[T * P, CK]`, position-major, so that a memory bank is read without a copy.
    pub keys: Tensor,
    /// `[T * P, CV]`.
    pub values: Tensor,
    /// Number of rows of annotated slices, which come first; at least one.
    pub annotated: i64,
}

impl Memory {
    /// The memory of an annotated slice.
    ///
    /// # Shapes
    /// `keys`: `[P, CK]`; `values`: `[P, CV]`.
    pub fn new(keys: Tensor, values: Tensor) -> Memory {
        Memory { annotated: keys.size()[0], keys, values }
    }

    /// The memory of annotated slices, at least one, and of propagated ones.
    pub fn join(annotated: &[&Memory], propagated: &[&Memory]) -> Memory {
        let cat = |of: fn(&Memory) -> &Tensor| match (annotated, propagated) {
            ([one], []) => of(one).shallow_clone(),
            _ => Tensor::cat(&annotated.iter().chain(propagated).map(|m| of(m)).collect::<Vec<_>>(), 0),
        };
        let rows = annotated.iter().map(|m| m.keys.size()[0]).sum();
        Memory { keys: cat(|m| &m.keys), values: cat(|m| &m.values), annotated: rows }
    }
}

/// Context of query slices: previous and annotated slice and mask, expected shape, areas and distances. Inputs of the
/// decoder and the quality head of preset `compact`; the paper's networks ignore it.
///
/// The previous slice is the last one of the chain that holds the target. The annotated slice is the one that the chain
/// starts from. The largest slice is the annotated one with the largest area.
#[derive(Debug)]
pub struct SliceContext {
    /// Expected shape: signed distance to the border of the previous mask, drawn towards the next annotated mask, over
    /// 1/8 of the side. `[N, 1, H, W]`, f32, -1..1, positive inside.
    pub expected_shape: Tensor,
    /// Previous mask in the query's region of interest: `[N, 1, H, W]`, f32, 0..1.
    pub previous_mask: Tensor,
    /// Previous slice in the same region: `[N, 1, H, W]`, 0..1.
    pub previous_slice: Tensor,
    /// Area of the target on the largest slice, over the area of the region of interest: `[N, 1]`, f32.
    pub largest_area: Tensor,
    /// Area of the target on the annotated slice, over the area of the region of interest: `[N, 1]`, f32.
    pub annotated_area: Tensor,
    /// Mask of the annotated slice in a region of interest of its own: `[N, 1, H, W]`, f32, 0..1.
    pub annotated_mask: Tensor,
    /// The annotated slice in that region: `[N, 1, H, W]`, 0..1.
    pub annotated_slice: Tensor,
    /// Number of slices from the annotated slice to the query: `[N, 1]`, f32, at least 1.
    pub steps: Tensor,
    /// Distance of the query from the annotated slice, over the side of the region of interest: `[N, 1]`, f32.
    pub distance: Tensor,
    /// Distance of the query from the largest slice, over the side of the region of interest: `[N, 1]`, f32, at least
    /// `distance`.
    pub distance_from_largest: Tensor,
    /// For each of the N queries, the first of the batch with the same image, previous slice and memory keys (other
    /// segments on one slice); its own number if it is the first. Networks may compute once for a group what depends on
    /// these alone.
    pub same_image: Vec<usize>,
}

/// Cues of query slices for the decoder and the quality head, each at the resolution at which it is computed.
/// `docs/method.md` has the formulas.
#[derive(Debug)]
pub struct Guide {
    /// Labels read from all memory and from the annotated slices alone: `[N, 2, H/8, W/8]`, f32, -1 outside..1 inside.
    pub labels: Tensor,
    /// Expected shape, see [`SliceContext::expected_shape`]: `[N, 1, H, W]`, f32, -1..1.
    pub expected_shape: Tensor,
    /// Ratio of the intensities' histograms inside and outside of the expected shape: `[N, 1, H/2, W/2]`, f32, -1..1.
    pub appearance: Tensor,
    /// Ratio of the histograms inside and around the annotated mask: `[N, 1, H/2, W/2]`, f32, -1..1.
    pub likeness: Tensor,
    /// Label of the matching patches of the previous slice: `[N, 1, H/2, W/2]`, f32, -1 outside..1 inside.
    pub matched_label: Tensor,
    /// Novelty: `[N, 1, H/2, W/2]`, f32, 0 (like the previous slice)..1 (unlike anything near it there).
    pub novelty: Tensor,
    /// Familiarity of the keys: to the nearest key of the annotated slices, and to the nearest one inside their masks:
    /// `[N, 2, H/8, W/8]`, f32, 0 (unlike all of them)..1 (equal to one). None in networks that do not use it.
    pub familiarity: Option<Tensor>,
}

/// Estimates of the quality head.
#[derive(Debug)]
pub struct Judgement {
    /// Estimated IoU of each mask, `[N]`, f32, 0..1; 0 if the target is absent.
    pub quality: Tensor,
    /// Probability that the slice holds the target, `[N]`, f32, 0..1. The quality of an empty mask is 1 - presence.
    pub presence: Tensor,
}

impl Judgement {
    /// IoU at which a mask has the presence [`Judgement::BOUNDARY_PRESENCE`]. Chosen: a mask as large as the target
    /// then covers half of it.
    pub const BOUNDARY_IOU: f64 = 0.35;
    /// Presence at [`Judgement::BOUNDARY_IOU`]: the threshold below which the engine regards a slice as empty by
    /// default.
    pub const BOUNDARY_PRESENCE: f64 = 0.8;

    /// Judgement of networks that estimate the IoU alone, `[N]`. The presence of a mask is IoU^e, with e such that
    /// [`Judgement::BOUNDARY_IOU`] maps to [`Judgement::BOUNDARY_PRESENCE`]; that of an empty mask is 1 - IoU.
    ///
    /// # Shapes
    /// `iou`: `[N]`, f32, 0..1; `probability`: `[N, 1, H, W]`.
    pub fn from_iou(iou: Tensor, probability: &Tensor) -> Judgement {
        let exponent = Judgement::BOUNDARY_PRESENCE.ln() / Judgement::BOUNDARY_IOU.ln();
        let has_mask = probability.amax([1i64, 2, 3].as_slice(), false).ge(0.5);
        let doubt: Tensor = 1.0 - &iou;
        let presence = iou.pow_tensor_scalar(exponent).where_self(&has_mask, &doubt);
        Judgement { presence, quality: iou }
    }
}

/// Result of segmenting query slices.
#[derive(Debug)]
pub struct Segmented {
    /// Foreground probability `[N, 1, H, W]`, f32.
    pub probability: Tensor,
    /// Readout: values read from the memory, in preset `paper` joined with the query's own (F_k of eq. 8), at the
    /// stride of the keys.
    pub readout: Tensor,
    /// Cues of the decoder, for the quality head; none in networks without them.
    pub guide: Option<Guide>,
}

/// The networks of one model. An implementation holds tensors and has one owner at a time; [`Networks::share`] makes
/// another owner of the same weights.
pub trait Networks: Send {
    /// Description of the model.
    fn info(&self) -> &ModelInfo;

    /// Device of the weights, the inputs and the outputs.
    fn device(&self) -> Device;

    /// Another owner of the same weights; no weight is copied.
    fn share(&self) -> Box<dyn Networks>;

    /// Paper §2.1, eq. 1: predicts the mask of a slice with interactions.
    ///
    /// # Shapes
    /// `input`: see [`InteractionInput`] / probability: `[N, 1, H, W]`, f32.
    fn interact(&self, kind: InteractionKind, input: &InteractionInput) -> Tensor;

    /// Paper §2.2, query encoder: computes the features that depend on the image alone.
    ///
    /// # Shapes
    /// `slices`: `[N, CI, H, W]`, 0..1 / see [`ImageFeatures`].
    fn encode_image(&self, slices: &Tensor) -> ImageFeatures;

    /// Paper §2.2, memory encoder: computes keys and values of slices with masks, one [`Memory`] for each slice.
    ///
    /// # Shapes
    /// `features`: of N slices; `masks`: `[N, 1, H, W]`, 0..1 / N memories `[P, CK]`, `[P, CV]`.
    fn memorize(&self, features: &ImageFeatures, masks: &Tensor) -> Vec<Memory>;

    /// Paper §2.2, eq. 4-7: reads the memory of each query slice and decodes its mask.
    ///
    /// # Shapes
    /// `features`, `context`: of N slices; `memory`: N entries / see [`Segmented`].
    fn segment(&self, features: &ImageFeatures, memory: &[Memory], context: &SliceContext) -> Segmented;

    /// Paper §2.3, eq. 8: estimates the IoU of each mask and the presence of the target.
    ///
    /// # Shapes
    /// `features`, `segmented`, `context`: of N slices / see [`Judgement`].
    fn quality(&self, features: &ImageFeatures, segmented: &Segmented, context: &SliceContext) -> Judgement;
}
