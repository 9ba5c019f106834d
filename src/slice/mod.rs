//! Geometry of one slice: regions of interest, resampling, stored probabilities, intensity window, distances and
//! shapes. Independent of sessions and networks.

pub(crate) mod distance;
pub(crate) mod field;
pub mod grid;
pub(crate) mod plane;
pub mod region;
pub(crate) mod resample;
pub(crate) mod shape;
pub mod window;
