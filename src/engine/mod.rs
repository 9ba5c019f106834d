//! The interactive loop. Uses [`crate::nn`] and [`crate::volume`]; knows no file, no C and no thread.

mod composition;
mod context;
pub(crate) mod distance;
mod draw;
mod feature_cache;
pub mod guidance;
mod history;
pub mod interaction;
mod logistic;
pub mod memory_bank;
pub mod options;
mod pixel_model;
mod plane;
pub mod preprocess;
pub mod progress;
mod propagation;
pub(crate) mod quality;
mod random_walk;
mod regularisation;
pub mod roi;
mod rois;
pub mod session;
pub(crate) mod shape;
mod state;

pub use interaction::{Interaction, Stroke};
pub use options::{Direction, PropagateOptions, SessionOptions};
pub use plane::PixelBox;
pub use progress::{CancelToken, Progress};
pub use session::{MemoryUsage, SavedSession, Session, Suggestion};
