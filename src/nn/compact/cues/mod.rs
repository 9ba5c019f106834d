//! Inputs of the networks that are computed by hand-made formulas.
//!
//! | file | input | used by |
//! |---|---|---|
//! | `appearance` | likeness of each intensity to inside and outside, from histograms | decoder, interaction network |
//! | `matched` | label of the matching patch of the slice before | decoder |
//! | `geodesic` | regions grown from what was drawn | interaction network |
//! | `end_features` | signs that the target has ended | quality head |
//! | `histogram`, `pooling` | what these share | |

pub(crate) mod appearance;
pub(crate) mod end_features;
pub(crate) mod geodesic;
mod histogram;
pub(crate) mod matched;
pub(crate) mod pooling;
