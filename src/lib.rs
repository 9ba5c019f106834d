//! mem3d: interactive 3D segmentation of medical volumes. A user draws on one slice; the engine segments the volume,
//! estimates the quality of every slice and suggests the slice where a correction gains most.
//!
//! It implements Zhou et al., *Quality-Aware Memory Network for Interactive Volumetric Image Segmentation* (MICCAI
//! 2021), called "the paper" or Mem3D in these pages. `docs/method.md` describes the pipeline from a stroke to the next
//! suggestion and has the glossary.
//!
//! # Layers
//!
//! ```text
//! C, C++, Python ──────────> ffi ───┐
//! command ─> interactions, train ───┼──> engine ──> nn ──> torch ──> libtorch
//!                 └──────> eval ────┘       └──> slice ──> volume <── io
//! ```
//!
//! | layer | contents | must not use |
//! |---|---|---|
//! | [`error`], [`volume`] | the vocabulary of all layers | |
//! | [`torch`] | the libtorch runtime: running networks, devices, threads, counted operations | networks |
//! | [`slice`](mod@slice) | geometry of one slice: region of interest, resampling, distances, shapes | networks, sessions |
//! | [`nn`] | networks: tensors in, tensors out | sessions, files but weights, C |
//! | [`engine`] | sessions: interactions, propagation, refinement, suggestion, undo | files, C |
//! | [`io`] | volumes, segmentations and saved sessions on disk | networks |
//! | [`interactions`] | recorded interactions in files | |
//! | [`eval`] | a simulated user, metrics, the paper's experiments | C |
//! | [`train`] | training from synthetic and real volumes | C |
//! | [`ffi`] | the C interface; nearly all `unsafe` of the crate | |
//!
//! A session runs on the thread that calls it. The engine computes independent slices side by side on the threads of
//! `torch::threads`.
//!
//! `tests/layers.rs` fails on a path against these arrows, and on files that use each other in a circle.
//!
//! # Words
//!
//! | term | meaning |
//! |---|---|
//! | slice, axis | a plane of the volume, and the array axis along which it is cut |
//! | interaction | scribble, click, extreme points or box on one slice |
//! | annotated slice | slice whose mask the user accepted; no propagation changes it |
//! | round | interactions and the propagation after them |
//! | chain | slices computed one after the other from an annotated slice in one direction |
//! | interval, open end | slices between two annotated ones; side without a further annotated slice |
//! | memorize, segment | put a slice with its mask into the memory bank; read the bank for another slice |
//! | guide, cue | hand-made inputs of the decoder; one of them |
//! | presence, quality | probability that a slice holds the target; estimated IoU of its mask, both 0..1 |
//! | ROI | part of a slice that the networks receive |
//! | segment | one target of a session |
//! | session, model | one user's work on one volume; weights, shared by sessions |
//!
//! Arrays are `[depth, height, width]`, C order.
//!
//! # Example
//!
//! ```
//! use mem3d::engine::{Interaction, PropagateOptions, Session, SessionOptions, Stroke};
//! use mem3d::nn::model::{Model, Precision};
//! use mem3d::nn::{InteractionKind, Preset};
//! use mem3d::volume::{Geometry, SliceAxis, Volume, VoxelData};
//!
//! # fn main() -> mem3d::Result<()> {
//! let voxels = (0..4 * 32 * 32).map(|i| if (i / 32) % 32 > 15 { 200 } else { 10 }).collect();
//! let volume = Volume::new([4, 32, 32], VoxelData::U8(voxels), Geometry::default())?;
//! // Random weights show the calls; `Model::load` takes a model file.
//! let model = Model::random(Preset::Compact, 1, "cpu", Precision::Auto)?;
//! let mut session = Session::new(volume, model.networks(), SessionOptions::default())?;
//! session.interact(Interaction {
//!     segment: 1,
//!     axis: SliceAxis::Depth,
//!     slice: 1,
//!     kind: InteractionKind::Click,
//!     positive: true,
//!     stroke: Stroke::Points { points: vec![[1.0, 24.0, 16.0]], radius_mm: 0.0 },
//! })?;
//! session.propagate(&PropagateOptions::default(), &mut |progress| progress.done <= progress.total)?;
//! let mut mask = vec![0; 4 * 32 * 32];
//! session.read_mask(1, &mut mask)?;
//! # Ok(())
//! # }
//! ```

pub mod atomic_file;
pub mod engine;
pub mod error;
pub mod eval;
pub mod ffi;
mod input_file;
pub mod interactions;
pub mod io;
pub mod nn;
pub mod slice;
pub mod torch;
pub mod train;
pub mod volume;

pub use error::{Error, Result};
