//! The interactive loop. Uses [`crate::nn`] and [`crate::volume`]; knows no file, no C and no thread.

pub mod interaction;
pub mod options;
pub mod progress;
pub mod session;

pub use interaction::{Interaction, Stroke};
pub use options::{PropagateOptions, SessionOptions};
pub use progress::{CancelToken, Progress};
pub use session::{Session, Suggestion};
