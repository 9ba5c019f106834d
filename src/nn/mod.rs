//! The networks: tensors in, tensors out. Knows no session, no file format but weights, no C.
//!
//! Conventions of every network:
//!
//! - Tensors are `[N, C, H, W]`. Letters are fixed: N objects or slices, C channels, CI context slices,
//!   CK key channels, CV value channels, T memorized slices, P positions of a key map, H W rows and columns.
//! - Slices are f32, 0..1 after windowing; each network applies its own normalisation.
//! - Masks and probabilities are 0..1; logits are before the sigmoid or softmax.
//! - Feature tensors carry their stride in the name: `f4` is at a quarter of the input resolution.
//! - Plain tch operators are used, which panic on a libtorch error; callers wrap every call in
//!   [`crate::torch::run`].

pub mod compact;
pub mod import;
pub mod layers;
pub mod model;
mod networks;
pub mod paper;
pub mod params;
pub mod weights;

pub use networks::{
    ImageFeatures, InteractionInput, InteractionKind, Judgement, Memory, ModelInfo, Networks, Preset,
    QualityCalibration, Segmented, SliceContext,
};
