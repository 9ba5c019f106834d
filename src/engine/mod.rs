//! The interactive loop: a session on one volume. Uses [`crate::nn`], [`crate::slice`] and [`crate::volume`], no files
//! and no C. Slices are computed side by side on threads of [`crate::torch`], all of them by `compute::batching`.
//!
//! | stage | folder | input | output | paper |
//! |---|---|---|---|---|
//! | interact | [`interact`] | interactions on one slice, its previous mask | the slice's mask | §2.1, eq. 1 |
//! | propagate | [`propagate`] | annotated slices, memory bank | probabilities, quality of slices | §2.2, eq. 2-7 |
//! | refine | `refine` | probabilities, annotated masks, image | probabilities consistent in 3D | ours |
//! | suggest | `suggest` | quality and area of every slice | calibrated quality, suggested slice | §2.3, eq. 8 |
//! | compute | `compute` | slices and networks | features and ROIs, kept from round to round | ours |
//!
//! [`session`] holds the state, undo, and the options of all stages.

pub(crate) mod compute;
pub mod interact;
pub mod propagate;
pub(crate) mod refine;
pub mod session;
pub(crate) mod suggest;

pub use interact::interaction::{Interaction, Stroke};
pub use session::options::{Direction, PropagateOptions, SessionOptions};
pub use session::progress::{CancelToken, Preview, Progress};
pub use session::view::{Snapshot, Suggestion, View};
pub use session::{MemoryUsage, SavedSession, Session};
