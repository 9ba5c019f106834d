//! Shared by interaction and propagation: running the networks on slices, in batches and on threads.

pub(crate) mod batching;
mod context;
pub(crate) mod feature_cache;
pub(crate) mod roi_choice;

pub(crate) use context::{Context, join, not_a_number};
