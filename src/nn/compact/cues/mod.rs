//! Hand-made inputs of the networks: maps and numbers that are computed from images and masks without parameters.
//! `docs/method.md` has the formulas of the guide and of the features of the end.
//!
//! D: input of the decoder, Q: of the quality head, I: of the interaction network.
//!
//! | cue | file | computed from | range | input of |
//! |---|---|---|---|---|
//! | appearance | `appearance` | slice, histograms inside and outside of the expected shape | -1..1 | D, Q |
//! | appearance | `appearance` | slice, histograms inside and outside of the drawing | -1..1 | I |
//! | likeness | `appearance` | slice, histograms inside and around the annotated mask | -1..1 | D, Q |
//! | matched label | `matched` | slice, previous slice and mask | -1..1 | D, Q |
//! | novelty | `matched` | slice, previous slice | 0..1 | Q |
//! | grown region | `geodesic` | slice, drawing, previous mask | -1..1 | I |
//! | 14 features of the end | `end_features` | slice, mask, [`crate::nn::SliceContext`] | see there | Q |
//!
//! More cues come from elsewhere: labels from memory and familiarity from `memory_read`, the expected shape from the
//! engine.
//! `histogram` and `pooling` hold what these share.
//!
//! A change of a cue requires training; `docs/method.md` lists the stages.

pub(crate) mod appearance;
pub(crate) mod end_features;
pub(crate) mod geodesic;
mod histogram;
pub(crate) mod matched;
pub(crate) mod pooling;
