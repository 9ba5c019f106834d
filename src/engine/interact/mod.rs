//! From the interactions on a slice to its mask (paper §2.1).

pub(crate) mod correction;
pub mod guidance;
pub mod interaction;
pub(crate) mod predict;
