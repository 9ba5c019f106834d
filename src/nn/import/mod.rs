//! Import of published checkpoints.

pub mod checkpoint;
mod pickle;
pub mod published;
