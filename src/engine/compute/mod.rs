//! Shared by interaction and propagation: running the networks on slices, in batches and on threads.

pub(crate) mod batching;
mod context;
mod crop;
pub(crate) mod feature_cache;
mod features;
pub(crate) mod roi_choice;
pub(crate) mod target_window;

pub(crate) use context::{Context, not_a_number};
pub(crate) use crop::Crop;
pub(crate) use features::join;
